//! Servers that die, hang and lose the line; answers that never arrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::B256;
use fermata_validator_signer::{Duty, NotSafe, PostgresOptions, PostgresProtection, Protection, Safe, SignerError};
use futures::future::join_all;

use super::proxy::{Cut, Proxy};
use super::server::running::url;
use super::server::{Server, SharedPlace, shared};
use crate::support::{DOMAIN, attestation, digest};

/// Patience that no busy machine exhausts.
pub(super) fn patient(place: &SharedPlace, node: &str) -> PostgresOptions {
    PostgresOptions { patience: Duration::from_secs(60), ..place.options(node) }
}

/// A store of the shared server, reached through a proxy.
pub(super) async fn through(proxy: &Proxy, options: PostgresOptions) -> PostgresProtection {
    PostgresProtection::open(&url(proxy.port), DOMAIN, options).await.unwrap()
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_the_callers_own() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let store = through(&proxy, patient(&place, "a")).await;
    proxy.cut(Cut::AfterCommit, 1);
    let before = proxy.committed();
    let answer = store.reserve(attestation(0, 1), digest(1)).await;
    assert!(matches!(answer, Ok(Safe::Granted(_))), "{answer:?}");
    assert_eq!((proxy.cuts_left(), proxy.committed() - before), (0, 2), "cut once, then tried again");
    assert_eq!(place.sql("SELECT count(*), max(fence) FROM duties"), "1|1", "recorded once, under one owner");
    store.close().await;
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_tried_again() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let store = through(&proxy, patient(&place, "a")).await;
    proxy.cut(Cut::BeforeCommit, 3);
    assert!(matches!(store.reserve(attestation(0, 1), digest(1)).await, Ok(Safe::Granted(_))));
    assert_eq!(proxy.cuts_left(), 0);
    store.close().await;
}

#[tokio::test]
async fn nodes_that_race_over_broken_lines_never_get_two_payloads() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let nodes = join_all((0..3).map(|node| {
        let options = PostgresOptions { busy_patience: Duration::ZERO, ..patient(&place, &format!("node-{node}")) };
        through(&proxy, options)
    }))
    .await;
    for slot in 0..40 {
        proxy.cut(if slot % 2 == 0 { Cut::AfterCommit } else { Cut::BeforeCommit }, 2);
        let duty = attestation(0, slot);
        let race = nodes.iter().zip(1u8..).map(|(node, payload)| node.reserve(duty, digest(payload)));
        let outcomes = join_all(race).await;
        let granted: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_ok()).collect();
        assert_eq!(granted.len(), 1, "slot {slot}: {outcomes:?}");
    }
    join_all(nodes.iter().map(Protection::close)).await;
}

/// Whether a request that was not answered may be on record.
fn unavailable(answer: Result<Safe, SignerError>) -> bool {
    match answer {
        Err(SignerError::Unavailable { ambiguous, .. }) => ambiguous,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_records_nothing_later() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let options = PostgresOptions { patience: Duration::from_millis(300), ..place.options("a") };
    let store = through(&proxy, options).await;
    proxy.shut();
    proxy.cut(Cut::BeforeCommit, 1);
    let lost = unavailable(store.reserve(attestation(0, 1), digest(1)).await);
    assert!(lost, "it was on its way when the line was cut");
    let _ = unavailable(store.reserve(attestation(0, 2), digest(1)).await);
    proxy.open();
    let back = loop {
        match store.reserve(attestation(0, 3), digest(1)).await {
            Err(SignerError::Unavailable { .. }) => {}
            answer => break answer,
        }
    };
    assert!(matches!(back, Ok(Safe::Granted(_))));
    assert_eq!(place.sql("SELECT count(*) FROM duties"), "1", "what was given up was not recorded later");
    store.close().await;
}

#[tokio::test]
async fn lines_that_a_pooler_cuts_cost_no_duty() {
    let place = SharedPlace::new().await;
    let store = place.open_with(patient(&place, &place.schema)).await;
    let done = AtomicBool::new(false);
    let load = async {
        for slot in 0..300 {
            let answer = store.reserve(attestation(0, slot), digest(1)).await;
            assert!(matches!(answer, Ok(Safe::Granted(_))), "slot {slot}: {answer:?}");
        }
        done.store(true, Ordering::SeqCst);
    };
    let query = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fermata {}'",
        place.schema
    );
    let cutting = async {
        while !done.load(Ordering::SeqCst) {
            let query = query.clone();
            tokio::task::spawn_blocking(move || shared().sql(&query)).await.unwrap();
        }
    };
    tokio::join!(load, cutting);
    store.close().await;
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up() {
    let server = Server::start();
    let place = SharedPlace::on(server.url());
    PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await.unwrap();
    let options = PostgresOptions { patience: Duration::from_millis(500), ..place.options("a") };
    let store = place.open_with(options).await;
    let _ = store.reserve(attestation(0, 1), digest(1)).await.unwrap();
    server.freeze("-STOP");
    assert!(unavailable(store.reserve(attestation(0, 2), digest(1)).await), "it may have arrived");
    server.freeze("-CONT");
    // Whatever became of it, another payload is either refused or was never preceded.
    let answer = loop {
        match store.reserve(attestation(0, 3), digest(1)).await {
            Err(SignerError::Unavailable { .. }) => {}
            answer => break answer,
        }
    };
    assert!(matches!(answer, Ok(Safe::Granted(_) | Safe::Resume(_))), "{answer:?}");
    store.close().await;
}

/// What callers were told while the server was killed again and again: the payload of each slot that was granted.
async fn load(store: Arc<PostgresProtection>, next: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> BTreeMap<u64, B256> {
    let mut granted = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        let slot = next.fetch_add(1, Ordering::SeqCst);
        let payload = digest(u8::try_from(slot % 250).unwrap() + 1);
        if store.reserve(attestation(0, slot), payload).await.is_ok() {
            granted.insert(slot, payload);
        }
    }
    granted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_granted_is_lost_to_kills_of_the_server_under_load() {
    let mut server = Server::start();
    let place = SharedPlace::on(server.url());
    PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await.unwrap();
    let store = Arc::new(place.open_with(patient(&place, "a")).await);
    let (next, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        callers.spawn(load(Arc::clone(&store), Arc::clone(&next), Arc::clone(&stop)));
    }
    for _ in 0..5 {
        // Killed once it is under load again.
        let seen = next.load(Ordering::SeqCst);
        while next.load(Ordering::SeqCst) < seen + 500 {
            tokio::task::yield_now().await;
        }
        server = tokio::task::spawn_blocking(move || {
            server.kill();
            server.up("");
            server
        })
        .await
        .unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let granted: BTreeMap<u64, B256> = callers.join_all().await.into_iter().flatten().collect();
    assert!(granted.len() > 2000, "{}", granted.len());
    let others: Vec<(Duty, B256)> = granted.keys().map(|&slot| (attestation(0, slot), digest(255))).collect();
    for ((slot, payload), answer) in granted.iter().zip(store.reserve_many(&others, None).await) {
        let Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) = answer else {
            panic!("slot {slot} was granted, and now it is said {answer:?}")
        };
        assert_eq!(on_record, *payload);
    }
    store.close().await;
}
