//! Files that carry what keys signed from store to store.

mod bad_files;
mod cut_short;
mod laws;
mod other_clients;

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256};
use fermata_primitives::{Slot, UnixTime};
use fermata_validator_signer::{
    DutyKind, EthProtection, ExportKeys, ExportOptions, Extent, ImportConflict, ImportOptions, Interchange,
    InterchangeError, KeyChange, NotSafe, Safe, SignerError,
};

use crate::ethereum::{block, vote};
use crate::homes::{Home, Make};
use crate::support::{RecordingKeys, attestation, digest, duty, key};

pub(crate) const GENESIS: B256 = B256::repeat_byte(0x66);
pub(crate) const PUBLIC_KEY: fermata_validator_signer::EthPublicKey =
    fermata_validator_signer::EthPublicKey::repeat_byte(0xa1);

pub(crate) const IMPORT: ImportOptions = ImportOptions { extent: Extent::Full, genesis_validators_root: Some(GENESIS) };

pub(crate) async fn export(store: &dyn EthProtection) -> Interchange {
    store.export(ExportOptions::default(), UnixTime::from_millis(1_700_000_000_000)).await.unwrap()
}

/// Where a file comes from, and where it goes.
const WAYS: [[Make; 2]; 4] = [
    [Make::OnDisk, Make::OnDisk],
    [Make::OnDisk, Make::Shared],
    [Make::Shared, Make::OnDisk],
    [Make::Shared, Make::Shared],
];

/// A store with some of everything: signed, pinned, pruned, and Ethereum's duties.
pub(crate) async fn well_used(make: Make) -> Home {
    let (home, keys) = (Home::new(make).await, RecordingKeys::new());
    let signer = home.signer(&keys).await;
    let store = signer.protection().clone();
    for slot in 1..6 {
        signer.sign(attestation(0, slot), digest(1)).await.unwrap();
        signer.sign(duty(1, slot, DutyKind::BlockProposal { index: 2 }), digest(2)).await.unwrap();
    }
    let _ = store.reserve(attestation(0, 9), digest(3)).await.unwrap();
    store.prune(Slot(2)).await.unwrap();
    signer.close().await;
    let store = home.keeper().await;
    store.bind_chain(GENESIS).await.unwrap();
    for (slot, (source, target)) in [(10, (2, 3)), (20, (5, 6))] {
        assert!(store.reserve_eth(PUBLIC_KEY, block(slot), digest(1)).await.is_ok());
        assert!(store.reserve_eth(PUBLIC_KEY, vote(source, target), digest(1)).await.is_ok());
    }
    store.close().await;
    home
}

#[tokio::test]
async fn an_export_carries_signatures_pins_and_marks_into_another_store() {
    for [from, to] in WAYS {
        let (from, to) = (well_used(from).await, Home::new(to).await);
        let (old, new) = (from.keeper().await, to.keeper().await);
        let report = new.import(&export(&*old).await, IMPORT).await.unwrap();
        assert_eq!((report.signers, report.public_keys, report.conflicts.len()), (2, 1, 0));
        let active: BTreeSet<_> = report.still_active.into_iter().collect();
        assert_eq!(active, [key(0), key(1)].map(|key| key.address()).into());
        let Ok(Safe::Done(theirs)) = old.reserve(attestation(0, 4), digest(1)).await else { panic!("it was signed") };
        let Ok(Safe::Done(ours)) = new.reserve(attestation(0, 4), digest(1)).await else { panic!("it was imported") };
        assert_eq!(ours, theirs);
        assert!(matches!(new.reserve(attestation(0, 9), digest(3)).await, Ok(Safe::Resume(_))));
        let refused = new.reserve(attestation(0, 9), digest(4)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
        let refused = new.reserve(attestation(0, 2), digest(1)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(2), .. }))));
        assert!(new.reserve_eth(PUBLIC_KEY, vote(4, 7), digest(2)).await.is_err(), "it would surround");
        old.close().await;
        new.close().await;
    }
}

#[tokio::test]
async fn two_payloads_for_one_duty_leave_it_to_neither_and_are_reported() {
    for [from, to] in WAYS {
        let (one, other) = (Home::new(from).await, Home::new(to).await);
        let (theirs, ours) = (one.keeper().await, other.keeper().await);
        for (store, byte) in [(&ours, 1), (&theirs, 2)] {
            let _ = store.reserve(attestation(0, 4), digest(byte)).await.unwrap();
            store.bind_chain(GENESIS).await.unwrap();
            assert!(store.reserve_eth(PUBLIC_KEY, block(4), digest(byte)).await.is_ok());
        }
        let report = ours.import(&export(&*theirs).await, IMPORT).await.unwrap();
        assert_eq!(report.conflicts.len(), 2);
        for conflict in &report.conflicts {
            match conflict {
                ImportConflict::Rollup { ours, theirs, .. } | ImportConflict::Ethereum { ours, theirs, .. } => {
                    assert_eq!((*ours, *theirs), (digest(1), digest(2)));
                }
            }
        }
        for byte in [1, 2, 3] {
            let refused = ours.reserve(attestation(0, 4), digest(byte)).await;
            assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
            assert!(ours.reserve_eth(PUBLIC_KEY, block(4), digest(byte)).await.is_err());
        }
        ours.close().await;
        theirs.close().await;
    }
}

#[tokio::test]
async fn minified_only_marks_are_carried_above_all_that_was_signed() {
    for [from, to] in WAYS {
        let from = well_used(from).await;
        let old = from.keeper().await;
        let options = ExportOptions { extent: Extent::Minified, ..ExportOptions::default() };
        let small = old.export(options, UnixTime::from_millis(0)).await.unwrap();
        let full = export(&*old).await;
        assert!(!small.rollup_interchange.as_ref().unwrap().complete);
        assert!(full.rollup_interchange.as_ref().unwrap().complete);
        let minify = ImportOptions { extent: Extent::Minified, ..IMPORT };
        for (file, options) in [(&small, IMPORT), (&full, minify)] {
            let to = Home::new(to).await;
            let new = to.keeper().await;
            new.import(file, options).await.unwrap();
            for slot in 1..=9 {
                let refused = new.reserve(attestation(0, slot), digest(1)).await;
                assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(9), .. }))));
            }
            assert!(new.reserve(attestation(0, 10), digest(1)).await.is_ok());
            assert!(new.reserve_eth(PUBLIC_KEY, block(20), digest(1)).await.is_err());
            assert!(new.reserve_eth(PUBLIC_KEY, block(21), digest(1)).await.is_ok());
            assert!(new.reserve_eth(PUBLIC_KEY, vote(5, 6), digest(1)).await.is_err());
            assert!(new.reserve_eth(PUBLIC_KEY, vote(5, 7), digest(1)).await.is_ok());
            new.close().await;
        }
        old.close().await;
    }
}

#[tokio::test]
async fn chosen_keys_are_exported_alone_and_named_even_with_nothing_signed() {
    for make in Make::KEEPERS {
        let home = well_used(make).await;
        let store = home.keeper().await;
        let stranger = Address::repeat_byte(0xee);
        let signers = vec![key(0).address(), stranger];
        let keys = ExportKeys::Chosen { signers, public_keys: Vec::new() };
        let options = ExportOptions { keys, extent: Extent::Full };
        let file = store.export(options, UnixTime::from_millis(0)).await.unwrap();
        assert!(file.data.is_empty());
        let rollup = file.rollup_interchange.unwrap();
        assert!(!rollup.complete);
        let signers = &rollup.scopes[0].signers;
        let counted: Vec<_> = signers.iter().map(|entry| (Address::from(entry.signer.0), entry.duties.len())).collect();
        assert_eq!(counted.iter().find(|(signer, _)| *signer == stranger), Some(&(stranger, 0)));
        assert_eq!(counted.iter().find(|(signer, _)| *signer == key(0).address()), Some(&(key(0).address(), 4)));
        store.close().await;
    }
}

#[tokio::test]
async fn a_store_takes_ethereum_keys_of_its_own_chain_alone_and_learns_it_once() {
    for [from, to] in WAYS {
        let (from, to) = (well_used(from).await, Home::new(to).await);
        let (old, new) = (from.keeper().await, to.keeper().await);
        let file = export(&*old).await;
        let told = |genesis_validators_root| ImportOptions { genesis_validators_root, ..IMPORT };
        let refusal = |outcome: Result<_, SignerError>| match outcome {
            Err(SignerError::Interchange(refusal)) => refusal,
            other => panic!("expected a refusal, got {other:?}"),
        };
        let unknown = refusal(new.import(&file, told(None)).await.map(drop));
        assert_eq!(unknown, InterchangeError::UnknownGenesis { found: GENESIS });
        let other = B256::repeat_byte(0x67);
        let wrong = InterchangeError::OtherGenesis { found: GENESIS, wanted: other };
        assert_eq!(refusal(new.import(&file, told(Some(other))).await.map(drop)), wrong);
        new.import(&file, told(Some(GENESIS))).await.unwrap();
        new.import(&file, told(None)).await.unwrap();
        let rebound = InterchangeError::OtherGenesis { found: other, wanted: GENESIS };
        assert_eq!(refusal(new.bind_chain(other).await), rebound);
        old.close().await;
        new.close().await;
    }
}

#[tokio::test]
async fn a_reservation_cannot_be_cancelled_once_a_file_says_that_another_store_gave_leave_too() {
    for [from, to] in WAYS {
        let (one, other) = (Home::new(from).await, Home::new(to).await);
        let (theirs, ours) = (one.keeper().await, other.keeper().await);
        let Ok(Safe::Granted(reservation)) = ours.reserve(attestation(0, 4), digest(1)).await else {
            panic!("it is new")
        };
        let _ = theirs.reserve(attestation(0, 4), digest(1)).await.unwrap();
        ours.import(&export(&*theirs).await, ImportOptions::default()).await.unwrap();
        assert!(!ours.cancel(reservation).await.unwrap());
        let refused = ours.reserve(attestation(0, 4), digest(2)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
        ours.close().await;
        theirs.close().await;
    }
}

#[tokio::test]
async fn a_retired_key_is_told_as_handed_over_and_may_sign_where_it_is_imported() {
    for [from, to] in WAYS {
        let (from, to) = (well_used(from).await, Home::new(to).await);
        let (old, new) = (from.keeper().await, to.keeper().await);
        old.change_key(key(0).address(), KeyChange::Retire).await.unwrap();
        let report = new.import(&export(&*old).await, IMPORT).await.unwrap();
        assert_eq!((report.handed_over, report.still_active), (vec![key(0).address()], vec![key(1).address()]));
        let refused = old.reserve(attestation(0, 10), digest(1)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Retired { .. }))));
        assert!(matches!(new.reserve(attestation(0, 10), digest(1)).await, Ok(Safe::Granted(_))));
        let report = old.import(&export(&*new).await, IMPORT).await.unwrap();
        assert_eq!(report.conflicts, []);
        let refused = old.reserve(attestation(0, 11), digest(1)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Retired { .. }))), "an import enables nothing");
        old.close().await;
        new.close().await;
    }
}
