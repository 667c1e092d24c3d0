//! A store that nodes share, on a real server.

use std::time::Duration;

use fermata_validator_signer::DatabaseUrl;

use super::*;
use crate::postgres_server::Server;

/// Two nodes with the same keys, and a store that they share.
fn node(name: &str, database: &DatabaseUrl) -> Ground {
    let ground = Ground::in_slot(40);
    let shared = SharedProtection {
        database: database.clone(),
        schema: "fermata_signer".to_owned(),
        node: name.to_owned(),
        ca_file: None,
        takeover_after: Duration::from_millis(100),
    };
    let config = ProtectionConfig { shared: Some(shared), ..ground.config.clone() };
    Ground { config, ..ground }
}

async fn init(ground: &Ground) {
    let shared = ground.config.shared.as_ref().expect("it shares one");
    let options = shared.options(ground.root.path().join("init.anchor"));
    PostgresProtection::init(&shared.database, DOMAIN, &options).await.expect("an empty database");
}

#[tokio::test]
async fn a_node_with_a_database_asks_it_and_its_own_store() {
    let server = Server::start();
    let (one, other) = (node("one", &server.url()), node("other", &server.url()));
    let unmade = one.open_first().await;
    assert!(matches!(unmade, Err(SignerError::NotInitialised { .. })), "no node makes it: {unmade:?}");
    init(&one).await;

    let (at_one, at_other) = (one.open_first().await.expect("both"), other.open_first().await.expect("both"));
    assert!(matches!(at_one.reserve(attestation(40), digest(1)).await, Ok(Safe::Granted(_))));
    let refused = refusal(at_other.reserve(attestation(40), digest(2)).await);
    assert!(matches!(refused, NotSafe::Conflict { .. }), "the database tells them of each other: {refused}");
    at_one.close().await;
    at_other.close().await;

    // Without the database the node's own store has kept its part.
    let alone = Ground { config: ProtectionConfig { shared: None, ..one.config.clone() }, ..one };
    let alone = alone.open_again().await.expect("its own");
    let refused = refusal(alone.reserve(attestation(40), digest(2)).await);
    assert!(matches!(refused, NotSafe::Conflict { .. }), "{refused}");
    alone.close().await;
}

#[tokio::test]
async fn a_node_whose_database_is_down_does_not_open_and_holds_nothing_afterwards() {
    let mut server = Server::start();
    let ground = node("one", &server.url());
    init(&ground).await;
    server.down();
    for _ in 0..2 {
        let refused = ground.open_first().await;
        assert!(matches!(refused, Err(SignerError::Unavailable { .. })), "{refused:?}");
    }
    server.up("");
    let store = ground.open_first().await.expect("it is back");
    assert!(matches!(store.reserve(attestation(40), digest(1)).await, Ok(Safe::Granted(_))));
    store.close().await;
}

#[tokio::test]
async fn a_kind_that_one_node_calls_strict_only_goes_forward_at_every_node() {
    let server = Server::start();
    let (one, other) = (node("one", &server.url()), node("other", &server.url()));
    init(&one).await;
    let config = ProtectionConfig { strict: [DutyKind::Attestation].into(), ..one.config.clone() };
    let one = Ground { config, ..one };
    let (at_one, at_other) = (one.open_first().await.expect("both"), other.open_first().await.expect("both"));
    assert!(matches!(at_one.reserve(attestation(41), digest(1)).await, Ok(Safe::Granted(_))));
    let back = refusal(at_other.reserve(attestation(40), digest(1)).await);
    assert!(matches!(back, NotSafe::NotAboveMaxSigned { max_signed: Slot(41), .. }), "{back}");
    at_one.close().await;
    at_other.close().await;
}
