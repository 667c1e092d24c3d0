//! What a store refuses to open, and that it changes nothing.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use alloy::primitives::Address;
use fermata_validator_signer::{Domain, NotSafe, Safe, Sentinel, SignerError, SlashingProtection};

use crate::support::{DOMAIN, Place, attestation, digest, open, small};

async fn with_one_record() -> Place {
    let place = Place::new();
    let store = place.open();
    let _ = store.reserve(attestation(0, 1), digest(0x5a)).await.unwrap();
    store.close().await;
    place
}

fn damage(dir: &Path) -> String {
    match open(dir) {
        Err(SignerError::Damaged { path, what }) => format!("{}: {what}", path.file_name().unwrap().display()),
        other => panic!("expected damage, got {other:?}"),
    }
}

/// Where the bytes of a record's digest lie in the database file.
fn places_of(needle: &[u8], file: &Path) -> Vec<u64> {
    let bytes = fs::read(file).unwrap();
    let places = bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle);
    places.map(|(at, _)| at as u64).collect()
}

fn spoil(place: &Place) {
    spoil_digest(place, 0x5a);
}

/// Changes a byte of each record with that digest.
fn spoil_digest(place: &Place, byte: u8) {
    let file = File::options().write(true).open(place.data_file()).unwrap();
    let places = places_of(digest(byte).as_slice(), &place.data_file());
    assert!(!places.is_empty());
    for at in places {
        file.write_all_at(&[!byte], at).unwrap();
    }
    file.sync_all().unwrap();
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing");
    assert!(matches!(open(&path), Err(SignerError::NotInitialised { .. })));
    assert!(matches!(open(dir.path()), Err(SignerError::NotInitialised { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_store_is_not_made_over_another_one() {
    let place = with_one_record().await;
    let refused = SlashingProtection::init(&place.store, DOMAIN);
    assert!(matches!(refused, Err(SignerError::AlreadyInitialised { .. })));
    let store = place.open();
    let refused = store.reserve(attestation(0, 1), digest(1)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
    store.close().await;
}

#[test]
fn an_interrupted_init_leaves_no_store_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing");
    let draft = dir.path().join(format!("signing.init-{}", std::process::id()));
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join("data.mdb"), b"half").unwrap();
    assert!(matches!(open(&path), Err(SignerError::NotInitialised { .. })));
    SlashingProtection::init(&path, DOMAIN).unwrap();
    drop(open(&path).unwrap());
    assert!(!draft.exists());
}

#[tokio::test]
async fn a_database_that_vanished_or_was_emptied_is_refused_and_not_made_anew() {
    let place = with_one_record().await;
    File::options().write(true).open(place.data_file()).unwrap().set_len(0).unwrap();
    assert!(damage(&place.store).starts_with("data.mdb: it is empty"));
    assert_eq!(fs::metadata(place.data_file()).unwrap().len(), 0);
    fs::remove_file(place.data_file()).unwrap();
    assert!(damage(&place.store).starts_with("data.mdb: it is missing"));
    assert!(!place.data_file().exists());
    assert!(matches!(SlashingProtection::init(&place.store, DOMAIN), Err(SignerError::AlreadyInitialised { .. })));
}

#[tokio::test]
async fn a_cut_database_is_refused() {
    let place = with_one_record().await;
    let length = places_of(digest(0x5a).as_slice(), &place.data_file())[0];
    File::options().write(true).open(place.data_file()).unwrap().set_len(length).unwrap();
    assert!(damage(&place.store).contains("cut"));
}

#[tokio::test]
async fn a_database_of_rubbish_is_refused() {
    let place = with_one_record().await;
    fs::write(place.data_file(), vec![0x77; 1 << 20]).unwrap();
    assert!(damage(&place.store).starts_with("data.mdb"));
}

#[tokio::test]
async fn a_damaged_record_is_found_before_anything_is_signed() {
    let place = with_one_record().await;
    spoil(&place);
    assert_eq!(damage(&place.store), "data.mdb: a checksum does not fit its record");
}

#[tokio::test]
async fn a_record_damaged_under_an_open_store_stops_all_signing() {
    let place = with_one_record().await;
    let store = place.open();
    spoil(&place);
    for duty in [attestation(0, 1), attestation(0, 2)] {
        assert!(matches!(store.reserve(duty, digest(0x5a)).await, Err(SignerError::StoreFailed { .. })));
    }
    let refused = store.prune(fermata_primitives::Slot(9)).await;
    assert!(matches!(refused, Err(SignerError::StoreFailed { .. })));
    store.close().await;
    assert!(damage(&place.store).contains("checksum"));
}

#[tokio::test]
async fn the_database_of_another_store_is_refused() {
    let (place, other) = (with_one_record().await, with_one_record().await);
    fs::copy(other.data_file(), place.data_file()).unwrap();
    assert!(damage(&place.store).contains("not the database"));
}

#[tokio::test]
async fn a_manifest_that_is_missing_or_broken_is_refused() {
    let place = with_one_record().await;
    fs::write(place.manifest(), b"{").unwrap();
    assert!(damage(&place.store).starts_with("STORE.json"));
    fs::remove_file(place.manifest()).unwrap();
    assert_eq!(damage(&place.store), "STORE.json: it is missing beside its database");
}

#[tokio::test]
async fn a_newer_schema_is_refused_whatever_else_it_says() {
    let place = with_one_record().await;
    fs::write(place.manifest(), br#"{"schema":2,"shards":[]}"#).unwrap();
    assert!(matches!(open(&place.store), Err(SignerError::NewerSchema { found: 2, known: 1, .. })));
}

#[tokio::test]
async fn a_store_of_another_rollup_is_refused_and_unchanged() {
    let place = with_one_record().await;
    let before = fs::read(place.data_file()).unwrap();
    for wanted in [Domain { l1_chain_id: 1, ..DOMAIN }, Domain { rollup: Address::ZERO, ..DOMAIN }] {
        let refused = SlashingProtection::open(&place.store, wanted, small());
        assert!(matches!(refused, Err(SignerError::OtherDomain { found, .. }) if found == DOMAIN));
    }
    assert_eq!(fs::read(place.data_file()).unwrap(), before);
    let store = place.open();
    assert!(matches!(store.reserve(attestation(0, 1), digest(0x5a)).await, Ok(Safe::Resume(_))));
    store.close().await;
}

#[tokio::test]
async fn a_look_at_a_store_tells_what_is_in_it_and_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    let wanted = [(attestation(0, 3), digest(1)), (attestation(1, 7), digest(1))];
    let mut permits = Vec::new();
    for answer in store.reserve_many(&wanted, None).await {
        let Ok(Safe::Granted(reservation)) = answer else { panic!("{answer:?}") };
        permits.push(reservation.into_permit());
    }
    let signature = alloy::primitives::Signature::test_signature();
    store.record_signature(permits.remove(0), signature).await.unwrap();
    assert!(matches!(
        SlashingProtection::verify(&place.store, &Sentinel::default()),
        Err(SignerError::HeldByAnother { .. })
    ));
    store.prune(fermata_primitives::Slot(3)).await.unwrap();
    store.close().await;

    let before = fs::read(place.data_file()).unwrap();
    let survey = SlashingProtection::verify(&place.store, &Sentinel::default()).unwrap();
    assert_eq!(fs::read(place.data_file()).unwrap(), before);
    assert_eq!(survey.domain, DOMAIN);
    assert_eq!(survey.highest(), Some(fermata_primitives::Slot(7)));
    let kind = survey.kinds["attestation"];
    assert_eq!((survey.kinds.len(), kind.pinned, kind.signed, kind.highest.0), (1, 1, 0, 7));
    assert_eq!(survey.marks.len(), 1);
    let mark = &survey.marks[0];
    assert_eq!(
        (mark.validator, mark.kind.as_str(), mark.marks.low),
        (attestation(0, 3).validator, "attestation", Some(fermata_primitives::Slot(3)))
    );

    spoil_digest(&place, 1);
    assert!(matches!(SlashingProtection::verify(&place.store, &Sentinel::default()), Err(SignerError::Damaged { .. })));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        SlashingProtection::verify(empty.path(), &Sentinel::default()),
        Err(SignerError::NotInitialised { .. })
    ));
}
