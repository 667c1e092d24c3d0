//! A server that was set back, or replaced, may have lost what was signed.

use std::path::PathBuf;

use fermata_primitives::Slot;
use fermata_validator_signer::{NextStep, NotSafe, PostgresOptions, PostgresProtection, Protection, Safe, SignerError};
use tempfile::TempDir;

use super::server::{Server, SharedPlace};
use crate::support::{DOMAIN, attestation, digest};

/// A store with one duty, a backup of it, and then one duty more.
struct Restored {
    server: Server,
    backup: Server,
    place: SharedPlace,
    dir: TempDir,
}

impl Restored {
    async fn new() -> Self {
        let mut server = Server::start();
        let place = SharedPlace::on(server.url());
        let dir = tempfile::tempdir().unwrap();
        PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await.unwrap();
        let store = place.open("a").await;
        let _ = store.reserve(attestation(0, 1), digest(1)).await.unwrap();
        store.close().await;
        server.down();
        let backup = server.copy();
        server.up("");
        Self { server, backup, place, dir }
    }

    fn anchor(&self) -> PathBuf {
        self.dir.path().join("anchor.json")
    }

    fn options(&self) -> PostgresOptions {
        PostgresOptions { anchor: Some(self.anchor()), ..self.place.options("a") }
    }

    async fn sign_more(&self) {
        let store = self.place.open_with(self.options()).await;
        let wanted: Vec<_> = (2..100).map(|slot| (attestation(0, slot), digest(1))).collect();
        assert!(store.reserve_many(&wanted, None).await.iter().all(Result::is_ok));
        store.close().await;
    }

    async fn open(&self) -> Result<PostgresProtection, SignerError> {
        PostgresProtection::open(&self.place.url, DOMAIN, self.options()).await
    }
}

fn stale(outcome: Result<impl std::fmt::Debug, SignerError>) {
    let error = outcome.expect_err("a server that may have lost duties is not used");
    assert!(matches!(error, SignerError::StaleServer { .. }), "{error}");
    assert_eq!(error.next_step(), NextStep::Operator);
}

#[tokio::test]
async fn a_restored_backup_is_refused_until_it_is_accepted_with_the_slots_it_may_have_lost() {
    let mut case = Restored::new().await;
    case.sign_more().await;
    case.server.down();
    case.backup.up("");
    stale(case.open().await);
    stale(case.open().await);
    PostgresProtection::accept_restored(&case.place.url, DOMAIN, &case.options(), Slot(150)).await.unwrap();
    let store = case.open().await.unwrap();
    let lost = store.reserve(attestation(0, 50), digest(2)).await;
    assert!(matches!(lost, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(150), .. }))), "{lost:?}");
    let of_another_key = store.reserve(attestation(5, 150), digest(2)).await;
    assert!(matches!(of_another_key, Err(SignerError::NotSafe(NotSafe::BelowLow { .. }))));
    assert!(matches!(store.reserve(attestation(0, 151), digest(2)).await, Ok(Safe::Granted(_))));
    store.close().await;
}

#[tokio::test]
async fn a_server_that_is_set_back_under_an_open_store_is_noticed_when_the_line_comes_back() {
    let mut case = Restored::new().await;
    let options = PostgresOptions { anchor: None, ..case.options() };
    let store = case.place.open_with(options).await;
    let _ = store.reserve(attestation(0, 2), digest(1)).await.unwrap();
    case.server.down();
    case.backup.up("");
    stale(store.reserve(attestation(0, 2), digest(2)).await);
    stale(store.reserve(attestation(0, 3), digest(1)).await);
    store.close().await;
}

#[tokio::test]
async fn a_standby_that_took_over_is_refused() {
    let mut case = Restored::new().await;
    case.sign_more().await;
    case.server.down();
    case.backup.make_recoverable();
    // It recovers what it has, finds no more, and begins a timeline of its own.
    case.backup.up("-c restore_command=false");
    // Far ahead of where the old one was: it is the timeline that tells.
    let fill = "SELECT count(pg_logical_emit_message(false, 'a', repeat('x', 1000))) FROM generate_series(1, 9000)";
    case.backup.sql(fill);
    stale(case.open().await);
    // Also to a node that has never seen the old one: the store remembers where it was accepted.
    let newcomer = PostgresProtection::open(&case.place.url, DOMAIN, case.place.options("new")).await;
    stale(newcomer);
    PostgresProtection::accept_restored(&case.place.url, DOMAIN, &case.options(), Slot(150)).await.unwrap();
    case.open().await.unwrap().close().await;
}

#[tokio::test]
async fn another_server_with_a_store_of_the_same_name_is_refused() {
    let mut case = Restored::new().await;
    case.sign_more().await;
    let other = Server::start();
    let place = SharedPlace { url: other.url(), schema: case.place.schema.clone() };
    PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await.unwrap();
    stale(PostgresProtection::open(&place.url, DOMAIN, case.options()).await);
    case.server.down();
}

#[tokio::test]
async fn the_same_server_after_a_crash_is_the_same() {
    let mut case = Restored::new().await;
    case.sign_more().await;
    case.server.kill();
    case.server.up("");
    let store = case.open().await.unwrap();
    let conflict = store.reserve(attestation(0, 99), digest(2)).await;
    assert!(matches!(conflict, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{conflict:?}");
    store.close().await;
}
