//! A local store and a shared one that must agree.

use std::sync::Arc;

use alloy::primitives::Signature;
use fermata_primitives::Slot;
use fermata_validator_signer::{
    Both, Domain, DutyKind, Halt, KeyChange, NotSafe, PostgresOptions, PostgresProtection, Protection, Safe, Sighting,
    SignerError, ValidatorSigner,
};

use super::server::{Server, SharedPlace};
use crate::support::{DOMAIN, Place, RecordingKeys, attestation, digest};

async fn both(place: &Place, shared: &SharedPlace, node: &str) -> Both {
    Both::new(Arc::new(place.open()), Arc::new(shared.open(node).await)).unwrap()
}

fn is_conflict(answer: &Result<Safe, SignerError>) -> bool {
    matches!(answer, Err(SignerError::NotSafe(NotSafe::Conflict { .. })))
}

#[tokio::test]
async fn a_payload_that_either_store_refuses_is_refused() {
    let (place, shared) = (Place::new(), SharedPlace::new().await);
    let local = place.open();
    let _ = local.reserve(attestation(0, 1), digest(1)).await.unwrap();
    local.close().await;
    let other = shared.open("other").await;
    let _ = other.reserve(attestation(0, 2), digest(1)).await.unwrap();

    let both = both(&place, &shared, "us").await;
    assert!(is_conflict(&both.reserve(attestation(0, 1), digest(2)).await), "the local one refuses");
    assert!(is_conflict(&both.reserve(attestation(0, 2), digest(2)).await), "the shared one refuses");
    assert!(matches!(both.reserve(attestation(0, 3), digest(2)).await, Ok(Safe::Granted(_))));
    // What was refused by one is not left pinned in the other.
    let _ = other.reserve(attestation(0, 1), digest(3)).await.unwrap();
    both.close().await;
    let local = place.open();
    let _ = local.reserve(attestation(0, 2), digest(3)).await.unwrap();
    local.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_payload_is_signed_once_and_its_signature_is_kept_by_both() {
    let (place, shared, keys) = (Place::new(), SharedPlace::new().await, RecordingKeys::new());
    let signer = ValidatorSigner::owning(Arc::new(both(&place, &shared, "us").await), keys.clone());
    signer.start().unwrap();
    let signature = signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    assert_eq!(signer.sign(attestation(0, 1), digest(1)).await.unwrap(), signature);
    signer.close().await;
    assert_eq!(keys.asked(attestation(0, 1)), [digest(1)]);
    let (local, other) = (place.open(), shared.open("other").await);
    for answer in [local.reserve(attestation(0, 1), digest(1)).await, other.reserve(attestation(0, 1), digest(1)).await]
    {
        assert!(matches!(answer, Ok(Safe::Done(kept)) if kept == signature), "{answer:?}");
    }
    local.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_signature_that_one_store_has_is_given_and_kept_by_the_other() {
    let (place, shared) = (Place::new(), SharedPlace::new().await);
    let other = shared.open("other").await;
    let Ok(Safe::Granted(held)) = other.reserve(attestation(0, 1), digest(1)).await else { panic!("it is free") };
    other.record_signature(held.into_permit(), Signature::test_signature()).await.unwrap();
    other.close().await;
    let both = both(&place, &shared, "us").await;
    let answer = both.reserve(attestation(0, 1), digest(1)).await;
    assert!(matches!(answer, Ok(Safe::Done(_))), "{answer:?}");
    both.close().await;
    let local = place.open();
    assert!(matches!(local.reserve(attestation(0, 1), digest(1)).await, Ok(Safe::Done(_))));
    local.close().await;
}

#[tokio::test]
async fn a_reservation_of_both_is_taken_back_in_both() {
    let (place, shared) = (Place::new(), SharedPlace::new().await);
    let both = both(&place, &shared, "us").await;
    let Ok(Safe::Granted(held)) = both.reserve(attestation(0, 1), digest(1)).await else { panic!("it is free") };
    assert!(both.cancel(held).await.unwrap());
    assert!(matches!(both.reserve(attestation(0, 1), digest(2)).await, Ok(Safe::Granted(_))));
    both.close().await;
}

#[tokio::test]
async fn a_database_that_was_set_back_and_forgotten_about_does_not_make_a_node_sign_twice() {
    let mut server = Server::start();
    let (place, shared) = (Place::new(), SharedPlace::on(server.url()));
    PostgresProtection::init(&shared.url, DOMAIN, &shared.options("us")).await.unwrap();
    server.down();
    let mut backup = server.copy();
    server.up("");
    let before = both(&place, &shared, "us").await;
    let _ = before.reserve(attestation(0, 1), digest(1)).await.unwrap();
    before.close().await;
    server.down();
    backup.up("");
    // Nothing reminds this node of the server: no anchor.
    assert_eq!(PostgresOptions::new("us").anchor, None);
    let after = both(&place, &shared, "us").await;
    assert!(is_conflict(&after.reserve(attestation(0, 1), digest(2)).await));
    assert!(after.reserve(attestation(0, 1), digest(1)).await.is_ok());
    after.close().await;
}

#[tokio::test]
async fn what_this_node_has_pinned_is_its_own_though_the_shared_store_has_lost_it() {
    let (place, shared) = (Place::new(), SharedPlace::new().await);
    let both = both(&place, &shared, "us").await;
    let _ = both.reserve(attestation(0, 1), digest(1)).await.unwrap();
    shared.sql("DELETE FROM duties");
    let seen = |digest| Halt { duty: attestation(0, 1), digest, signature: Signature::test_signature() };
    assert_eq!(both.recognise(attestation(0, 1), digest(1)).await.unwrap(), Sighting::Ours);
    assert_eq!(both.observe(seen(digest(1))).await.unwrap(), Sighting::Ours);
    assert!(both.key_states().is_empty());
    assert_eq!(both.observe(seen(digest(2))).await.unwrap(), Sighting::Elsewhere);
    both.close().await;
}

#[tokio::test]
async fn what_another_node_has_pinned_is_no_stranger_and_a_stranger_halts_the_key_in_both_stores() {
    let (place, shared) = (Place::new(), SharedPlace::new().await);
    let (both, other) = (both(&place, &shared, "us").await, shared.open("other").await);
    let _ = other.reserve(attestation(0, 1), digest(1)).await.unwrap();
    let validator = attestation(0, 1).validator;
    let seen = |slot, digest| Halt { duty: attestation(0, slot), digest, signature: Signature::test_signature() };
    assert_eq!(both.observe(seen(1, digest(1))).await.unwrap(), Sighting::Ours);
    assert_eq!(both.observe(seen(2, digest(1))).await.unwrap(), Sighting::Elsewhere);
    both.close().await;
    other.close().await;
    let (local, other) = (place.open(), shared.open("other").await);
    assert_eq!(local.key_states().borrow()[&validator].halt, Some(seen(2, digest(1))));
    assert_eq!(other.key_states()[&validator].halt, Some(seen(2, digest(1))));
    local.close().await;
    other.close().await;
    let both = self::both(&place, &shared, "us").await;
    both.change_key(validator, KeyChange::LiftHalt).await.unwrap();
    assert!(matches!(both.reserve(attestation(0, 3), digest(1)).await, Ok(Safe::Granted(_))));
    both.close().await;
}

#[tokio::test]
async fn a_hand_over_that_either_store_refuses_changes_neither() {
    let (place, shared) = (Place::new(), SharedPlace::new().await);
    let validator = attestation(0, 0).validator;
    let (local, other) = (place.open(), shared.open("other").await);
    let _ = local.reserve(attestation(0, 5), digest(1)).await.unwrap();
    local.close().await;
    let _ = other.reserve(attestation(0, 9), digest(1)).await.unwrap();
    let both = both(&place, &shared, "us").await;
    for (from, known) in [(5, 5), (7, 9)] {
        let early = both.hand_over(validator, Slot(from)).await;
        assert!(
            matches!(early, Err(SignerError::HandOverTooEarly { pinned, .. }) if pinned == Slot(known)),
            "{early:?}"
        );
        assert_eq!(both.marks(validator, DutyKind::Attestation).await.unwrap().high, None);
    }
    both.hand_over(validator, Slot(10)).await.unwrap();
    assert_eq!(other.marks(validator, DutyKind::Attestation).await.unwrap().high, Some(Slot(10)));
    both.close().await;
    other.close().await;
    let local = place.open();
    assert_eq!(local.marks(validator, DutyKind::Attestation).await.unwrap().high, Some(Slot(10)));
    local.close().await;
}

#[tokio::test]
async fn a_payload_is_kept_by_both_stores_and_one_of_another_node_is_found_and_is_not_our_own() {
    let (place, shared) = (Place::new(), SharedPlace::new().await);
    let (both, other) = (both(&place, &shared, "us").await, shared.open("other").await);
    let _ = both.reserve_with_payload(attestation(0, 1), digest(1), b"ours", None).await.unwrap();
    let _ = other.reserve_with_payload(attestation(0, 2), digest(1), b"theirs", None).await.unwrap();
    for (slot, payload) in [(1, Some(&b"ours"[..])), (2, Some(&b"theirs"[..])), (3, None)] {
        assert_eq!(both.payload(attestation(0, slot)).await.unwrap().as_deref(), payload);
        let own = payload.filter(|payload| *payload == b"ours");
        assert_eq!(both.own_payload(attestation(0, slot)).await.unwrap().as_deref(), own);
    }
    shared.sql("DELETE FROM payloads");
    assert_eq!(both.payload(attestation(0, 1)).await.unwrap().as_deref(), Some(&b"ours"[..]));
    both.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_local_store_signs_nothing_while_the_shared_one_is_away() {
    let mut server = Server::start();
    let (place, shared, keys) = (Place::new(), SharedPlace::on(server.url()), RecordingKeys::new());
    PostgresProtection::init(&shared.url, DOMAIN, &shared.options("us")).await.unwrap();
    let signer = ValidatorSigner::owning(Arc::new(both(&place, &shared, "us").await), keys.clone());
    signer.start().unwrap();
    server.down();
    let refused = signer.sign(attestation(0, 1), digest(1)).await;
    assert!(matches!(refused, Err(SignerError::Unavailable { .. })), "{refused:?}");
    assert!(keys.asked(attestation(0, 1)).is_empty());
    server.up("");
    loop {
        match signer.sign(attestation(0, 1), digest(1)).await {
            Err(SignerError::Unavailable { .. }) => {}
            signed => {
                signed.unwrap();
                break;
            }
        }
    }
    signer.close().await;
}

#[tokio::test]
async fn two_stores_of_two_rollups_are_no_pair() {
    let place = Place::new();
    let shared = SharedPlace::on(super::server::shared().url());
    let other = Domain { l1_chain_id: 1, ..DOMAIN };
    PostgresProtection::init(&shared.url, other, &shared.options("us")).await.unwrap();
    let store = PostgresProtection::open(&shared.url, other, shared.options("us")).await.unwrap();
    let pair = Both::new(Arc::new(place.open()), Arc::new(store));
    assert!(matches!(pair, Err(SignerError::OtherDomain { .. })));
}
