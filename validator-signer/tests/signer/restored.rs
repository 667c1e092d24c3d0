//! Older copies of a store put in its place, and the anchor that knows better.

use std::fs;
use std::path::{Path, PathBuf};

use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::{
    EthLast, EthLastError, EthPublicKey, EthReason, EthSafe, NotSafe, Safe, Sentinel, SignerError, SlashingProtection,
    StoreOptions,
};

use crate::children::{Role, Started, anchor_of, anchored};
use crate::ethereum::{block, refusal, vote};
use crate::support::{DOMAIN, Place, attestation, digest};

fn open(place: &Place) -> Result<SlashingProtection, SignerError> {
    SlashingProtection::open(&place.store, DOMAIN, anchored(&place.store))
}

fn sentinel(place: &Place) -> Sentinel {
    anchored(&place.store).sentinel
}

/// Pins attestations of validator 0 in these slots, and closes the store.
async fn pin(place: &Place, slots: std::ops::RangeInclusive<u64>) {
    let store = open(place).unwrap();
    for slot in slots {
        let _ = store.reserve(attestation(0, slot), digest(1)).await.unwrap();
    }
    store.close().await;
}

fn copy_of(store: &Path) -> PathBuf {
    let copy = store.with_extension("backup");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn put_back(copy: &Path, store: &Path) {
    fs::remove_dir_all(store).unwrap();
    fs::rename(copy, store).unwrap();
}

fn stale(place: &Place) -> String {
    match open(place) {
        Err(SignerError::Stale { what, .. }) => what,
        other => panic!("not stale: {other:?}"),
    }
}

#[tokio::test]
async fn an_older_copy_is_refused_and_told_how_far_it_is_behind() {
    let place = Place::new();
    pin(&place, 1..=3).await;
    let copy = copy_of(&place.store);
    pin(&place, 4..=8).await;
    put_back(&copy, &place.store);
    let before = fs::read(place.data_file()).unwrap();
    let what = stale(&place);
    assert!(what.starts_with("it is 5 commits behind") && what.ends_with("signed up to slot 8"), "{what}");
    assert_eq!(fs::read(place.data_file()).unwrap(), before, "nothing is raised silently");
    assert!(matches!(SlashingProtection::verify(&place.store, &sentinel(&place)), Err(SignerError::Stale { .. })));
}

#[tokio::test]
async fn a_restored_copy_is_gone_on_with_once_a_mark_covers_what_it_has_forgotten() {
    let place = Place::new();
    pin(&place, 1..=3).await;
    let copy = copy_of(&place.store);
    pin(&place, 4..=8).await;
    put_back(&copy, &place.store);

    let too_low = SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(7), None);
    assert!(matches!(too_low, Err(SignerError::LowMarkTooLow { low: Slot(7), known: Slot(8) })), "{too_low:?}");
    stale(&place);
    for _ in 0..2 {
        let survey = SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(10), None).unwrap();
        assert_eq!(survey.floor, Some(Slot(10)));
    }
    let store = open(&place).unwrap();
    // A key that the store has never seen is bound as well.
    for duty in [attestation(0, 5), attestation(0, 10), attestation(7, 10)] {
        let refused = store.reserve(duty, digest(2)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(10), .. }))), "{refused:?}");
    }
    assert!(matches!(store.reserve(attestation(0, 11), digest(2)).await, Ok(Safe::Granted(_))));
    store.close().await;
    // The mark can be raised again and never comes down.
    let survey = SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(11), None).unwrap();
    assert_eq!(survey.floor, Some(Slot(11)));
    open(&place).unwrap().close().await;
}

const ETH_KEY: EthPublicKey = EthPublicKey::repeat_byte(0xa1);
/// Its first duty is younger than any copy.
const YOUNG_KEY: EthPublicKey = EthPublicKey::repeat_byte(0xa2);
/// It never signed here.
const STRANGER: EthPublicKey = EthPublicKey::repeat_byte(0xa3);

/// Signs a block of the slot with each key, and an attestation for it as target from the epoch before.
async fn sign_eth(place: &Place, at: u64, keys: &[EthPublicKey]) {
    let store = open(place).unwrap();
    for key in keys {
        for duty in [block(at), vote(at - 1, at)] {
            let _ = store.reserve_eth(*key, duty, digest(1)).await.unwrap();
        }
    }
    store.close().await;
}

#[tokio::test]
async fn a_restored_copy_with_ethereum_keys_is_gone_on_with_once_it_is_told_what_they_signed_last() {
    let place = Place::new();
    sign_eth(&place, 3, &[ETH_KEY]).await;
    let copy = copy_of(&place.store);
    sign_eth(&place, 8, &[ETH_KEY, YOUNG_KEY]).await;
    put_back(&copy, &place.store);
    // What the copy lacks is Ethereum's alone: the commits tell.
    assert!(stale(&place).starts_with("it is 4 commits behind"));

    let accept =
        |last: Option<EthLast>| SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(1), last);
    let untold = accept(None).unwrap_err();
    assert!(matches!(untold, SignerError::EthLast(EthLastError::Untold { public_keys: 2 })), "{untold}");
    assert!(untold.to_string().contains("--eth-slot SLOT --eth-target EPOCH"), "{untold}");
    // The copy ends at 3; the anchor knows better.
    for (slot, target) in [(2, 9), (9, 2), (7, 8), (8, 7)] {
        let too_early = accept(Some(EthLast { slot: Slot(slot), target: Epoch(target) }));
        assert!(matches!(too_early, Err(SignerError::EthLast(EthLastError::TooEarly { .. }))), "{too_early:?}");
    }
    stale(&place);
    for _ in 0..2 {
        let survey = accept(Some(EthLast { slot: Slot(9), target: Epoch(8) })).unwrap();
        assert_eq!((survey.ethereum.public_keys, survey.ethereum.blocks, survey.ethereum.attestations), (2, 0, 0));
    }
    let lower = accept(Some(EthLast { slot: Slot(8), target: Epoch(8) }));
    assert!(matches!(lower, Err(SignerError::EthLast(EthLastError::TooEarly { .. }))), "a mark counts too: {lower:?}");

    let store = open(&place).unwrap();
    for key in [YOUNG_KEY, STRANGER] {
        let refused = store.reserve_eth(key, block(9), digest(2)).await;
        assert_eq!(refusal(refused), EthReason::SlotBelowLow { lowest: Slot(10) }, "{key}");
    }
    let ask = async |duty| store.reserve_eth(ETH_KEY, duty, digest(2)).await;
    for slot in [3, 8, 9] {
        assert_eq!(refusal(ask(block(slot)).await), EthReason::SlotBelowLow { lowest: Slot(10) });
    }
    assert_eq!(refusal(ask(vote(8, 8)).await), EthReason::TargetBelowLow { lowest: Epoch(9) });
    // The first would surround what was signed from 7 to 8.
    for source in [6, 7] {
        assert_eq!(refusal(ask(vote(source, 9)).await), EthReason::SourceBelowLow { lowest: Epoch(8) });
    }
    for duty in [block(10), vote(8, 9)] {
        assert!(matches!(ask(duty).await, Ok(EthSafe::New(_))));
        assert!(matches!(store.reserve_eth(STRANGER, duty, digest(2)).await, Ok(EthSafe::New(_))));
    }
    store.close().await;
}

#[tokio::test]
async fn a_copy_that_was_signed_with_until_it_had_as_many_commits_is_told_by_an_ethereum_key_it_does_not_know() {
    let place = Place::new();
    sign_eth(&place, 3, &[ETH_KEY]).await;
    let copy = copy_of(&place.store);
    sign_eth(&place, 8, &[YOUNG_KEY]).await;
    put_back(&copy, &place.store);
    let unanchored = StoreOptions { sentinel: Sentinel::default(), ..anchored(&place.store) };
    let store = SlashingProtection::open(&place.store, DOMAIN, unanchored).unwrap();
    for slot in 1..=9 {
        let _ = store.reserve(attestation(0, slot), digest(1)).await.unwrap();
    }
    store.close().await;
    let what = stale(&place);
    assert!(what.contains(&YOUNG_KEY.to_string()), "{what}");
}

#[tokio::test]
async fn a_copy_that_was_taken_elsewhere_without_its_anchor_is_refused_there() {
    let place = Place::new();
    pin(&place, 1..=3).await;
    fs::remove_file(anchor_of(&place.store)).unwrap();
    assert_eq!(stale(&place), "its anchor is missing");
    assert!(!anchor_of(&place.store).exists(), "it is not made anew");
    SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(3), None).unwrap();
    open(&place).unwrap().close().await;
}

#[tokio::test]
async fn a_store_that_is_ahead_of_its_anchor_is_sound() {
    let place = Place::new();
    pin(&place, 1..=3).await;
    let old = fs::read(anchor_of(&place.store)).unwrap();
    pin(&place, 4..=8).await;
    fs::write(anchor_of(&place.store), old).unwrap();
    pin(&place, 9..=9).await;
}

#[tokio::test]
async fn a_new_store_in_the_place_of_one_that_was_lost_is_refused() {
    let place = Place::new();
    pin(&place, 1..=3).await;
    fs::remove_dir_all(&place.store).unwrap();
    SlashingProtection::init(&place.store, DOMAIN).unwrap();
    assert!(stale(&place).contains("the anchor is of store"));
}

#[tokio::test]
async fn an_anchor_that_cannot_be_read_is_no_missing_one() {
    let place = Place::new();
    pin(&place, 1..=3).await;
    fs::write(anchor_of(&place.store), b"{}").unwrap();
    assert!(matches!(open(&place), Err(SignerError::Damaged { path, .. }) if path == anchor_of(&place.store)));
}

#[tokio::test]
async fn a_killed_process_leaves_an_anchor_that_is_not_ahead_of_its_store_and_not_far_behind() {
    let place = Place::new();
    let copy = copy_of(&place.store);
    let commits = || {
        let anchor = fs::read(anchor_of(&place.store)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&anchor).unwrap()["commits"].as_u64().unwrap()
    };
    let mut child = Started::new(Role::PinAnchored, &place.store, &[]);
    assert_eq!(child.said().as_deref(), Some("open"));
    let first = commits();
    while commits() == first {
        child.said().expect("it goes on until it is killed");
    }
    child.kill();
    open(&place).expect("the anchor is not ahead").close().await;
    put_back(&copy, &place.store);
    assert!(stale(&place).contains("commits behind"), "the anchor went along while the store was open");
}
