//! What may be spent, on one transaction and within an hour.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::U256;
use common::fake_l1::{FakeL1, GENESIS};
use common::{ETHEREUM_SLOT, Sending, config, idle, mined, request, started_with};
use fermata_publisher::{
    FeeConfig, FeeField, L1Request, NextStep, Outcome, PublisherConfig, PublisherManager, RejectReason,
};

const SEND: &str = "eth_sendRawTransaction";
const GWEI: u128 = 1_000_000_000;
/// Gas of a request of these tests, and the least it can bid for each at the fake's base fee.
const LEAST_COST: u128 = 60_000 * 12 * GWEI;
/// What it costs in its block.
const PAID: u128 = 21_000 * 11 * GWEI;

/// A request for the next `blocks` blocks.
fn within(fake: &FakeL1, blocks: u64) -> L1Request {
    let now = fake.head().timestamp.0;
    request("propose", now, now + blocks * ETHEREUM_SLOT + 1)
}

/// What was in the way of a request until its deadline.
fn ceiling_of(outcome: Outcome) -> (FeeField, u128) {
    assert_eq!(outcome.next_step(), NextStep::DropSlot);
    match outcome {
        Outcome::Rejected { reason: RejectReason::FeeCeiling(by) } => {
            assert!(by.needed > by.ceiling, "{by}");
            (by.field, by.ceiling)
        }
        other => panic!("not held back: {other:?}"),
    }
}

/// A request that is held back until its deadline passes.
async fn held_back(fake: &FakeL1, manager: &Arc<PublisherManager>) -> (FeeField, u128) {
    let sending = Sending::begin(manager, within(fake, 1));
    idle().await;
    fake.mine_at(fake.head().timestamp.0 + 2 * ETHEREUM_SLOT);
    ceiling_of(sending.outcome().await)
}

async fn landed(fake: &FakeL1, manager: &Arc<PublisherManager>) {
    let sends = fake.calls(SEND);
    let sending = Sending::begin(manager, within(fake, 3));
    fake.until_called(SEND, sends + 1).await;
    fake.mine();
    mined(sending.outcome().await);
}

fn with(fees: FeeConfig, dir: &std::path::Path) -> PublisherConfig {
    PublisherConfig { fees, ..config(dir) }
}

/// Room for one transaction at its dearest, and not for that beside what one has cost.
fn hourly() -> FeeConfig {
    FeeConfig { hourly_ceiling: Some(U256::from(60_000 * 18 * GWEI)), ..FeeConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_above_its_ceiling_waits_for_lower_fees_and_names_the_ceiling_at_its_deadline() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let ceiling = U256::from(LEAST_COST);
    let fees = FeeConfig { transaction_ceiling: Some(ceiling), ..FeeConfig::default() };
    let (manager, _clock) = started_with(&fake, with(fees, dir.path())).await;
    assert_eq!(held_back(&fake, &manager).await, (FeeField::Transaction, LEAST_COST));
    assert_eq!(fake.calls(SEND), 0);

    let sending = Sending::begin(&manager, within(&fake, 3));
    fake.set_base_fee(2 * GWEI);
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
    assert_eq!(manager.status().await.unwrap().accounts[0].next_nonce, 1, "what waited took no nonce");
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_within_the_hour_holds_the_next_back_until_the_hour_has_passed() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let (manager, clock) = started_with(&fake, with(hourly(), dir.path())).await;
    landed(&fake, &manager).await;
    let (field, _) = held_back(&fake, &manager).await;
    assert_eq!((field, fake.calls(SEND)), (FeeField::Hour, 1));
    clock.advance(Duration::from_secs(60 * 60 + ETHEREUM_SLOT));
    fake.mine_at(GENESIS + 60 * 60 + ETHEREUM_SLOT);
    landed(&fake, &manager).await;
    assert_eq!(fake.calls(SEND), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_counts_as_dear_as_it_can_get() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let (manager, _clock) = started_with(&fake, with(hourly(), dir.path())).await;
    let first = Sending::begin(&manager, within(&fake, 3));
    fake.until_called(SEND, 1).await;
    let second = Sending::begin(&manager, within(&fake, 1));
    idle().await;
    fake.mine_empty();
    let (field, _) = ceiling_of(second.outcome().await);
    assert_eq!((field, fake.calls(SEND)), (FeeField::Hour, 1));
    fake.mine();
    mined(first.outcome().await);
}

#[tokio::test(start_paused = true)]
async fn a_new_process_counts_what_was_spent_before_it() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let config = PublisherConfig { keep_settled: 0, ..with(hourly(), dir.path()) };
    let (manager, _clock) = started_with(&fake, config.clone()).await;
    landed(&fake, &manager).await;
    // Its record is final, and not kept.
    fake.mine_empty();
    idle().await;
    assert_eq!(manager.settled(fake.mined()[0].hash()).await.unwrap(), None);
    manager.close().await.unwrap();
    let (manager, _clock) = started_with(&fake, config).await;
    let (field, ceiling) = held_back(&fake, &manager).await;
    assert_eq!(field, FeeField::Hour);
    assert!(ceiling > LEAST_COST && ceiling < LEAST_COST + 2 * PAID);
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_that_is_raised_while_it_runs_lets_the_next_go() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let fees = FeeConfig { transaction_ceiling: Some(U256::from(1)), ..FeeConfig::default() };
    let (manager, _clock) = started_with(&fake, with(fees, dir.path())).await;
    assert_eq!(held_back(&fake, &manager).await, (FeeField::Transaction, 1));
    manager.set_fees(FeeConfig::default()).unwrap();
    landed(&fake, &manager).await;
}
