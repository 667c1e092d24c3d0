//! Real processes: killed between two durable effects, killed anywhere, and in each other's way.

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fermata_validator_signer::{NotSafe, SignerError, ValidatorSigner};

use crate::support::{Place, RecordingKeys, attestation, digest, open};

const ROLE: &str = "FERMATA_TEST_ROLE";
const STORE: &str = "FERMATA_TEST_STORE";
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// What a child process is started for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// Sign one attestation, of digest 1 in slot 1.
    SignOnce,
    /// Pin attestations of digest 1, slot after slot, and print each slot that was answered, until killed.
    PinForEver,
    /// Hold the store until killed.
    Hold,
}

/// A child process of this test binary, ended with its owner.
struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Started {
    fn new(role: Role, store: &Path, crash_point: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "processes::the_body_of_a_child", "--ignored", "--nocapture"]);
        command.env(ROLE, format!("{role:?}")).env(STORE, store).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(tag) = crash_point {
            command.env("FERMATA_CRASH_POINT", tag);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing the child said to us; the test harness says things too.
    fn said(&mut self) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("child: ").map(|(_, said)| said.to_owned()))
    }

    fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "no test: the body of the child processes that the tests of this module start"]
async fn the_body_of_a_child() {
    let role = std::env::var(ROLE).expect("started by a test of this module");
    let orders: Vec<_> = fermata_primitives::orders_from_environment().into_iter().collect();
    fermata_primitives::arm(&orders).unwrap();
    let store = open(Path::new(&std::env::var(STORE).unwrap())).unwrap();
    println!("child: open");
    if role == format!("{:?}", Role::SignOnce) {
        let signer = ValidatorSigner::owning(Arc::new(store), RecordingKeys::new());
        signer.start().unwrap();
        signer.sign(attestation(0, 1), digest(1)).await.unwrap();
        println!("child: signed");
        signer.close().await;
    } else if role == format!("{:?}", Role::PinForEver) {
        for slot in 1.. {
            let wanted: Vec<_> = (0..8).map(|validator| (attestation(validator, slot), digest(1))).collect();
            assert!(store.reserve_many(&wanted, None).await.iter().all(Result::is_ok));
            println!("child: {slot}");
        }
    } else {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn killed_between_record_and_signature_the_payload_is_signed_by_the_next_process_and_no_other_is() {
    for tag in ["signer.after_pin", "signer.after_sign"] {
        let (place, keys) = (Place::new(), RecordingKeys::new());
        let mut child = Started::new(Role::SignOnce, &place.store, Some(tag));
        assert_eq!(child.said().as_deref(), Some("open"));
        assert_eq!(child.said(), None, "{tag} was not reached");
        assert_eq!(child.child.wait().unwrap().signal(), Some(SIGABRT));

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
async fn nothing_that_was_answered_is_lost_to_a_kill() {
    for round in 0..20usize {
        let place = Place::new();
        let mut child = Started::new(Role::PinForEver, &place.store, None);
        assert_eq!(child.said().as_deref(), Some("open"));
        for _ in 0..round * 7 {
            child.said().unwrap();
        }
        assert_eq!(child.kill().signal(), Some(SIGKILL));
        let mut answered = round as u64 * 7;
        while let Some(slot) = child.said().and_then(|said| said.parse().ok()) {
            answered = slot;
        }
        let store = place.open();
        for slot in 1..=answered {
            for validator in 0..8 {
                let refused = store.reserve(attestation(validator, slot), digest(2)).await;
                assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "slot {slot} is lost");
            }
        }
        // The one transaction that may have been under way is there whole or not at all.
        let next: Vec<_> = (0..8).map(|validator| (attestation(validator, answered + 1), digest(2))).collect();
        let granted = store.reserve_many(&next, None).await.iter().filter(|answer| answer.is_ok()).count();
        assert!(granted == 0 || granted == 8, "{granted} of 8");
        store.close().await;
    }
}

#[tokio::test]
async fn a_second_process_is_refused_at_once_with_the_pid_of_the_first_and_let_in_once_that_is_killed() {
    let place = Place::new();
    let mut child = Started::new(Role::Hold, &place.store, None);
    assert_eq!(child.said().as_deref(), Some("open"));
    let refused = open(&place.store);
    let Err(SignerError::HeldByAnother { pid, .. }) = &refused else { panic!("not refused: {refused:?}") };
    assert_eq!(*pid, Some(child.child.id()));
    assert!(refused.unwrap_err().to_string().contains(&child.child.id().to_string()));
    child.kill();
    place.open().close().await;
}

#[tokio::test]
async fn after_a_close_another_process_opens_the_store_at_once() {
    let place = Place::new();
    place.open().close().await;
    let mut child = Started::new(Role::SignOnce, &place.store, None);
    assert_eq!(child.said().as_deref(), Some("open"));
    assert_eq!(child.said().as_deref(), Some("signed"));
    assert!(child.child.wait().unwrap().success());
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
