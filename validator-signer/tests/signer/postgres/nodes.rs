//! Several nodes with the same keys on one database.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Signature;
use fermata_primitives::{ManualClock, Slot, UnixTime};
use fermata_validator_signer::{
    Duty, DutyKind, Halt, KeyChange, NotSafe, PostgresOptions, PostgresProtection, Protection, Reservation, Safe,
    Sighting, SignerError, ValidatorSigner,
};
use futures::future::join_all;

use super::server::SharedPlace;
use crate::support::{RecordingKeys, attestation, digest, duty};

/// No patience with other nodes: what they hold is told at once.
fn hurried(place: &SharedPlace, node: &str) -> PostgresOptions {
    PostgresOptions { busy_patience: Duration::ZERO, ..place.options(node) }
}

/// Takes over at once what another node holds.
fn greedy(place: &SharedPlace, node: &str) -> PostgresOptions {
    PostgresOptions { takeover_after: Duration::ZERO, ..place.options(node) }
}

async fn nodes(place: &SharedPlace, count: u8) -> Vec<PostgresProtection> {
    join_all((0..count).map(|node| async move { place.open_with(hurried(place, &format!("node-{node}"))).await })).await
}

async fn close(nodes: &[PostgresProtection]) {
    join_all(nodes.iter().map(Protection::close)).await;
}

fn granted(outcome: Result<Safe, SignerError>) -> Reservation {
    match outcome {
        Ok(Safe::Granted(reservation)) => reservation,
        other => panic!("expected a grant, got {other:?}"),
    }
}

#[tokio::test]
async fn of_four_nodes_with_four_payloads_one_wins_and_the_others_learn_which() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 4).await;
    for slot in 0..100 {
        let duty = attestation(0, slot);
        let race = nodes.iter().zip(1u8..).map(|(node, payload)| node.reserve(duty, digest(payload)));
        let outcomes = join_all(race).await;
        let winners: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Ok(Safe::Granted(reservation)) => Some(reservation.digest()),
                _ => None,
            })
            .collect();
        assert_eq!(winners.len(), 1, "slot {slot}: {outcomes:?}");
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            let Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) = outcome else {
                panic!("slot {slot}: a loser was told {outcome:?}")
            };
            assert_eq!(on_record, winners[0]);
        }
    }
    close(&nodes).await;
}

#[tokio::test]
async fn of_four_nodes_with_one_payload_one_asks_the_key_and_all_get_the_signature() {
    let (place, keys) = (SharedPlace::new().await, RecordingKeys::new());
    let signers = join_all((0..4).map(|node| {
        let (place, keys) = (&place, keys.clone());
        async move {
            let store = place.open(&format!("node-{node}")).await;
            let signer = ValidatorSigner::owning(Arc::new(store), keys);
            signer.start().unwrap();
            signer
        }
    }))
    .await;
    for slot in 0..10 {
        // Each node asks for all its validators at once, and each comes to hold some that the others wait for.
        let wanted: Vec<_> = (0..8).map(|validator| (attestation(validator, slot), digest(1))).collect();
        let all = join_all(signers.iter().map(|signer| signer.sign_many(&wanted))).await;
        let first: Vec<Signature> = all[0].iter().map(|outcome| *outcome.as_ref().unwrap()).collect();
        for outcomes in &all {
            let signatures: Vec<Signature> = outcomes.iter().map(|outcome| *outcome.as_ref().unwrap()).collect();
            assert_eq!(signatures, first);
        }
        for validator in 0..8 {
            assert_eq!(keys.asked(attestation(validator, slot)).len(), 1, "the others waited for the one that held it");
        }
    }
    keys.assert_never_twice();
    join_all(signers.iter().map(ValidatorSigner::close)).await;
}

#[tokio::test]
async fn a_duty_that_another_node_holds_is_busy_and_names_it() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 2).await;
    let _held = granted(nodes[0].reserve(attestation(0, 1), digest(1)).await);
    match nodes[1].reserve(attestation(0, 1), digest(1)).await {
        Err(SignerError::Busy { owner, age, .. }) => {
            assert_eq!(owner, "node-0");
            assert!(age < Duration::from_secs(60));
        }
        other => panic!("{other:?}"),
    }
    let other_payload = nodes[1].reserve(attestation(0, 1), digest(2)).await;
    assert!(matches!(other_payload, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
    close(&nodes).await;
}

#[tokio::test]
async fn what_a_node_had_pinned_when_it_died_is_signed_by_another_with_the_same_payload_alone() {
    let (place, keys) = (SharedPlace::new().await, RecordingKeys::new());
    let dead = place.open("dead").await;
    let _held = granted(dead.reserve(attestation(0, 1), digest(1)).await);
    drop(dead);
    let options = PostgresOptions { takeover_after: Duration::from_millis(300), ..place.options("alive") };
    let signer = ValidatorSigner::owning(Arc::new(place.open_with(options).await), keys.clone());
    signer.start().unwrap();
    let other = signer.sign(attestation(0, 1), digest(2)).await;
    assert!(matches!(other, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
    signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    assert_eq!(keys.asked(attestation(0, 1)), [digest(1)]);
    signer.close().await;
}

#[tokio::test]
async fn a_node_takes_its_own_pins_up_again_at_once() {
    let place = SharedPlace::new().await;
    let before = place.open("a").await;
    let _held = granted(before.reserve(attestation(0, 1), digest(1)).await);
    before.close().await;
    let after = place.open_with(hurried(&place, "a")).await;
    assert!(matches!(after.reserve(attestation(0, 1), digest(1)).await, Ok(Safe::Resume(_))));
    after.close().await;
}

#[tokio::test]
async fn a_signature_is_kept_only_under_the_present_fence() {
    let place = SharedPlace::new().await;
    let slow = place.open("slow").await;
    let held = granted(slow.reserve(attestation(0, 1), digest(1)).await);
    let fast = place.open_with(greedy(&place, "fast")).await;
    let Ok(Safe::Resume(_)) = fast.reserve(attestation(0, 1), digest(1)).await else { panic!("it takes over") };
    slow.record_signature(held.into_permit(), Signature::test_signature()).await.unwrap();
    slow.close().await;
    assert_eq!(place.sql("SELECT state, owner, fence FROM duties"), "pinned|fast|2");
    fast.close().await;
}

#[tokio::test]
async fn a_kept_signature_is_given_to_every_node() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 2).await;
    let held = granted(nodes[0].reserve(attestation(0, 1), digest(1)).await);
    nodes[0].record_signature(held.into_permit(), Signature::test_signature()).await.unwrap();
    nodes[0].close().await;
    match nodes[1].reserve(attestation(0, 1), digest(1)).await {
        Ok(Safe::Done(signature)) => assert_eq!(signature, Signature::test_signature()),
        other => panic!("{other:?}"),
    }
    close(&nodes).await;
}

#[tokio::test]
async fn what_one_node_has_pruned_the_others_refuse() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 2).await;
    let wanted: Vec<_> = (0..10).map(|slot| (attestation(0, slot), digest(1))).collect();
    assert!(nodes[0].reserve_many(&wanted, None).await.iter().all(Result::is_ok));
    assert_eq!(nodes[1].prune(Slot(6)).await.unwrap(), 7);
    assert_eq!(nodes[1].prune(Slot(3)).await.unwrap(), 0, "a mark never goes down");
    for slot in 0..7 {
        let refused = nodes[0].reserve(attestation(0, slot), digest(2)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(6), .. }))), "{refused:?}");
    }
    assert!(nodes[0].reserve(attestation(0, 10), digest(1)).await.is_ok());
    assert!(nodes[0].reserve(attestation(1, 3), digest(1)).await.is_ok(), "nobody signed there before");
    close(&nodes).await;
}

#[tokio::test]
async fn no_duty_comes_back_while_another_node_prunes() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 3).await;
    for round in 0..20 {
        let slots = round * 50..(round + 1) * 50;
        let wanted =
            |payload| -> Vec<(Duty, _)> { slots.clone().map(|slot| (attestation(0, slot), digest(payload))).collect() };
        let (ones, twos) = (wanted(1), wanted(2));
        assert!(nodes[0].reserve_many(&ones, None).await.iter().all(Result::is_ok));
        let asks = join_all(twos.chunks(5).map(|piece| nodes[1].reserve_many(piece, None)));
        let (pruned, asked) = tokio::join!(nodes[2].prune(Slot(slots.end - 1)), asks);
        pruned.unwrap();
        for outcome in asked.into_iter().flatten() {
            assert!(matches!(outcome, Err(SignerError::NotSafe(_))), "{outcome:?}");
        }
    }
    close(&nodes).await;
}

#[tokio::test]
async fn a_slot_that_one_node_has_sealed_is_sealed_to_all() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 2).await;
    let block = |index| duty(0, 3, DutyKind::BlockProposal { index });
    assert!(nodes[1].reserve(block(0), digest(1)).await.is_ok());
    assert!(nodes[0].reserve(duty(0, 3, DutyKind::CheckpointProposal), digest(2)).await.is_ok());
    let refused = nodes[1].reserve(block(1), digest(3)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Sealed { .. }))), "{refused:?}");
    assert!(nodes[1].reserve(block(0), digest(1)).await.is_ok(), "what was recorded before stays");
    assert!(nodes[1].reserve(duty(1, 3, DutyKind::BlockProposal { index: 1 }), digest(3)).await.is_ok());
    close(&nodes).await;
}

#[tokio::test]
async fn of_two_calls_for_one_payload_in_one_batch_none_can_be_taken_back() {
    let place = SharedPlace::new().await;
    let store = place.open("a").await;
    let wanted = [(attestation(0, 1), digest(1)), (attestation(0, 1), digest(2)), (attestation(0, 1), digest(1))];
    let answers = store.reserve_many(&wanted, None).await;
    assert!(
        matches!(
            answers[..],
            [Ok(Safe::Resume(_)), Err(SignerError::NotSafe(NotSafe::Conflict { .. })), Ok(Safe::Resume(_))]
        ),
        "{answers:?}"
    );
    store.close().await;
}

#[tokio::test]
async fn a_reservation_is_taken_back_only_while_nobody_else_was_given_leave() {
    let place = SharedPlace::new().await;
    let first = place.open("first").await;
    let second = place.open_with(greedy(&place, "second")).await;
    let free = granted(first.reserve(attestation(0, 1), digest(1)).await);
    assert!(first.cancel(free).await.unwrap());
    let taken = granted(second.reserve(attestation(0, 1), digest(2)).await);
    drop(taken);
    let stale = granted(first.reserve(attestation(0, 2), digest(1)).await);
    let Ok(Safe::Resume(_)) = second.reserve(attestation(0, 2), digest(1)).await else { panic!("it takes over") };
    assert!(!first.cancel(stale).await.unwrap(), "the other node may have asked the key");
    let refused = first.reserve(attestation(0, 2), digest(2)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{refused:?}");
    close(&[first, second]).await;
}

#[tokio::test]
async fn what_is_said_of_a_key_at_one_node_holds_at_all() {
    let place = SharedPlace::new().await;
    let nodes = nodes(&place, 2).await;
    let key = attestation(0, 1).validator;
    nodes[0].change_key(key, KeyChange::Retire).await.unwrap();
    let refused = nodes[1].reserve(attestation(0, 1), digest(1)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Retired { .. }))), "{refused:?}");
    assert!(nodes[1].key_states()[&key].retired);
    nodes[1].change_key(key, KeyChange::Enable).await.unwrap();
    let _ = granted(nodes[0].reserve(attestation(0, 1), digest(1)).await);

    // A payload that neither has pinned was signed by somebody else; one that the other node has pinned was not.
    let seen = |digest| Halt { duty: attestation(0, 1), digest, signature: Signature::test_signature() };
    assert_eq!(nodes[1].observe(seen(digest(1))).await.unwrap(), Sighting::Ours);
    assert_eq!(nodes[1].observe(seen(digest(2))).await.unwrap(), Sighting::Elsewhere);
    let halted = nodes[0].reserve(attestation(0, 2), digest(1)).await;
    assert!(matches!(halted, Err(SignerError::NotSafe(NotSafe::Halted { .. }))), "{halted:?}");
    assert!(nodes[0].reserve(attestation(1, 2), digest(1)).await.is_ok(), "the other keys sign on");
    close(&nodes).await;
    let again = place.open("again").await;
    assert_eq!(again.key_states()[&key].halt, Some(seen(digest(2))), "it is durable");
    again.close().await;
}

#[tokio::test]
async fn a_request_whose_deadline_has_passed_is_not_recorded() {
    let place = SharedPlace::new().await;
    let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_000)));
    let store = place.open_with(PostgresOptions { clock: clock.clone(), ..place.options("a") }).await;
    let by = UnixTime::from_millis(2_000);
    let _ = granted(store.reserve_by(attestation(0, 1), digest(1), by).await);
    clock.set(by);
    let late = store.reserve_by(attestation(0, 2), digest(1), by).await;
    assert!(matches!(late, Err(SignerError::DeadlinePassed { .. })), "{late:?}");
    let _ = granted(store.reserve(attestation(0, 2), digest(2)).await);
    store.close().await;
}

#[tokio::test]
async fn a_duty_that_another_node_holds_is_waited_for_no_longer_than_its_deadline_and_not_taken_over_after_it() {
    let place = SharedPlace::new().await;
    let (clock, by) = (Arc::new(ManualClock::new(UnixTime::from_millis(1_000))), UnixTime::from_millis(2_000));
    let patient =
        PostgresOptions { clock: clock.clone(), busy_patience: Duration::from_secs(600), ..place.options("b") };
    let (holder, waiter) = (place.open("a").await, place.open_with(patient).await);
    let _ = granted(holder.reserve(attestation(0, 1), digest(1)).await);
    let busy = waiter.reserve_by(attestation(0, 1), digest(1), by).await;
    assert!(matches!(busy, Err(SignerError::Busy { .. })), "{busy:?}");
    clock.set(by);
    let late = waiter.reserve_after_peer(attestation(0, 1), digest(1), Some(by)).await;
    assert!(matches!(late, Err(SignerError::DeadlinePassed { .. })), "{late:?}");
    assert_eq!(place.sql("SELECT owner, fence FROM duties"), "a|1");
    holder.close().await;
    waiter.close().await;
}

#[tokio::test]
async fn a_block_waits_for_the_seal_that_another_node_is_about_to_commit_and_is_refused() {
    let place = Arc::new(SharedPlace::new().await);
    let node = place.open("node").await;
    let seal = duty(0, 7, DutyKind::CheckpointProposal);
    let _ = granted(node.reserve(seal, digest(1)).await);
    place.sql("CREATE TABLE seal AS SELECT * FROM duties; DELETE FROM duties;");
    // Another node's transaction: it has recorded the seal, and commits once somebody waits for that.
    let held = Arc::clone(&place);
    let other = tokio::task::spawn_blocking(move || {
        held.sql(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(encode(key, 'hex'), 0)) FROM seal;
            INSERT INTO duties SELECT * FROM seal;
            DO $$ BEGIN FOR turn IN 1..1000 LOOP
                EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted);
                PERFORM pg_sleep(0.01);
            END LOOP; END $$;
            COMMIT;",
        )
    });
    let is_held = format!(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND query LIKE '%{};%'",
        place.schema
    );
    while place.sql(&is_held) != "1" {}
    let outcome = node.reserve(duty(0, 7, DutyKind::BlockProposal { index: 0 }), digest(2)).await;
    assert!(matches!(outcome, Err(SignerError::NotSafe(NotSafe::Sealed { .. }))), "{outcome:?}");
    other.await.unwrap();
    node.close().await;
}
