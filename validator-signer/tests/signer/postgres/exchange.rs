//! Files into a shared store and out of it, while other nodes use it and while lines break.

use std::collections::BTreeSet;
use std::time::Duration;

use alloy::signers::SignerSync as _;
use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::{
    DutyKind, ImportOptions, Interchange, NotSafe, PostgresOptions, PostgresProtection, Protection as _, Safe,
    SignerError,
};

use super::faults::{patient, through};
use super::proxy::{Cut, Proxy};
use super::server::{SharedPlace, shared};
use crate::homes::Make;
use crate::interchange::{GENESIS, IMPORT, PUBLIC_KEY, export, well_used};
use crate::support::{attestation, digest, key};

async fn a_file() -> Interchange {
    let home = well_used(Make::OnDisk).await;
    let store = home.keeper().await;
    let file = export(&*store).await;
    store.close().await;
    file
}

/// What the store says, without what tells which it is.
async fn said(store: &PostgresProtection) -> String {
    let file = export(store).await;
    format!("{:?} {:?}", file.data, file.rollup_interchange.unwrap().scopes)
}

#[tokio::test]
async fn an_import_over_a_line_that_breaks_in_its_commit_is_whole_or_not_there_and_again_is_fine() {
    let file = a_file().await;
    let whole = {
        let store = SharedPlace::new().await.open("a").await;
        store.import(&file, IMPORT).await.unwrap();
        said(&store).await
    };
    let nothing = said(&SharedPlace::new().await.open("a").await).await;
    assert_ne!(whole, nothing);
    for (cut, afterwards) in [(Cut::BeforeCommit, &nothing), (Cut::AfterCommit, &whole)] {
        let place = SharedPlace::new().await;
        let proxy = Proxy::start(shared().port()).await;
        let store = through(&proxy, patient(&place, "a")).await;
        let direct = place.open("b").await;
        proxy.cut(cut, 1);
        let lost = store.import(&file, IMPORT).await;
        assert!(matches!(lost, Err(SignerError::Unavailable { ambiguous: true, .. })), "{cut:?}: {lost:?}");
        assert_eq!(said(&direct).await, *afterwards, "{cut:?}");
        for _ in 0..2 {
            store.import(&file, IMPORT).await.unwrap();
            assert_eq!(said(&direct).await, whole, "{cut:?}");
        }
        store.close().await;
        direct.close().await;
    }
}

#[tokio::test]
async fn a_refused_file_leaves_the_store_open_to_all() {
    let place = SharedPlace::new().await;
    let store = place.open("a").await;
    let refused = store.import(&a_file().await, ImportOptions::default()).await;
    assert!(matches!(refused, Err(SignerError::Interchange(_))), "{refused:?}");
    assert!(matches!(store.reserve(attestation(0, 1), digest(1)).await, Ok(Safe::Granted(_))));
    assert!(store.reserve_eth(PUBLIC_KEY, crate::ethereum::block(1), digest(1)).await.is_ok());
    store.close().await;
}

/// All other nodes learn of it with the next duty that they ask for.
#[tokio::test]
async fn once_a_file_is_imported_no_node_signs_what_it_refuses() {
    let place = SharedPlace::new().await;
    let strict = BTreeSet::from([DutyKind::Attestation]);
    let other = place.open_with(PostgresOptions { strict, ..place.options("b") }).await;
    assert!(other.reserve(attestation(0, 1), digest(1)).await.is_ok());
    let store = place.open("a").await;
    store.import(&a_file().await, IMPORT).await.unwrap();
    let refused = other.reserve(attestation(0, 2), digest(1)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(2), .. }))), "{refused:?}");
    let refused = other.reserve(attestation(0, 9), digest(4)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{refused:?}");
    let refused = other.reserve(attestation(0, 8), digest(4)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::NotAboveMaxSigned { .. }))), "{refused:?}");
    assert!(other.reserve_eth(PUBLIC_KEY, crate::ethereum::vote(4, 7), digest(2)).await.is_err(), "it would surround");
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_signature_that_is_under_way_during_an_import_is_kept_and_its_reservation_is_not_taken_back() {
    let place = SharedPlace::new().await;
    let (store, other) = (place.open("a").await, place.open("b").await);
    let Ok(Safe::Granted(kept)) = other.reserve(attestation(0, 9), digest(3)).await else { panic!("it is new") };
    store.import(&a_file().await, IMPORT).await.unwrap();
    let permit = kept.into_permit();
    let signature = key(0).sign_hash_sync(&permit.signed_hash()).unwrap();
    other.record_signature(permit, signature).await.unwrap();
    // Written before the next duty is answered.
    let _ = other.reserve(attestation(0, 10), digest(1)).await.unwrap();
    assert!(matches!(store.reserve(attestation(0, 9), digest(3)).await, Ok(Safe::Done(_))));

    let Ok(Safe::Granted(reservation)) = other.reserve(attestation(0, 11), digest(1)).await else {
        panic!("it is new")
    };
    let file = export(&store).await;
    store.import(&file, IMPORT).await.unwrap();
    assert!(!other.cancel(reservation).await.unwrap(), "another store has the same payload");
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn nodes_that_sign_during_imports_and_exports_are_held_up_and_never_refused() {
    let place = SharedPlace::new().await;
    let patience = Duration::from_secs(60);
    let store = place.open_with(PostgresOptions { patience, ..place.options("a") }).await;
    let other = place.open_with(PostgresOptions { patience, ..place.options("b") }).await;
    let file = a_file().await;
    let carrying = async {
        for _ in 0..10 {
            store.import(&file, IMPORT).await.unwrap();
            let _ = said(&store).await;
        }
    };
    let signing = async {
        for slot in 100..300 {
            let answer = other.reserve(attestation(0, slot), digest(1)).await;
            assert!(matches!(answer, Ok(Safe::Granted(_))), "{answer:?}");
            let answer = other.reserve_eth(PUBLIC_KEY, crate::ethereum::block(slot), digest(1)).await;
            assert!(answer.is_ok(), "{answer:?}");
        }
    };
    tokio::join!(carrying, signing);
    store.close().await;
    other.close().await;
}

/// More than one statement carries.
#[tokio::test]
async fn many_records_are_carried_whole() {
    let (from, to) = (SharedPlace::new().await, SharedPlace::new().await);
    let store = from.open_with(patient(&from, "a")).await;
    let duties: Vec<_> = (1..=9000).map(|slot| (attestation(0, slot), digest(1))).collect();
    assert!(store.reserve_many(&duties, None).await.iter().all(Result::is_ok));
    store.bind_chain(GENESIS).await.unwrap();
    let blocks: Vec<_> = (1..=9000).map(|slot| (crate::ethereum::block(slot), digest(1))).collect();
    assert!(store.reserve_eth_many(PUBLIC_KEY, &blocks).await.iter().all(Result::is_ok));
    let file = export(&store).await;
    assert_eq!(file.data[0].signed_blocks.len(), 9000);
    assert_eq!(file.rollup_interchange.as_ref().unwrap().scopes[0].signers[0].duties.len(), 9000);
    let other = to.open_with(patient(&to, "a")).await;
    assert_eq!(other.import(&file, IMPORT).await.unwrap().added, 18_000);
    assert_eq!(said(&other).await, said(&store).await);
    assert_eq!(other.prune_eth(Slot(8000), Epoch(0)).await.unwrap(), 8000);
    store.close().await;
    other.close().await;
}
