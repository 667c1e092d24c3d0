//! For every duty, all digests a key is ever asked to sign are equal.

use std::sync::{Arc, Barrier};

use alloy::primitives::{Address, B256};
use fermata_primitives::{L1Timestamp, ManualClock, Slot, SlotTimes, UnixTime};
use fermata_validator_signer::{
    Duty, DutyKind, FarFutureGuard, NextStep, NotSafe, Safe, SignerError, SlashingProtection, StoreOptions,
};
use futures::FutureExt;

use crate::homes::{Home, Make, Wishes};
use crate::support::{DOMAIN, Manner, Place, RecordingKeys, attestation, digest, duty, key, small};

fn conflict(outcome: Result<impl std::fmt::Debug, SignerError>) -> B256 {
    match outcome {
        Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) => on_record,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

#[tokio::test]
async fn a_second_signature_for_another_payload_is_refused_and_names_the_first() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        let first = signer.sign(attestation(0, 7), digest(1)).await.unwrap();
        let refused = signer.sign(attestation(0, 7), digest(2)).await;
        assert_eq!(refused.as_ref().map_err(SignerError::next_step).unwrap_err(), NextStep::SkipDuty);
        assert_eq!(conflict(refused), digest(1));
        assert_eq!(signer.sign(attestation(0, 7), digest(1)).await.unwrap(), first);
        assert_eq!(keys.asked(attestation(0, 7)), [digest(1)], "the repeat was answered from the record");
        signer.close().await;
    }
}

#[tokio::test]
async fn a_signature_recovers_to_its_validator_over_the_signed_hash() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        for kind in [DutyKind::Attestation, DutyKind::GovernanceVote] {
            let signature = signer.sign(duty(3, 1, kind), digest(9)).await.unwrap();
            let recovered = signature.recover_address_from_prehash(&kind.signed_hash(digest(9))).unwrap();
            assert_eq!(recovered, key(3).address());
        }
        signer.close().await;
    }
}

#[tokio::test]
async fn records_outlive_the_store_that_made_them() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        let first = signer.sign(attestation(0, 7), digest(1)).await.unwrap();
        let _ = signer.protection().reserve(attestation(1, 7), digest(3)).await.unwrap();
        signer.close().await;
        let signer = home.signer(&keys).await;
        assert_eq!(conflict(signer.sign(attestation(0, 7), digest(2)).await), digest(1));
        assert_eq!(signer.sign(attestation(0, 7), digest(1)).await.unwrap(), first);
        assert_eq!(conflict(signer.sign(attestation(1, 7), digest(4)).await), digest(3), "pinned is never released");
        signer.sign(attestation(1, 7), digest(3)).await.unwrap();
        assert_eq!(keys.asked(attestation(0, 7)), [digest(1)], "the signature was kept");
        signer.close().await;
    }
}

#[test]
fn ten_threads_that_race_for_one_duty_have_one_winner() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    for slot in 0..20 {
        let start = Barrier::new(10);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (1..=10u8)
                .map(|racer| {
                    let (signer, start) = (&signer, &start);
                    scope.spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                        start.wait();
                        (digest(racer), runtime.block_on(signer.sign(attestation(0, slot), digest(racer))))
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<_> =
            outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(digest, _)| *digest).collect();
        assert_eq!(winners.len(), 1);
        for (_, outcome) in outcomes.into_iter().filter(|(_, outcome)| outcome.is_err()) {
            assert_eq!(conflict(outcome), winners[0]);
        }
        assert_eq!(keys.asked(attestation(0, slot)), winners);
    }
}

#[tokio::test]
async fn many_duties_have_an_outcome_each() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        keys.behave(4, Manner::Failing);
        signer.sign(attestation(1, 5), digest(9)).await.unwrap();
        let stranger = Duty { validator: Address::repeat_byte(0xee), ..attestation(0, 5) };
        let wanted = [
            (attestation(0, 5), digest(1)),
            (attestation(1, 5), digest(1)),
            (stranger, digest(1)),
            (attestation(2, 5), B256::ZERO),
            (attestation(4, 5), digest(1)),
            (attestation(3, 5), digest(1)),
            (attestation(3, 5), digest(2)),
        ];
        let outcomes = signer.sign_many(&wanted).await;
        let steps: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(SignerError::next_step)).collect();
        let expected = [
            None,
            Some(NextStep::SkipDuty),
            Some(NextStep::Operator),
            Some(NextStep::SkipDuty),
            Some(NextStep::RetrySame),
            None,
            Some(NextStep::SkipDuty),
        ];
        assert_eq!(steps, expected);
        assert!(matches!(outcomes[2], Err(SignerError::UnknownKey { .. })));
        assert!(matches!(outcomes[3], Err(SignerError::NotSafe(NotSafe::ZeroDigest { .. }))));
        signer.close().await;
    }
}

#[tokio::test]
async fn a_list_longer_than_a_transaction_is_answered_in_order() {
    let place = Place::new();
    let store = SlashingProtection::open(&place.store, DOMAIN, StoreOptions { batch_duties: 100, ..small() }).unwrap();
    let wanted: Vec<_> = (0..2500).map(|slot| (attestation(0, slot), digest(1))).collect();
    let answers = store.reserve_many(&wanted, None).await;
    assert_eq!(answers.len(), wanted.len());
    for ((duty, _), answer) in wanted.iter().zip(answers) {
        assert!(matches!(answer, Ok(Safe::Granted(reservation)) if reservation.duty() == *duty));
    }
    store.close().await;
}

#[tokio::test]
async fn a_failing_key_leaves_its_duty_pinned_to_the_payload() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        keys.behave(0, Manner::Failing);
        assert!(matches!(signer.sign(attestation(0, 1), digest(1)).await, Err(SignerError::KeyFailed { .. })));
        assert_eq!(conflict(signer.sign(attestation(0, 1), digest(2)).await), digest(1));
        keys.behave(0, Manner::Honest);
        signer.sign(attestation(0, 1), digest(1)).await.unwrap();
        signer.close().await;
    }
}

#[tokio::test]
async fn a_signature_of_another_key_is_discarded() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        keys.behave(0, Manner::Foreign);
        let refused = signer.sign(attestation(0, 1), digest(1)).await;
        assert!(
            matches!(refused, Err(SignerError::WrongSignature { recovered: Some(other), .. }) if other == key(200).address())
        );
        keys.behave(0, Manner::Honest);
        signer.sign(attestation(0, 1), digest(1)).await.unwrap();
        assert_eq!(keys.asked(attestation(0, 1)).len(), 2, "the false signature was not kept");
        signer.close().await;
    }
}

#[tokio::test]
async fn no_block_is_proposed_after_its_checkpoint() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        let block = |index| duty(0, 3, DutyKind::BlockProposal { index });
        signer.sign(block(0), digest(1)).await.unwrap();
        signer.sign(duty(0, 3, DutyKind::CheckpointProposal), digest(2)).await.unwrap();
        let refused = signer.sign(block(1), digest(3)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Sealed { .. }))));
        signer.sign(block(0), digest(1)).await.unwrap();
        signer.sign(duty(1, 3, DutyKind::BlockProposal { index: 1 }), digest(3)).await.unwrap();
        signer.close().await;
    }
}

#[tokio::test]
async fn a_slot_too_far_ahead_is_refused_and_not_spent() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(100_000)));
        let times = SlotTimes::new(L1Timestamp(0), 10, 4, 5).unwrap();
        let far_future = Some(FarFutureGuard { times, clock: clock.clone(), slots_ahead: 1 });
        let store = home.open_with(&Wishes { far_future, ..Wishes::default() }).await;
        let _ = store.reserve(attestation(0, 11), digest(1)).await.unwrap();
        let refused = store.reserve(attestation(0, 12), digest(1)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::TooFarAhead { current: Slot(10), .. }))));
        clock.set(UnixTime::from_millis(110_000));
        assert!(matches!(store.reserve(attestation(0, 12), digest(2)).await, Ok(Safe::Granted(_))));
        store.close().await;
    }
}

#[tokio::test]
async fn what_was_pruned_is_refused_for_ever() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        for slot in 0..10 {
            signer.sign(attestation(0, slot), digest(1)).await.unwrap();
        }
        assert_eq!(signer.protection().prune(Slot(6)).await.unwrap(), 7 * make.records());
        assert_eq!(signer.protection().prune(Slot(3)).await.unwrap(), 0, "a watermark never goes down");
        signer.close().await;
        let signer = home.signer(&keys).await;
        for slot in 0..7 {
            let refused = signer.sign(attestation(0, slot), digest(1)).await;
            assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(6), .. }))));
        }
        signer.sign(attestation(0, 7), digest(1)).await.unwrap();
        signer.sign(duty(0, 3, DutyKind::GovernanceVote), digest(1)).await.unwrap();
        keys.assert_never_twice();
        signer.close().await;
    }
}

#[tokio::test]
async fn pruning_many_records_lets_signatures_pass() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let wanted: Vec<_> = (0..10_000).map(|slot| (attestation(0, slot), digest(1))).collect();
        assert!(store.reserve_many(&wanted, None).await.iter().all(Result::is_ok));
        let (removed, granted) =
            tokio::join!(store.prune(Slot(9_998)), store.reserve(attestation(0, 10_000), digest(2)));
        assert_eq!(removed.unwrap(), 9_999 * make.records());
        assert!(matches!(granted, Ok(Safe::Granted(_))));
        assert_eq!(conflict(store.reserve(attestation(0, 9_999), digest(2)).await), digest(1));
        store.close().await;
    }
}

#[tokio::test]
async fn a_dropped_request_is_recorded_whole_or_not_at_all() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        for slot in 0..100 {
            drop(signer.sign(attestation(0, slot), digest(1)));
            // Polled once: queued and, depending on the moment, recorded or not.
            let _ = signer.sign(attestation(0, slot), digest(2)).now_or_never();
            match signer.sign(attestation(0, slot), digest(3)).await {
                Ok(_) => assert_eq!(conflict(signer.sign(attestation(0, slot), digest(2)).await), digest(3)),
                refused => assert_eq!(conflict(refused), digest(2)),
            }
        }
        keys.assert_never_twice();
        signer.close().await;
    }
}
