//! Real processes: killed between two durable effects, failing, and in each other's way.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use fermata_validator_signer::{NotSafe, SignerError};

use crate::children::{Role, Started};
use crate::support::{Place, RecordingKeys, attestation, digest, open};

const SIGABRT: i32 = 6;

#[tokio::test]
async fn killed_between_record_and_signature_the_payload_is_signed_by_the_next_process_and_no_other_is() {
    for tag in ["signer.after_pin", "signer.after_sign"] {
        let (place, keys) = (Place::new(), RecordingKeys::new());
        let mut child = Started::new(Role::SignOnce, &place.store, &[("FERMATA_CRASH_POINT", tag)]);
        assert_eq!(child.said().as_deref(), Some("open"));
        assert_eq!(child.said(), None, "{tag} was not reached");
        assert_eq!(child.wait().signal(), Some(SIGABRT));

        let signer = place.signer(&keys);
        let refused = signer.sign(attestation(0, 1), digest(2)).await;
        assert!(
            matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) if on_record == digest(1))
        );
        signer.sign(attestation(0, 1), digest(1)).await.unwrap();
        assert_eq!(keys.asked(attestation(0, 1)), [digest(1)]);
        signer.close().await;
    }
}

#[tokio::test]
async fn killed_before_its_record_is_durable_a_duty_was_never_promised() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let mut child = Started::new(Role::SignOnce, &place.store, &[("FERMATA_CRASH_POINT", "signer.before_pin")]);
    assert_eq!(child.said().as_deref(), Some("open"));
    assert_eq!(child.said(), None);
    assert_eq!(child.wait().signal(), Some(SIGABRT));
    let signer = place.signer(&keys);
    signer.sign(attestation(0, 1), digest(2)).await.unwrap();
    signer.close().await;
}

#[tokio::test]
async fn killed_while_it_closes_with_the_signatures_written_they_are_there_for_the_next_process() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let tag = ("FERMATA_CRASH_POINT", "signer.after_last_signatures");
    let mut child = Started::new(Role::SignOnce, &place.store, &[tag]);
    assert_eq!(child.said().as_deref(), Some("open"));
    assert_eq!(child.said().as_deref(), Some("signed"));
    assert_eq!(child.wait().signal(), Some(SIGABRT));
    let signer = place.signer(&keys);
    signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    assert!(keys.asked(attestation(0, 1)).is_empty(), "the signature of before is given out");
    signer.close().await;
}

#[tokio::test]
async fn after_a_write_that_failed_nothing_is_signed_until_the_store_is_opened_again() {
    let place = Place::new();
    let order = ("FERMATA_CRASH_POINT", "signer.before_pin=io-error@2");
    let mut child = Started::new(Role::GoOnAfterFailures, &place.store, &[order]);
    assert_eq!(child.said().as_deref(), Some("open"));
    assert_eq!(child.said().as_deref(), Some("granted"));
    for _ in 0..3 {
        assert_eq!(child.said().as_deref(), Some("failed, Reopen"));
    }
    assert_eq!(child.said().as_deref(), Some("open"));
    assert_eq!(child.said().as_deref(), Some("granted"), "by the store that was opened again");
    assert!(child.wait().success());
}

#[tokio::test]
async fn a_second_process_is_refused_at_once_with_the_pid_of_the_first_and_let_in_once_that_is_killed() {
    let place = Place::new();
    let mut child = Started::new(Role::Hold, &place.store, &[]);
    assert_eq!(child.said().as_deref(), Some("open"));
    let refused = open(&place.store);
    let Err(SignerError::HeldByAnother { holder: Some(holder), .. }) = &refused else {
        panic!("not refused: {refused:?}")
    };
    assert_eq!((holder.pid, holder.node.as_str()), (child.id(), "a test"));
    assert!(!holder.host.is_empty() && !holder.boot_id.is_empty() && holder.since > 0);
    assert!(refused.unwrap_err().to_string().contains(&child.id().to_string()));
    child.kill();
    place.open().close().await;
}

#[tokio::test]
async fn after_a_close_another_process_opens_the_store_at_once() {
    let place = Place::new();
    place.open().close().await;
    let mut child = Started::new(Role::SignOnce, &place.store, &[]);
    assert_eq!(child.said().as_deref(), Some("open"));
    assert_eq!(child.said().as_deref(), Some("signed"));
    assert!(child.wait().success());
}

/// A process that is being started holds a copy of every open file for a moment, the lock file among them.
#[test]
fn a_process_started_meanwhile_does_not_keep_the_directory_after_a_close() {
    let place = Place::new();
    let done = AtomicBool::new(false);
    let opened = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let opened: Vec<_> =
            (0..300).map(|_| open(&place.store).map(|store| runtime.block_on(store.close()))).collect();
        done.store(true, Ordering::Relaxed);
        opened
    });
    opened.into_iter().collect::<Result<(), _>>().unwrap();
}
