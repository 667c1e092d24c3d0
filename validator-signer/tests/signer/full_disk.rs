//! Disks that are full, gone, or read-only, real ones: a small file system of a child process.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use fermata_validator_signer::{NextStep, NotSafe, PAYLOAD_LIMIT, Safe, SignerError, SlashingProtection};

use crate::children::{Role, Started};
use crate::support::{DOMAIN, Place, attestation, digest, open};

/// Runs a child on a disk of its own, and hears that it came to its end.
fn on_a_small_disk(role: Role, mib: u32) {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Started::on_a_small_disk(role, dir.path(), mib);
    assert_eq!(
        child.said().as_deref(),
        Some("came to the end"),
        "see above what is wrong, or what could not be mounted"
    );
    assert!(child.wait().success());
}

#[test]
fn a_full_disk_records_nothing_keeps_the_rest_and_is_gone_on_with_once_there_is_room() {
    on_a_small_disk(Role::FillTheDisk, 12);
}

#[test]
fn a_disk_too_small_for_the_room_that_is_written_ahead_records_nothing() {
    on_a_small_disk(Role::FillTheDisk, 1);
}

#[test]
fn the_largest_payload_fits_into_the_room_that_is_written_ahead_or_is_not_recorded() {
    on_a_small_disk(Role::FillTheDiskWithPayloads, 12);
}

#[test]
fn a_store_on_a_disk_that_became_read_only_is_not_opened() {
    on_a_small_disk(Role::ReadOnly, 12);
}

/// What the child does on its small disk.
pub(crate) async fn fill_the_disk(dir: &Path) {
    SlashingProtection::init(dir, DOMAIN).unwrap();
    let store = open(dir).unwrap();
    let ballast = dir.with_file_name("ballast");
    let mut slot = 0;
    if matches!(store.reserve(attestation(0, slot), digest(1)).await, Ok(Safe::Granted(_))) {
        slot += 1;
        fill_up(&ballast);
    }
    let full = loop {
        let wanted: Vec<_> = (slot..slot + 500).map(|slot| (attestation(0, slot), digest(1))).collect();
        let answers = store.reserve_many(&wanted, None).await;
        match answers.into_iter().find_map(Result::err) {
            None => slot += 500,
            Some(error) => break error,
        }
    };
    assert!(matches!(full, SignerError::NoSpace { .. }), "{full:?}");
    assert_eq!(full.next_step(), NextStep::RetrySame);
    all_are_on_record(&store, slot).await;
    if ballast.exists() {
        assert!(slot > 500, "room was written ahead");
        fs::remove_file(&ballast).unwrap();
        // Nothing of the failed transaction was kept.
        for unrecorded in slot..slot + 500 {
            let granted = store.reserve(attestation(0, unrecorded), digest(2)).await;
            assert!(matches!(granted, Ok(Safe::Granted(_))), "{granted:?}");
        }
    }
    store.close().await;
    let store = open(dir).unwrap();
    all_are_on_record(&store, slot).await;
    store.close().await;
    println!("\nchild: came to the end");
}

/// What the child does on its small disk: LMDB itself never meets the end of it, however large what is kept.
pub(crate) async fn fill_the_disk_with_payloads(dir: &Path) {
    SlashingProtection::init(dir, DOMAIN).unwrap();
    let store = open(dir).unwrap();
    let (ballast, payload) = (dir.with_file_name("ballast"), vec![7; PAYLOAD_LIMIT]);
    let pin = async |slot| store.reserve_with_payload(attestation(0, slot), digest(1), &payload, None).await;
    assert!(matches!(pin(0).await, Ok(Safe::Granted(_))));
    fill_up(&ballast);
    let mut slot = 1;
    let full = loop {
        match pin(slot).await {
            Ok(Safe::Granted(_)) => slot += 1,
            other => break other,
        }
    };
    assert!(matches!(full, Err(SignerError::NoSpace { .. })) && slot > 1, "slot {slot}: {full:?}");
    fs::remove_file(&ballast).unwrap();
    assert!(matches!(pin(slot).await, Ok(Safe::Granted(_))));
    for kept in 0..=slot {
        assert_eq!(store.payload(attestation(0, kept)).await.unwrap().as_ref(), Some(&payload), "slot {kept}");
    }
    store.close().await;
    println!("\nchild: came to the end");
}

/// Writes until there is no room.
fn fill_up(path: &Path) {
    let (mut file, piece) = (File::create(path).unwrap(), vec![1; 64 * 1024]);
    while file.write_all(&piece).is_ok() {}
}

async fn all_are_on_record(store: &SlashingProtection, slots: u64) {
    let others: Vec<_> = (0..slots).map(|slot| (attestation(0, slot), digest(3))).collect();
    for answer in store.reserve_many(&others, None).await {
        assert!(matches!(answer, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{answer:?}");
    }
}

/// What the child does on its disk, which it may remount since it sees it alone.
pub(crate) fn open_read_only(dir: &Path) {
    SlashingProtection::init(dir, DOMAIN).unwrap();
    drop(open(dir).unwrap());
    let remount = || Command::new("mount").args(["-o", "remount,ro"]).arg(dir.parent().unwrap()).status().unwrap();
    // The store closes in its own time after the drop.
    while !remount().success() {}
    let refused = open(dir);
    assert!(matches!(refused, Err(SignerError::Io { .. })), "{refused:?}");
    println!("\nchild: came to the end");
}

#[tokio::test]
async fn a_store_whose_directory_is_taken_away_under_it_signs_nothing_more() {
    let ways: [fn(&Path); 3] = [
        |store| fs::remove_dir_all(store).unwrap(),
        |store| fs::rename(store, store.with_extension("moved")).unwrap(),
        |store| {
            let (data, copy) = (store.join("data.mdb"), store.join("copy.mdb"));
            fs::copy(&data, &copy).unwrap();
            fs::rename(copy, data).unwrap();
        },
    ];
    for take_away in ways {
        let place = Place::new();
        let store = place.open();
        let _ = store.reserve(attestation(0, 1), digest(1)).await.unwrap();
        take_away(&place.store);
        for slot in [2, 1] {
            let refused = store.reserve(attestation(0, slot), digest(1)).await;
            assert!(matches!(&refused, Err(SignerError::StoreFailed { .. })), "{refused:?}");
        }
        store.close().await;
    }
}
