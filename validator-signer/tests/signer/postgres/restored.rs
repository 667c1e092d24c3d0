//! A server that was set back, or replaced, may have lost what was signed.

use std::path::PathBuf;

use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::{
    EthLast, EthLastError, EthPublicKey, EthReason, EthSafe, NextStep, NotSafe, PostgresOptions, PostgresProtection,
    Protection, Safe, SignerError,
};
use tempfile::TempDir;

use super::server::{Server, SharedPlace};
use crate::ethereum::{block, refusal, vote};
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
        Self::with(&[]).await
    }

    /// These Ethereum keys have signed as well.
    async fn with(eth_keys: &[EthPublicKey]) -> Self {
        let mut server = Server::start();
        let place = SharedPlace::on(server.url());
        let dir = tempfile::tempdir().unwrap();
        PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await.unwrap();
        let store = place.open("a").await;
        let _ = store.reserve(attestation(0, 1), digest(1)).await.unwrap();
        for &public_key in eth_keys {
            sign_eth(&store, public_key, 3).await;
        }
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

/// Signs a block of the slot, and an attestation for it as target from the epoch before.
async fn sign_eth(store: &PostgresProtection, public_key: EthPublicKey, at: u64) {
    for duty in [block(at), vote(at - 1, at)] {
        let _ = store.reserve_eth(public_key, duty, digest(1)).await.unwrap();
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
    PostgresProtection::accept_restored(&case.place.url, DOMAIN, &case.options(), Slot(150), None).await.unwrap();
    let store = case.open().await.unwrap();
    let lost = store.reserve(attestation(0, 50), digest(2)).await;
    assert!(matches!(lost, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(150), .. }))), "{lost:?}");
    let of_another_key = store.reserve(attestation(5, 150), digest(2)).await;
    assert!(matches!(of_another_key, Err(SignerError::NotSafe(NotSafe::BelowLow { .. }))));
    assert!(matches!(store.reserve(attestation(0, 151), digest(2)).await, Ok(Safe::Granted(_))));
    store.close().await;
}

#[tokio::test]
async fn a_restored_backup_with_ethereum_keys_is_accepted_once_it_is_told_what_they_signed_last() {
    let keys = [EthPublicKey::repeat_byte(0xa1), EthPublicKey::repeat_byte(0xa2)];
    let mut case = Restored::with(&keys).await;
    let store = case.place.open_with(case.options()).await;
    sign_eth(&store, keys[0], 8).await;
    store.close().await;
    case.server.down();
    case.backup.up("");
    let options = case.options();
    let accept = |last| PostgresProtection::accept_restored(&case.place.url, DOMAIN, &options, Slot(150), last);
    let untold = accept(None).await;
    assert!(matches!(untold, Err(SignerError::EthLast(EthLastError::Untold { public_keys: 2 }))), "{untold:?}");
    let too_early = accept(Some(EthLast { slot: Slot(9), target: Epoch(2) })).await;
    assert!(matches!(too_early, Err(SignerError::EthLast(EthLastError::TooEarly { .. }))), "{too_early:?}");
    stale(case.open().await);
    for _ in 0..2 {
        assert_eq!(accept(Some(EthLast { slot: Slot(9), target: Epoch(8) })).await.unwrap(), 2);
    }
    let store = case.open().await.unwrap();
    for key in keys {
        let ask = async |duty| store.reserve_eth(key, duty, digest(2)).await;
        assert_eq!(refusal(ask(block(9)).await), EthReason::SlotBelowLow { lowest: Slot(10) });
        assert_eq!(refusal(ask(vote(8, 8)).await), EthReason::TargetBelowLow { lowest: Epoch(9) });
        // It would surround what the first key signed from 7 to 8.
        assert_eq!(refusal(ask(vote(6, 9)).await), EthReason::SourceBelowLow { lowest: Epoch(8) });
        for duty in [block(10), vote(8, 9)] {
            assert!(matches!(ask(duty).await, Ok(EthSafe::New(_))));
        }
    }
    // A key whose first duty was lost with the old server is bound too.
    let stranger = EthPublicKey::repeat_byte(0xa3);
    for duty in [block(9), vote(8, 8), vote(6, 9)] {
        let refused = store.reserve_eth(stranger, duty, digest(2)).await;
        assert!(matches!(refused, Err(SignerError::EthNotSafe(_))), "{refused:?}");
    }
    assert!(matches!(store.reserve_eth(stranger, block(10), digest(2)).await, Ok(EthSafe::New(_))));
    let lost = store.reserve(attestation(0, 150), digest(2)).await;
    assert!(matches!(lost, Err(SignerError::NotSafe(NotSafe::BelowLow { .. }))), "{lost:?}");
    store.close().await;
    // What it has signed since is on record as of any other key.
    assert_eq!(accept(Some(EthLast { slot: Slot(10), target: Epoch(9) })).await.unwrap(), 3);
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
    PostgresProtection::accept_restored(&case.place.url, DOMAIN, &case.options(), Slot(150), None).await.unwrap();
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
