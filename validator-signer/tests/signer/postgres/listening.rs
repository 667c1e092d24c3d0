//! A new store that several nodes share: one of them says from when on it signs, and all listen until then.

use fermata_primitives::Slot;
use fermata_validator_signer::{NotSafe, Protection as _, Safe, SignerError};
use futures::future::join_all;

use super::faults::patient;
use super::server::SharedPlace;
use crate::interchange::{IMPORT, export};
use crate::support::{attestation, digest};

#[tokio::test]
async fn nodes_that_open_a_new_store_at_once_agree_on_one_slot() {
    let place = SharedPlace::new().await;
    let nodes = join_all((0..6u64).map(|node| {
        let options = patient(&place, &format!("node-{node}"));
        place.open_with(options)
    }))
    .await;
    // Their clocks differ.
    let told = join_all(nodes.iter().zip(10u64..).map(|(node, slot)| node.listen_when_new(Slot(slot)))).await;
    let told: Vec<_> = told.into_iter().map(Result::unwrap).collect();
    let until = told[0].expect("it is new");
    assert!((10..16).contains(&until.0) && told.iter().all(|told| *told == Some(until)), "{told:?}");
    for node in &nodes {
        assert_eq!(node.listens_until(), Some(until));
        let early = node.reserve(attestation(0, until.0 - 1), digest(1)).await;
        assert!(matches!(early, Err(SignerError::NotSafe(NotSafe::ListenOnly { .. }))), "{early:?}");
    }
    assert!(matches!(nodes[0].reserve(attestation(0, until.0), digest(1)).await, Ok(Safe::Granted(_))));
    join_all(nodes.iter().map(|node| node.close())).await;
}

#[tokio::test]
async fn nodes_that_sign_already_listen_too_once_another_one_opens_a_store_that_was_imported_into() {
    let (place, elsewhere) = (SharedPlace::new().await, SharedPlace::new().await);
    let (running, from) = (place.open("running").await, elsewhere.open("from").await);
    assert_eq!(running.listen_when_new(Slot(10)).await.unwrap(), Some(Slot(10)));
    let _ = running.reserve(attestation(0, 10), digest(1)).await.unwrap();
    let _ = from.reserve(attestation(1, 5), digest(1)).await.unwrap();
    running.import(&export(&from).await, IMPORT).await.unwrap();
    let _ = running.reserve(attestation(0, 11), digest(1)).await.unwrap();

    let opened = place.open("opened").await;
    assert_eq!(opened.listen_when_new(Slot(20)).await.unwrap(), Some(Slot(20)));
    let early = running.reserve(attestation(0, 19), digest(1)).await;
    assert!(matches!(early, Err(SignerError::NotSafe(NotSafe::ListenOnly { until: Slot(20), .. }))), "{early:?}");
    assert_eq!(running.listen_when_new(Slot(30)).await.unwrap(), Some(Slot(20)), "it is settled");
    for node in [running, from, opened] {
        node.close().await;
    }
}
