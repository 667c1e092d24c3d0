//! Nodes that die with pins of theirs in the shared store.

use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fermata_validator_signer::{NotSafe, PostgresOptions, Protection, SignerError, ValidatorSigner};

use super::server::{SharedPlace, shared};
use crate::children::{DIGEST, FROM, NODE, PORT, Role, Started};
use crate::kills::{SIGKILL, Told};
use crate::support::{RecordingKeys, attestation, digest};

/// Kills of the nodes of one store, and of how many.
const KILLS: u64 = 12;
const NODES: u64 = 2;

/// A node in a process of its own.
fn node(place: &SharedPlace, role: Role, environment: &[(&str, &str)]) -> Started {
    let port = shared().port().to_string();
    let environment: Vec<_> = environment.iter().copied().chain([(PORT, port.as_str())]).collect();
    Started::new(role, Path::new(&place.schema), &environment)
}

#[tokio::test]
async fn a_duty_of_a_node_that_was_killed_while_it_signed_is_waited_for_and_signed_by_a_peer_with_its_payload_alone() {
    let (place, keys) = (SharedPlace::new().await, RecordingKeys::new());
    let mut dead = node(&place, Role::SignSharedSilently, &[(NODE, "dead")]);
    assert_eq!(dead.said().as_deref(), Some("open"));
    assert_eq!(dead.said(), Some(format!("asks 1 0 {}", digest(1))));
    assert_eq!(dead.kill().signal(), Some(SIGKILL));

    // It may have signed, as far as anybody knows.
    let patient = PostgresOptions { takeover_after: Duration::from_secs(3600), ..place.options("patient") };
    let patient = place.open_with(patient).await;
    match patient.reserve(attestation(0, 1), digest(1)).await {
        Err(SignerError::Busy { owner, .. }) => assert_eq!(owner, "dead"),
        other => panic!("{other:?}"),
    }
    patient.close().await;

    let options = PostgresOptions { takeover_after: Duration::from_secs(1), ..place.options("alive") };
    let store = Arc::new(place.open_with(options).await);
    let signer = ValidatorSigner::owning(store.clone(), keys.clone());
    signer.start().unwrap();
    for payload in [2, 3] {
        let refused = signer.sign(attestation(0, 1), digest(payload)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{refused:?}");
    }
    let signature = signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    assert_eq!(keys.asked(attestation(0, 1)), [digest(1)]);
    let refused = signer.sign(attestation(0, 1), digest(2)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{refused:?}");
    assert_eq!(signer.sign(attestation(0, 1), digest(1)).await.unwrap(), signature);
    signer.close().await;
    assert_eq!(place.sql("SELECT owner, fence, state FROM duties"), "alive|2|signed");
}

#[tokio::test]
async fn nodes_that_are_killed_at_whatever_moment_never_sign_two_payloads_for_one_duty() {
    let (place, random, mut told) = (SharedPlace::new().await, RandomState::new(), Told::default());
    for run in 0..KILLS / NODES {
        // They begin where others have been, and each would like to sign something else.
        let from = told.answered.saturating_sub(1).max(1).to_string();
        let mut nodes: Vec<_> = (0..NODES)
            .map(|at| {
                let (name, payload) = (format!("node-{at}"), (run * NODES + at + 1).to_string());
                node(&place, Role::SignForEverShared, &[(NODE, &name), (FROM, &from), (DIGEST, &payload)])
            })
            .collect();
        for (node, at) in nodes.iter_mut().zip(0u64..) {
            for _ in 0..=random.hash_one((run, at)) % 30 {
                told.hear(&node.said().expect("it goes on until it is killed"));
            }
            assert_eq!(node.kill().signal(), Some(SIGKILL));
            while let Some(said) = node.said() {
                told.hear(&said);
            }
        }
    }
    assert!(!told.asked.is_empty(), "no key was asked between the kills");
    let store = place.open("last").await;
    let duties: Vec<_> =
        told.asked.keys().map(|&(slot, validator)| (attestation(validator, slot), digest(0xff))).collect();
    for (refused, (duty, asked)) in store.reserve_many(&duties, None).await.into_iter().zip(&told.asked) {
        let Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) = refused else {
            panic!("slot and validator {duty:?} are lost: {refused:?}")
        };
        assert_eq!(on_record, *asked);
    }
    store.close().await;
}
