//! Ethereum's duties in the store: durable, each on its own, and apart from a rollup's.

use std::sync::Arc;

use alloy::primitives::B256;
use fermata_primitives::{Epoch, L1Timestamp, ManualClock, Slot, SlotTimes, UnixTime};
use fermata_validator_signer::{
    EthAttestation, EthBlock, EthDuty, EthOptions, EthPolicy, EthPublicKey, EthReason, EthSafe, FarFutureGuard,
    NextStep, SignerError,
};

use crate::homes::{Home, Make};
use crate::support::digest;

const KEY: EthPublicKey = EthPublicKey::repeat_byte(0xa1);
const OTHER_KEY: EthPublicKey = EthPublicKey::repeat_byte(0xa2);

pub(crate) fn block(slot: u64) -> EthDuty {
    EthDuty::Block(EthBlock { slot: Slot(slot) })
}

pub(crate) fn vote(source: u64, target: u64) -> EthDuty {
    EthDuty::Attestation(EthAttestation { source: Epoch(source), target: Epoch(target) })
}

pub(crate) fn refusal(answer: Result<EthSafe, SignerError>) -> EthReason {
    match answer {
        Err(error @ SignerError::EthNotSafe(_)) => {
            assert_eq!(error.next_step(), NextStep::SkipDuty);
            let SignerError::EthNotSafe(refusal) = error else { unreachable!() };
            refusal.reason
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_duty_is_on_record_after_a_restart_and_its_data_may_be_signed_again() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let store = home.keeper().await;
        for duty in [block(10), vote(3, 5)] {
            let granted = store.reserve_eth(KEY, duty, digest(1)).await.unwrap();
            assert!(matches!(&granted, EthSafe::New(permit) if permit.duty() == duty && permit.root() == digest(1)));
            assert_eq!(granted.into_permit().public_key(), KEY);
        }
        store.close().await;
        let store = home.keeper().await;
        for duty in [block(10), vote(3, 5)] {
            assert!(matches!(store.reserve_eth(KEY, duty, digest(1)).await, Ok(EthSafe::SameData(_))));
        }
        assert_eq!(
            refusal(store.reserve_eth(KEY, block(10), digest(2)).await),
            EthReason::AnotherBlock { on_record: digest(1) }
        );
        let on_record = EthAttestation { source: Epoch(3), target: Epoch(5) };
        let another = EthReason::AnotherVote { on_record, root: digest(1) };
        assert_eq!(refusal(store.reserve_eth(KEY, vote(3, 5), digest(2)).await), another);
        assert_eq!(refusal(store.reserve_eth(KEY, vote(4, 5), digest(2)).await), another);
        store.close().await;
    }
}

#[tokio::test]
async fn keys_and_kinds_do_not_mind_one_another() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let store = home.keeper().await;
        let duties = [(block(10), digest(1)), (vote(3, 5), digest(2)), (block(11), digest(3)), (vote(2, 6), digest(4))];
        let answers = store.reserve_eth_many(KEY, &duties).await;
        assert!(answers[..3].iter().all(Result::is_ok));
        assert_eq!(
            refusal(answers.into_iter().nth(3).unwrap()),
            EthReason::SourceBelowLow { lowest: Epoch(3) },
            "the first record of a key is its lowest"
        );
        for duty in [block(9), vote(2, 6)] {
            assert!(matches!(store.reserve_eth(OTHER_KEY, duty, digest(9)).await, Ok(EthSafe::New(_))));
        }
        store.close().await;
        assert_eq!(home.ethereum(), [2, 3, 2]);
    }
}

#[tokio::test]
async fn of_many_that_ask_at_once_for_one_duty_one_is_served() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let store = home.keeper().await;
        let asked = (1..=20).map(|root| store.reserve_eth(KEY, vote(1, 2), digest(root)));
        let answers = futures::future::join_all(asked).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        store.close().await;
    }
}

#[tokio::test]
async fn a_store_of_watermarks_keeps_no_records_and_refuses_repeats() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let watermark = EthOptions { policy: EthPolicy::Watermark, far_future: None };
        let store = home.keeper_with(watermark.clone()).await;
        for duty in [block(10), vote(3, 5)] {
            assert!(matches!(store.reserve_eth(KEY, duty, digest(1)).await, Ok(EthSafe::New(_))));
        }
        store.close().await;
        let store = home.keeper_with(watermark).await;
        let below = |answer| refusal(answer);
        assert_eq!(
            below(store.reserve_eth(KEY, block(10), digest(1)).await),
            EthReason::SlotBelowLow { lowest: Slot(11) }
        );
        assert_eq!(
            below(store.reserve_eth(KEY, vote(3, 5), digest(1)).await),
            EthReason::TargetBelowLow { lowest: Epoch(6) }
        );
        assert!(store.reserve_eth(KEY, vote(3, 6), digest(1)).await.is_ok());
        store.close().await;
        assert_eq!(home.ethereum(), [1, 0, 0]);
    }
}

#[tokio::test]
async fn what_is_too_far_ahead_is_refused_and_not_spent() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_200_000)));
        // Slot 100 of 12 s, in epoch 3 of 32 slots.
        let times = SlotTimes::new(L1Timestamp(0), 12, 32, 12).unwrap();
        let guard = FarFutureGuard { times, clock: clock.clone(), slots_ahead: 1 };
        let store = home.keeper_with(EthOptions { far_future: Some(guard), ..EthOptions::default() }).await;
        assert!(store.reserve_eth(KEY, block(101), digest(1)).await.is_ok());
        assert!(store.reserve_eth(KEY, vote(2, 3), digest(1)).await.is_ok());
        let ahead = EthReason::TooFarAhead { current: Slot(100) };
        assert_eq!(refusal(store.reserve_eth(KEY, block(102), digest(1)).await), ahead);
        assert_eq!(refusal(store.reserve_eth(KEY, vote(3, 4), digest(1)).await), ahead);
        clock.set(UnixTime::from_millis(1_524_000));
        assert!(store.reserve_eth(KEY, block(102), digest(2)).await.is_ok());
        assert!(store.reserve_eth(KEY, vote(3, 4), digest(2)).await.is_ok(), "slot 127 begins epoch 4 next");
        store.close().await;
    }
}

#[tokio::test]
async fn what_was_pruned_is_refused_and_so_is_what_would_surround_it() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let store = home.keeper().await;
        for (slot, (source, target)) in [(10, (2, 3)), (20, (5, 6)), (30, (6, 9))] {
            assert!(store.reserve_eth(KEY, block(slot), digest(1)).await.is_ok());
            assert!(store.reserve_eth(KEY, vote(source, target), digest(1)).await.is_ok());
        }
        assert_eq!(store.prune_eth(Slot(20), Epoch(6)).await.unwrap(), 4);
        assert_eq!(store.prune_eth(Slot(15), Epoch(4)).await.unwrap(), 0, "marks never go down");
        store.close().await;
        let store = home.keeper().await;
        let asked = |duty| store.reserve_eth(KEY, duty, digest(1));
        assert_eq!(refusal(asked(block(20)).await), EthReason::SlotBelowLow { lowest: Slot(21) });
        assert_eq!(refusal(asked(vote(5, 6)).await), EthReason::TargetBelowLow { lowest: Epoch(7) });
        assert_eq!(refusal(asked(vote(4, 10)).await), EthReason::SourceBelowLow { lowest: Epoch(5) });
        assert!(matches!(asked(block(30)).await, Ok(EthSafe::SameData(_))));
        assert!(matches!(asked(vote(6, 9)).await, Ok(EthSafe::SameData(_))));
        assert!(asked(block(21)).await.is_ok());
        store.close().await;
    }
}

#[tokio::test]
async fn a_retired_key_signs_nothing_and_no_other_is_touched() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let store = home.keeper().await;
        assert!(store.reserve_eth(KEY, block(10), digest(1)).await.is_ok());
        store.retire_eth(&[KEY]).await.unwrap();
        store.close().await;
        let store = home.keeper().await;
        for (duty, root) in [(block(10), digest(1)), (block(99), digest(2)), (vote(8, 9), digest(2))] {
            assert_eq!(refusal(store.reserve_eth(KEY, duty, root).await), EthReason::Retired);
        }
        assert!(store.reserve_eth(OTHER_KEY, block(10), digest(1)).await.is_ok());
        store.close().await;
    }
}

#[tokio::test]
async fn a_closed_store_answers_that_it_is_closed() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        let store = home.keeper().await;
        store.close().await;
        assert!(matches!(store.reserve_eth(KEY, block(1), B256::ZERO).await, Err(SignerError::Closed)));
        assert!(matches!(store.prune_eth(Slot(1), Epoch(1)).await, Err(SignerError::Closed)));
        assert!(matches!(store.retire_eth(&[KEY]).await, Err(SignerError::Closed)));
    }
}
