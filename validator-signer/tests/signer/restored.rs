//! Older copies of a store put in its place, and the anchor that knows better.

use std::fs;
use std::path::{Path, PathBuf};

use fermata_primitives::Slot;
use fermata_validator_signer::{NotSafe, Safe, Sentinel, SignerError, SlashingProtection};

use crate::children::{Role, Started, anchor_of, anchored};
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

    let too_low = SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(7));
    assert!(matches!(too_low, Err(SignerError::LowMarkTooLow { low: Slot(7), known: Slot(8) })), "{too_low:?}");
    stale(&place);
    for _ in 0..2 {
        let survey = SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(10)).unwrap();
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
    let survey = SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(11)).unwrap();
    assert_eq!(survey.floor, Some(Slot(11)));
    open(&place).unwrap().close().await;
}

#[tokio::test]
async fn a_copy_that_was_taken_elsewhere_without_its_anchor_is_refused_there() {
    let place = Place::new();
    pin(&place, 1..=3).await;
    fs::remove_file(anchor_of(&place.store)).unwrap();
    assert_eq!(stale(&place), "its anchor is missing");
    assert!(!anchor_of(&place.store).exists(), "it is not made anew");
    SlashingProtection::accept_restored(&place.store, &sentinel(&place), Slot(3)).unwrap();
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
