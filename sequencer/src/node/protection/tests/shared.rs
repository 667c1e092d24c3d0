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
async fn with_a_new_shared_store_all_nodes_listen_once_until_the_slot_that_the_first_of_them_names() {
    let server = Server::start();
    let [one, other] = ["one", "other"].map(|name| {
        let ground = node(name, &server.url());
        Ground { config: ProtectionConfig { listen_only_slots: 2, ..ground.config.clone() }, ..ground }
    });
    init(&one).await;
    let at_one = one.open_first().await.expect("both");
    other.clock.set(times().start_of(Slot(42)).into());
    let at_other = other.open_first().await.expect("both");
    assert_eq!((at_one.listens_until(), at_other.listens_until()), (Some(Slot(43)), Some(Slot(45))), "its own is new");
    at_other.close().await;
    let at_other = other.open_again().await.expect("both");
    assert_eq!(at_other.listens_until(), Some(Slot(45)));
    let early = refusal(at_one.reserve(attestation(42), digest(1)).await);
    assert!(matches!(early, NotSafe::ListenOnly { until: Slot(43), .. }), "{early}");
    one.clock.set(times().start_of(Slot(43)).into());
    assert!(matches!(at_one.reserve(attestation(43), digest(1)).await, Ok(Safe::Granted(_))));
    at_one.close().await;
    at_other.close().await;
}

#[tokio::test]
async fn a_node_whose_database_is_down_has_not_listened_meanwhile() {
    let mut server = Server::start();
    let ground = node("one", &server.url());
    init(&ground).await;
    let ground = Ground { config: ProtectionConfig { listen_only_slots: 2, ..ground.config.clone() }, ..ground };
    server.down();
    assert!(matches!(ground.open_first().await, Err(SignerError::Unavailable { .. })));
    server.up("");
    ground.clock.set(times().start_of(Slot(90)).into());
    let store = ground.open_again().await.expect("it is back");
    assert_eq!(store.listens_until(), Some(Slot(93)));
    store.close().await;
    let alone = Ground { config: ProtectionConfig { shared: None, ..ground.config.clone() }, ..ground };
    let alone = alone.open_again().await.expect("its own");
    assert_eq!(alone.listens_until(), Some(Slot(93)), "its own store owed it still");
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
