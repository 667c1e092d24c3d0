//! What `reserve` answers, and what can be taken back.

use std::collections::BTreeSet;
use std::sync::Arc;

use fermata_primitives::{ManualClock, Slot, UnixTime};
use fermata_validator_signer::{
    DutyKind, Marks, NextStep, NotSafe, PAYLOAD_LIMIT, Reservation, Safe, SignerError, SlashingProtection, StoreOptions,
};

use crate::homes::{Home, Make, Wishes};
use crate::support::{DOMAIN, Place, RecordingKeys, attestation, digest, duty, small};

fn granted(answer: Result<Safe, SignerError>) -> Reservation {
    match answer {
        Ok(Safe::Granted(reservation)) => reservation,
        other => panic!("expected a reservation, got {other:?}"),
    }
}

fn is_resumed(answer: &Result<Safe, SignerError>) -> bool {
    matches!(answer, Ok(Safe::Resume(_)))
}

fn is_conflict(answer: &Result<Safe, SignerError>) -> bool {
    matches!(answer, Err(SignerError::NotSafe(NotSafe::Conflict { .. })))
}

#[tokio::test]
async fn a_duty_is_granted_once_then_resumed_and_then_done() {
    let place = Place::new();
    let store = place.open();
    let first = granted(store.reserve(attestation(0, 1), digest(1)).await);
    assert!(is_resumed(&store.reserve(attestation(0, 1), digest(1)).await));
    let signature = alloy::primitives::Signature::test_signature();
    store.record_signature(first.into_permit(), signature).await.unwrap();
    let done = store.reserve(attestation(0, 1), digest(1)).await;
    assert!(matches!(done, Ok(Safe::Done(kept)) if kept == signature), "{done:?}");
    assert!(is_conflict(&store.reserve(attestation(0, 1), digest(2)).await));
    store.close().await;
}

#[tokio::test]
async fn a_cancelled_duty_is_free_for_another_payload_also_after_a_restart() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let first = granted(store.reserve(attestation(0, 1), digest(1)).await);
        assert!(store.cancel(first).await.unwrap());
        store.close().await;
        let store = home.open().await;
        let second = granted(store.reserve(attestation(0, 1), digest(2)).await);
        assert!(is_conflict(&store.reserve(attestation(0, 1), digest(1)).await));
        drop(second);
        assert!(
            is_conflict(&store.reserve(attestation(0, 1), digest(1)).await),
            "a dropped reservation is not cancelled"
        );
        store.close().await;
    }
}

#[tokio::test]
async fn a_cancelled_checkpoint_proposal_seals_no_block() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let proposal = granted(store.reserve(duty(0, 1, DutyKind::CheckpointProposal), digest(1)).await);
        let block = duty(0, 1, DutyKind::BlockProposal { index: 0 });
        assert!(matches!(store.reserve(block, digest(2)).await, Err(SignerError::NotSafe(NotSafe::Sealed { .. }))));
        assert!(store.cancel(proposal).await.unwrap());
        let _ = granted(store.reserve(block, digest(2)).await);
        store.close().await;
    }
}

#[tokio::test]
async fn a_reservation_is_not_cancelled_once_somebody_else_may_ask_the_key() {
    let place = Place::new();
    let store = place.open();
    let first = granted(store.reserve(attestation(0, 1), digest(1)).await);
    assert!(is_resumed(&store.reserve(attestation(0, 1), digest(1)).await));
    assert!(!store.cancel(first).await.unwrap());
    assert!(is_conflict(&store.reserve(attestation(0, 1), digest(2)).await));

    // Both in one transaction.
    let twice = [(attestation(0, 2), digest(1)), (attestation(0, 2), digest(1))];
    let mut answers = store.reserve_many(&twice, None).await.into_iter();
    let first = granted(answers.next().unwrap());
    assert!(is_resumed(&answers.next().unwrap()));
    assert!(!store.cancel(first).await.unwrap());
    store.close().await;
}

#[tokio::test]
async fn a_reservation_of_a_store_that_was_closed_and_opened_since_cancels_nothing() {
    let place = Place::new();
    let store = place.open();
    let first = granted(store.reserve(attestation(0, 1), digest(1)).await);
    store.close().await;
    let store = place.open();
    assert!(!store.cancel(first).await.unwrap());
    assert!(is_conflict(&store.reserve(attestation(0, 1), digest(2)).await));
    store.close().await;
}

#[tokio::test]
async fn a_pruned_reservation_cancels_nothing_and_its_slot_stays_refused() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let first = granted(store.reserve(attestation(0, 1), digest(1)).await);
        assert_eq!(store.prune(Slot(1)).await.unwrap(), make.records());
        assert!(!store.cancel(first).await.unwrap());
        let refused = store.reserve(attestation(0, 1), digest(2)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { .. }))));
        store.close().await;
    }
}

#[tokio::test]
async fn a_request_whose_deadline_has_passed_is_not_recorded() {
    let place = Place::new();
    let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_000)));
    let options = StoreOptions { clock: clock.clone(), ..small() };
    let store = Arc::new(SlashingProtection::open(&place.store, DOMAIN, options).unwrap());
    let by = UnixTime::from_millis(2_000);
    let in_time = store.reserve_many(&[(attestation(0, 1), digest(1))], Some(by)).await;
    assert!(matches!(in_time[..], [Ok(Safe::Granted(_))]));
    clock.set(by);
    let late = [(attestation(0, 1), digest(1)), (attestation(0, 2), digest(1))];
    let late = store.reserve_many(&late, Some(by)).await;
    assert!(late.len() == 2 && late.iter().all(|late| matches!(late, Err(SignerError::DeadlinePassed { .. }))));
    assert_eq!(late[0].as_ref().map_err(SignerError::next_step).unwrap_err(), NextStep::SkipDuty);
    let _ = granted(store.reserve(attestation(0, 2), digest(2)).await);

    let keys = RecordingKeys::new();
    let signer = fermata_validator_signer::ValidatorSigner::sharing(store.clone(), keys.clone());
    signer.start().unwrap();
    let late = signer.sign_by(attestation(0, 3), digest(1), by).await;
    assert!(matches!(late, Err(SignerError::DeadlinePassed { .. })), "{late:?}");
    signer.sign_by(attestation(0, 3), digest(2), UnixTime::from_millis(3_000)).await.unwrap();
    assert_eq!(keys.asked(attestation(0, 3)), [digest(2)]);
    store.close().await;
}

#[tokio::test]
async fn a_payload_outlives_a_restart_beside_its_pin_and_leaves_with_it() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let proposal = |slot| duty(0, slot, DutyKind::CheckpointProposal);
        let _ = granted(store.reserve_with_payload(proposal(1), digest(1), b"one", None).await);
        assert!(is_resumed(&store.reserve_with_payload(proposal(1), digest(1), b"another", None).await));
        assert!(is_conflict(&store.reserve_with_payload(proposal(1), digest(2), b"two", None).await));
        let cancelled = granted(store.reserve_with_payload(proposal(2), digest(1), b"two", None).await);
        assert!(store.cancel(cancelled).await.unwrap());
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.payload(proposal(1)).await.unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.payload(proposal(2)).await.unwrap(), None);
        assert_eq!(store.payload(attestation(0, 1)).await.unwrap(), None);
        store.prune(Slot(1)).await.unwrap();
        assert_eq!(store.payload(proposal(1)).await.unwrap(), None);
        store.close().await;
    }
}

#[tokio::test]
async fn payloads_are_bounded_in_length_and_in_number() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let proposal = |slot| duty(0, slot, DutyKind::CheckpointProposal);
        let large = vec![7; PAYLOAD_LIMIT];
        let _ = granted(store.reserve_with_payload(proposal(1), digest(1), &large, None).await);
        assert_eq!(store.payload(proposal(1)).await.unwrap(), Some(large.clone()));
        let refused = store.reserve_with_payload(proposal(2), digest(1), &[large, vec![7]].concat(), None).await;
        assert!(matches!(refused, Err(SignerError::PayloadTooLarge { limit: PAYLOAD_LIMIT, .. })));
        let _ = granted(store.reserve(proposal(2), digest(2)).await);
        for slot in 3..40 {
            let _ = granted(store.reserve_with_payload(proposal(slot), digest(1), b"small", None).await);
        }
        assert_eq!(store.payload(proposal(1)).await.unwrap(), None, "payloads of long ago are dropped");
        assert!(is_conflict(&store.reserve(proposal(1), digest(2)).await), "their pins are not");
        for slot in 39 - 32..40 {
            assert!(store.payload(proposal(slot)).await.unwrap().is_some(), "slot {slot}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_signer_keeps_the_payload_of_what_it_signs_and_one_that_is_too_large_costs_no_duty() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let keys = RecordingKeys::new();
        let signer = fermata_validator_signer::ValidatorSigner::sharing(store.clone(), keys.clone());
        signer.start().unwrap();
        let proposal = |slot| duty(0, slot, DutyKind::CheckpointProposal);
        let (in_time, too_late) = (UnixTime::from_millis(4_000_000_000_000), UnixTime::from_millis(1));
        let late = signer.sign_with_payload_by(proposal(1), digest(1), b"late", too_late).await;
        assert!(matches!(late, Err(SignerError::DeadlinePassed { .. })), "{late:?}");
        assert_eq!(signer.own_payload(proposal(1)).await.unwrap(), None);
        let first = signer.sign_with_payload_by(proposal(1), digest(2), b"one", in_time).await.unwrap();
        assert_eq!(signer.own_payload(proposal(1)).await.unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(signer.sign(proposal(1), digest(2)).await.unwrap(), first);
        let too_large = vec![7; PAYLOAD_LIMIT + 1];
        signer.sign_with_payload_by(proposal(2), digest(1), &too_large, in_time).await.unwrap();
        assert_eq!(signer.own_payload(proposal(2)).await.unwrap(), None);
        signer.stop().await;
        assert_eq!(signer.own_payload(proposal(1)).await.unwrap().as_deref(), Some(&b"one"[..]));
        store.close().await;
        assert!(matches!(signer.own_payload(proposal(1)).await, Err(SignerError::Closed)));
        keys.assert_never_twice();
    }
}

#[tokio::test]
async fn a_strict_kind_only_goes_forward_whatever_became_of_its_records() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let wishes = Wishes { strict: BTreeSet::from([DutyKind::Attestation]), ..Wishes::default() };
        let store = home.open().await;
        let _ = granted(store.reserve(attestation(0, 5), digest(1)).await);
        store.close().await;

        let store = home.open_with(&wishes).await;
        let passed = |answer: Result<Safe, SignerError>, mark| {
            assert!(
                matches!(answer, Err(SignerError::NotSafe(NotSafe::NotAboveMaxSigned { max_signed, .. })) if max_signed == mark),
                "{answer:?}"
            );
        };
        passed(store.reserve(attestation(0, 4), digest(1)).await, Slot(5));
        assert!(is_resumed(&store.reserve(attestation(0, 5), digest(1)).await));
        let cancelled = granted(store.reserve(attestation(0, 9), digest(1)).await);
        assert!(store.cancel(cancelled).await.unwrap());
        passed(store.reserve(attestation(0, 9), digest(1)).await, Slot(9));
        let _ = granted(store.reserve(attestation(1, 4), digest(1)).await);
        let _ = granted(store.reserve(duty(0, 4, DutyKind::GovernanceVote), digest(1)).await);
        store.close().await;

        let store = home.open_with(&wishes).await;
        passed(store.reserve(attestation(0, 8), digest(1)).await, Slot(9));
        let _ = granted(store.reserve(attestation(0, 10), digest(1)).await);
        store.close().await;
    }
}

#[tokio::test]
async fn the_highest_pinned_slot_outlives_pruning_and_cancelling() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let of = async |kind| store.marks(attestation(0, 0).validator, kind).await.unwrap();
        assert_eq!(of(DutyKind::Attestation).await, Marks::default());
        let _ = granted(store.reserve(attestation(0, 3), digest(1)).await);
        let _ = granted(store.reserve(attestation(1, 8), digest(1)).await);
        assert_eq!(of(DutyKind::Attestation).await, Marks::signed(Slot(3)));
        store.prune(Slot(4)).await.unwrap();
        assert_eq!(of(DutyKind::Attestation).await, Marks::below(Slot(4)).merge(Marks::signed(Slot(3))));
        let cancelled = granted(store.reserve(attestation(0, 6), digest(1)).await);
        assert!(store.cancel(cancelled).await.unwrap());
        assert_eq!(of(DutyKind::Attestation).await.max_signed, Some(Slot(6)));
        assert_eq!(of(DutyKind::GovernanceVote).await, Marks::default());
        store.close().await;
    }
}
