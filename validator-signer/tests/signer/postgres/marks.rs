//! Marks that several nodes share: whoever moves one, none of them signs past it.

use std::collections::BTreeSet;

use fermata_primitives::Slot;
use fermata_validator_signer::{
    Duty, DutyKind, NotSafe, PostgresOptions, PostgresProtection, Protection, Safe, SignerError,
};
use futures::future::join_all;

use super::faults::patient;
use super::proxy::{Cut, Proxy};
use super::server::running::url;
use super::server::{SharedPlace, shared};
use crate::support::{DOMAIN, attestation, digest, duty};

const STRICT: DutyKind = DutyKind::GovernanceVote;

fn strict(place: &SharedPlace, node: &str) -> PostgresOptions {
    PostgresOptions {
        strict: BTreeSet::from([STRICT]),
        patience: std::time::Duration::from_secs(30),
        ..place.options(node)
    }
}

async fn nodes(place: &SharedPlace, count: u8) -> Vec<PostgresProtection> {
    join_all((0..count).map(|node| async move { place.open_with(patient(place, &format!("node-{node}"))).await })).await
}

async fn close(nodes: &[PostgresProtection]) {
    join_all(nodes.iter().map(Protection::close)).await;
}

fn vote(slot: u64) -> Duty {
    duty(0, slot, STRICT)
}

fn is_passed(answer: &Result<Safe, SignerError>) -> bool {
    matches!(answer, Err(SignerError::NotSafe(NotSafe::NotAboveMaxSigned { .. })))
}

#[tokio::test]
async fn nodes_that_race_in_a_strict_kind_pin_each_slot_above_all_before() {
    let place = SharedPlace::new().await;
    let nodes = join_all((0..4).map(|node| {
        let options = strict(&place, &format!("node-{node}"));
        place.open_with(options)
    }))
    .await;
    let (mut granted, mut passed) = (0, 0);
    for round in 0..60u64 {
        // Each asks for slots of its own, the later ones first with every second node.
        let asks = nodes.iter().zip(0u64..).map(|(node, at)| async move {
            let mut slots = [round * 4 + at, round * 4 + (at + 2) % 4];
            if at % 2 == 0 {
                slots.reverse();
            }
            join_all(slots.map(|slot| node.reserve(vote(slot), digest(at as u8 + 1)))).await
        });
        // Marks move meanwhile, and neither side waits for the other in a ring.
        let (mover, key) = (&nodes[round as usize % 4], attestation(1, 0).validator);
        let (answers, moved) = tokio::join!(join_all(asks), mover.take_over(key, Slot(round)));
        moved.unwrap();
        for answer in answers.into_iter().flatten() {
            match answer {
                Ok(Safe::Granted(_)) => granted += 1,
                Err(SignerError::NotSafe(NotSafe::NotAboveMaxSigned { .. })) => passed += 1,
                Err(SignerError::NotSafe(NotSafe::Conflict { .. })) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(granted >= 60 && passed > 0, "{granted} granted, {passed} passed");
    // The order in which they were pinned, each while its room was held.
    let backwards = "SELECT count(*) FROM (
        SELECT key, lag(key) OVER (ORDER BY pinned_at) AS before FROM duties) AS pins WHERE before >= key";
    assert_eq!(place.sql(backwards), "0");
    close(&nodes).await;
}

#[tokio::test]
async fn a_kind_that_one_node_has_declared_strict_is_strict_to_all_and_stays_so() {
    let place = SharedPlace::new().await;
    let plain = place.open("plain").await;
    let _ = plain.reserve(vote(5), digest(1)).await.unwrap();
    let _ = plain.reserve(vote(3), digest(1)).await.unwrap();
    let declaring = place.open_with(strict(&place, "strict")).await;
    assert!(is_passed(&declaring.reserve(vote(4), digest(1)).await), "what was recorded before counts");
    assert!(is_passed(&plain.reserve(vote(4), digest(1)).await), "the other node was open before");
    let _ = plain.reserve(vote(6), digest(1)).await.unwrap();
    let conflict = declaring.reserve(vote(5), digest(2)).await;
    assert!(matches!(conflict, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{conflict:?}");
    let _ = declaring.reserve(attestation(0, 1), digest(1)).await.unwrap();
    let _ = declaring.reserve(attestation(0, 0), digest(1)).await.unwrap();
    close(&[plain, declaring]).await;
    let later = place.open("later").await;
    assert!(is_passed(&later.reserve(vote(4), digest(1)).await));
    later.close().await;
}

#[tokio::test]
async fn a_pin_of_a_strict_kind_whose_commit_is_not_answered_is_the_callers_own() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let store = PostgresProtection::open(&url(proxy.port), DOMAIN, strict(&place, "a")).await.unwrap();
    for (slot, cut) in [(1, Cut::AfterCommit), (2, Cut::BeforeCommit)] {
        proxy.cut(cut, 1);
        let answer = store.reserve(vote(slot), digest(1)).await;
        assert!(matches!(answer, Ok(Safe::Granted(_))), "{answer:?}");
        assert_eq!(proxy.cuts_left(), 0);
    }
    assert!(is_passed(&store.reserve(vote(0), digest(1)).await));
    store.close().await;
}

#[tokio::test]
async fn a_list_of_strict_duties_is_answered_as_if_asked_one_after_the_other() {
    let place = SharedPlace::new().await;
    let store = place.open_with(strict(&place, "a")).await;
    let wanted = [(vote(9), digest(1)), (vote(4), digest(1)), (attestation(0, 2), digest(1)), (vote(4), digest(2))];
    let answers = store.reserve_many(&wanted, None).await;
    assert!(
        matches!(
            answers[..],
            [
                Ok(Safe::Granted(_)),
                Ok(Safe::Granted(_)),
                Ok(Safe::Granted(_)),
                Err(SignerError::NotSafe(NotSafe::Conflict { .. }))
            ]
        ),
        "{answers:?}"
    );
    assert!(is_passed(&store.reserve(vote(5), digest(1)).await));
    store.close().await;
}

#[tokio::test]
async fn what_one_node_hands_over_no_node_signs_and_what_any_has_pinned_is_not_handed_over() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 2).await;
    let validator = attestation(0, 0).validator;
    let _ = nodes[1].reserve(attestation(0, 6), digest(1)).await.unwrap();
    let early = nodes[0].hand_over(validator, Slot(6)).await;
    assert!(matches!(early, Err(SignerError::HandOverTooEarly { pinned: Slot(6), .. })), "{early:?}");
    nodes[0].hand_over(validator, Slot(8)).await.unwrap();
    for kind in DutyKind::MARKED {
        let refused = nodes[1].reserve(duty(0, 8, kind), digest(1)).await;
        assert!(
            matches!(refused, Err(SignerError::NotSafe(NotSafe::AtOrAboveHigh { high: Slot(8), .. }))),
            "{refused:?}"
        );
        assert_eq!(nodes[1].marks(validator, kind).await.unwrap().high, Some(Slot(8)));
    }
    let _ = nodes[1].reserve(attestation(0, 7), digest(1)).await.unwrap();
    let _ = nodes[1].reserve(attestation(1, 8), digest(1)).await.unwrap();
    nodes[1].take_over(validator, Slot(20)).await.unwrap();
    let refused = nodes[0].reserve(attestation(0, 19), digest(1)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(19), .. }))), "{refused:?}");
    let _ = nodes[0].reserve(attestation(0, 20), digest(1)).await.unwrap();
    close(&nodes).await;
}

#[tokio::test]
async fn a_hand_over_that_races_with_pins_is_refused_or_precedes_none_of_them() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 3).await;
    let validator = attestation(0, 0).validator;
    let (mut done, mut refused) = (0, 0);
    for round in 1..60u64 {
        let from = round * 10;
        let pins = |node: usize| {
            let slots = (0..4).map(move |at| from + at * 2 + node as u64 - 3);
            join_all(slots.map(|slot| {
                let answer = nodes[node].reserve(attestation(0, slot), digest(node as u8));
                async move { (slot, answer.await) }
            }))
        };
        let hand_over = async {
            // Earlier in one round and later in the next.
            for _ in 0..round % 4 {
                nodes[0].marks(validator, DutyKind::Attestation).await.unwrap();
            }
            nodes[0].hand_over(validator, Slot(from)).await
        };
        let (ones, handed, twos) = tokio::join!(pins(1), hand_over, pins(2));
        let pinned: BTreeSet<_> =
            ones.into_iter().chain(twos).filter(|(_, answer)| answer.is_ok()).map(|(slot, _)| slot).collect();
        match handed {
            Ok(()) => {
                assert!(pinned.iter().all(|slot| *slot < from), "handed over from {from}, and pinned {pinned:?}");
                done += 1;
            }
            Err(SignerError::HandOverTooEarly { pinned: known, .. }) => {
                assert!(pinned.contains(&known.0), "{known} of {pinned:?}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        nodes[0].take_over(validator, Slot(from)).await.unwrap();
    }
    assert!(done > 0 && refused > 0, "{done} done, {refused} refused");
    close(&nodes).await;
}

#[tokio::test]
async fn what_one_node_only_listens_for_none_signs() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 2).await;
    nodes[0].listen_only_until(Slot(10)).await.unwrap();
    nodes[1].listen_only_until(Slot(4)).await.unwrap();
    for node in &nodes {
        let refused = node.reserve(attestation(0, 9), digest(1)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::ListenOnly { until: Slot(10), .. }))));
    }
    let _ = nodes[1].reserve(attestation(0, 10), digest(1)).await.unwrap();
    close(&nodes).await;
}

#[tokio::test]
async fn a_payload_that_a_node_has_pinned_is_found_by_another() {
    let place = SharedPlace::new().await;
    let dead = place.open("dead").await;
    let proposal = duty(0, 1, DutyKind::CheckpointProposal);
    let _ = dead.reserve_with_payload(proposal, digest(1), b"what it would have signed", None).await.unwrap();
    drop(dead);
    let greedy = PostgresOptions { takeover_after: std::time::Duration::ZERO, ..place.options("alive") };
    let alive = place.open_with(greedy).await;
    let payload = alive.payload(proposal).await.unwrap();
    assert_eq!(payload.as_deref(), Some(&b"what it would have signed"[..]));
    assert!(matches!(alive.reserve(proposal, digest(1)).await, Ok(Safe::Resume(_))));
    alive.close().await;
}

#[tokio::test]
async fn a_payload_is_kept_with_a_pin_whose_commit_is_not_answered_and_with_none_that_was_not_made() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let store = PostgresProtection::open(&url(proxy.port), DOMAIN, strict(&place, "a")).await.unwrap();
    // In a strict room and in one that is not.
    for duty in [vote(1), attestation(0, 1)] {
        proxy.cut(Cut::AfterCommit, 1);
        let granted = store.reserve_with_payload(duty, digest(1), b"one", None).await;
        assert!(matches!(granted, Ok(Safe::Granted(_))), "{granted:?}");
        assert!(store.reserve_with_payload(duty, digest(2), b"two", None).await.is_err());
        assert_eq!(store.payload(duty).await.unwrap().as_deref(), Some(&b"one"[..]));
    }
    assert_eq!(place.sql("SELECT count(*) FROM payloads"), "2");
    store.close().await;
}
