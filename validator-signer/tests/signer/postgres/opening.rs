//! Only the store that it should be is opened, and none is made unasked.

use fermata_validator_signer::{Domain, NextStep, PostgresProtection, Protection, SignerError};

use super::server::{Server, SharedPlace, shared};
use crate::support::{DOMAIN, attestation, digest};

async fn refused(place: &SharedPlace, domain: Domain) -> SignerError {
    PostgresProtection::open(&place.url, domain, place.options("a")).await.expect_err("it must not open")
}

#[tokio::test]
async fn an_empty_database_is_not_silently_a_store() {
    let place = SharedPlace::on(shared().url());
    let error = refused(&place, DOMAIN).await;
    assert!(matches!(error, SignerError::NotInitialised { .. }), "{error}");
    assert_eq!(error.next_step(), NextStep::Operator);
}

#[tokio::test]
async fn a_store_is_made_once_and_not_over_anything() {
    let place = SharedPlace::new().await;
    let store = place.open("a").await;
    let _ = store.reserve(attestation(0, 1), digest(1)).await.unwrap();
    store.close().await;
    let again = PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await;
    assert!(matches!(again, Err(SignerError::AlreadyInitialised { .. })), "{again:?}");

    let foreign = SharedPlace::on(shared().url());
    shared().sql(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.theirs (x int)", foreign.schema));
    let over = PostgresProtection::init(&foreign.url, DOMAIN, &foreign.options("a")).await;
    assert!(matches!(over, Err(SignerError::AlreadyInitialised { .. })), "{over:?}");
    assert!(matches!(refused(&foreign, DOMAIN).await, SignerError::Damaged { .. }));

    let store = place.open("a").await;
    assert!(store.reserve(attestation(0, 1), digest(2)).await.is_err(), "its records are untouched");
    store.close().await;
}

#[tokio::test]
async fn an_older_and_a_newer_schema_are_refused() {
    let place = SharedPlace::new().await;
    place.sql("UPDATE store SET schema_version = 3");
    let newer = refused(&place, DOMAIN).await;
    assert!(matches!(newer, SignerError::NewerSchema { found: 3, known: 2, .. }), "{newer}");
    // Another version need not have the same columns.
    place.sql("UPDATE store SET schema_version = 1; ALTER TABLE store DROP COLUMN store_id");
    let older = refused(&place, DOMAIN).await;
    assert!(matches!(older, SignerError::OlderSchema { found: 1, known: 2, .. }), "{older}");
    place.sql("DELETE FROM store");
    assert!(matches!(refused(&place, DOMAIN).await, SignerError::Damaged { .. }));
}

#[tokio::test]
async fn a_store_of_another_rollup_is_refused() {
    let place = SharedPlace::new().await;
    let other = Domain { l1_chain_id: DOMAIN.l1_chain_id + 1, ..DOMAIN };
    assert!(matches!(refused(&place, other).await, SignerError::OtherDomain { found: DOMAIN, .. }));
    place.open("a").await.close().await;
}

#[tokio::test]
async fn a_server_that_forgets_what_it_confirmed_is_refused() {
    let server = Server::start_with("-c fsync=off", "keep");
    let place = SharedPlace::on(server.url());
    let refused = PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await;
    assert!(matches!(refused, Err(SignerError::BadServer { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_setting_that_loses_commits_is_raised_for_the_sessions_of_the_store() {
    let mut server = Server::start();
    server.sql("ALTER ROLE fermata SET synchronous_commit = off");
    let place = SharedPlace::on(server.url());
    PostgresProtection::init(&place.url, DOMAIN, &place.options("a")).await.unwrap();
    let store = place.open("a").await;
    let _ = store.reserve(attestation(0, 1), digest(1)).await.unwrap();
    // With it off, a crash at once forgets what was confirmed a moment ago.
    server.kill();
    server.up("");
    assert!(matches!(store.reserve(attestation(0, 1), digest(2)).await, Err(SignerError::NotSafe(_))));
    store.close().await;
}

#[tokio::test]
async fn a_closed_store_refuses_and_closes_again() {
    let place = SharedPlace::new().await;
    let store = place.open("a").await;
    store.close().await;
    store.close().await;
    assert!(matches!(store.reserve(attestation(0, 1), digest(1)).await, Err(SignerError::Closed)));
    assert!(matches!(store.prune(fermata_primitives::Slot(3)).await, Err(SignerError::Closed)));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_no_crash() {
    let place = SharedPlace::on("postgres://fermata@127.0.0.1:1/postgres".parse().unwrap());
    let error = refused(&place, DOMAIN).await;
    assert!(matches!(error, SignerError::Unavailable { .. }), "{error}");
    assert_eq!(error.next_step(), NextStep::RetrySame);
}
