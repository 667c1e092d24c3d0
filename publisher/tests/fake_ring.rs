//! The publisher against an L1 in memory that fails in every way a node does.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::sync::Arc;

use alloy::consensus::Transaction;
use alloy::eips::eip4844::Blob;
use alloy::primitives::{U256, keccak256};
use common::fake_l1::{FakeL1, GENESIS, OnSend};
use common::{ETHEREUM_SLOT, Sending, mined, open, open_by, request, signer, started, try_open};
use fermata_primitives::{L1Timestamp, ManualClock};
use fermata_publisher::{
    Error, FeeConfig, InvalidRequest, L1Request, L1TxState, NextStep, Outcome, PreparedBlobs, RefusalClass,
    RejectReason, RequestBlobs, SuccessRule,
};

const SEND: &str = "eth_sendRawTransaction";
const RECEIPT: &str = "eth_getTransactionReceipt";
/// With one account, each look at L1 asks for one balance.
const LOOK: &str = "eth_getBalance";

/// A request for the next six blocks.
fn soon(label: &str) -> L1Request {
    request(label, GENESIS, GENESIS + 6 * ETHEREUM_SLOT)
}

/// The same, with one blob.
fn blob_soon(label: &str) -> L1Request {
    let blobs = PreparedBlobs::compute(vec![Blob::ZERO]).unwrap();
    L1Request { blobs: RequestBlobs::Prepared(blobs), ..soon(label) }
}

/// That many blocks leave the transaction out; it has expired then, and something else has gone out under its nonce.
async fn passed_over(fake: &FakeL1, blocks: usize, sending: Sending) {
    for _ in 0..blocks {
        fake.mine_empty();
        tokio::task::yield_now().await;
    }
    assert_eq!(sending.outcome().await, Outcome::Expired);
    fake.until_called(SEND, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_recorded_sent_once_and_answered_with_its_receipt() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, soon("propose slot 1"));
    fake.until_called(SEND, 1).await;
    let status = manager.status().await.unwrap();
    assert_eq!((status.accounts[0].in_flight.len(), status.accounts[0].next_nonce), (1, 1));
    fake.mine();
    let tx = mined(sending.outcome().await);
    assert_eq!(tx.tx_hash, fake.mined()[0].hash());
    assert_eq!((tx.block_hash, tx.block_timestamp), (fake.head().hash, fake.head().timestamp));
    assert!(tx.succeeded);
    assert_eq!((fake.broadcasts().len(), fake.calls(RECEIPT)), (1, 1));
    assert_eq!(manager.settled(tx.tx_hash).await.unwrap().unwrap().state, L1TxState::Included);
}

#[tokio::test(start_paused = true)]
async fn fees_that_are_set_while_it_runs_bind_the_next_bid_and_leave_the_one_in_flight() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 2).await;
    let first = Sending::begin(&manager, soon("first"));
    fake.until_called(SEND, 1).await;
    let tip = 3_000_000_000;
    manager.set_fees(FeeConfig { tip_floor: tip, ..FeeConfig::default() }).unwrap();
    let second = Sending::begin(&manager, soon("second"));
    fake.until_called(SEND, 2).await;
    let tips: Vec<_> = fake.broadcasts().iter().map(|seen| seen.tx.max_priority_fee_per_gas().unwrap()).collect();
    assert!(tips[0] < tip && tips[1] == tip, "{tips:?}");
    let bids = manager.status().await.unwrap().accounts.into_iter().flat_map(|account| account.in_flight);
    let mut told: Vec<_> = bids.map(|tx| tx.fees.unwrap().tip).collect();
    told.sort_unstable();
    assert_eq!(told, tips, "the status tells each bid");
    fake.mine();
    mined(first.outcome().await);
    mined(second.outcome().await);
    manager.close().await.unwrap();
    assert!(matches!(manager.set_fees(FeeConfig::default()), Err(Error::Closed)));
}

#[tokio::test(start_paused = true)]
async fn one_look_a_head_and_no_polling_between_heads() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, request("propose", GENESIS, GENESIS + 999 * ETHEREUM_SLOT));
    fake.until_called(SEND, 1).await;
    // A start looks once.
    for looks in 2..=4 {
        fake.mine_empty();
        fake.until_called(LOOK, looks).await;
    }
    fake.mine();
    mined(sending.outcome().await);
    assert_eq!((fake.calls(LOOK), fake.calls(RECEIPT)), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_block_that_leads_to_its_window() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let opens = GENESIS + 3 * ETHEREUM_SLOT;
    let sending = Sending::begin(&manager, request("propose", opens, opens + ETHEREUM_SLOT));
    fake.mine();
    tokio::task::yield_now().await;
    assert_eq!(fake.broadcasts().len(), 0);
    fake.mine();
    fake.until_called(SEND, 1).await;
    fake.mine();
    assert_eq!(mined(sending.outcome().await).block_timestamp.0, opens);
}

#[tokio::test(start_paused = true)]
async fn an_l1_slot_without_a_block_does_not_cost_the_block_behind_it() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.fund(signer(0).address(), U256::from(10).pow(U256::from(18)));
    let clock = Arc::new(ManualClock::new(L1Timestamp(GENESIS).into()));
    let manager = Arc::new(open_by(&fake, dir.path(), 1, Arc::clone(&clock)).unwrap());
    manager.start().await.unwrap();
    let opens = GENESIS + 2 * ETHEREUM_SLOT;
    let next = Sending::begin(&manager, request("next", opens, opens + ETHEREUM_SLOT));
    let far = opens + ETHEREUM_SLOT;
    let after = Sending::begin(&manager, request("after", far, far + ETHEREUM_SLOT));
    tokio::task::yield_now().await;
    clock.set(L1Timestamp(opens - 5).into());
    tokio::task::yield_now().await;
    assert_eq!(fake.broadcasts().len(), 0, "the block before the window may still come");
    clock.set(L1Timestamp(opens - 4).into());
    fake.until_called(SEND, 1).await;
    fake.mine_at(opens);
    assert_eq!(mined(next.outcome().await).block_timestamp.0, opens);
    fake.until_called(SEND, 2).await;
    fake.mine();
    assert_eq!(mined(after.outcome().await).block_timestamp.0, far);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_land_before_its_deadline_is_never_sent() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, request("stale", GENESIS, GENESIS + ETHEREUM_SLOT));
    assert_eq!(sending.outcome().await, Outcome::Expired);
    assert_eq!(fake.broadcasts().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_by_the_clock_is_not_sent_though_the_head_lags() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.fund(signer(0).address(), U256::from(10).pow(U256::from(18)));
    let clock = Arc::new(ManualClock::new(L1Timestamp(GENESIS).into()));
    let manager = Arc::new(open_by(&fake, dir.path(), 1, Arc::clone(&clock)).unwrap());
    manager.start().await.unwrap();
    let deadline = GENESIS + 2 * ETHEREUM_SLOT;
    clock.set(L1Timestamp(deadline).into());
    let sending = Sending::begin(&manager, request("late", GENESIS, deadline));
    assert_eq!(sending.outcome().await, Outcome::Expired);
    assert_eq!((fake.broadcasts().len(), manager.status().await.unwrap().accounts[0].next_nonce), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_expired_blob_transaction_is_cancelled_by_the_pools_rule_and_its_account_is_usable_again() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, blob_soon("propose"));
    fake.until_called(SEND, 1).await;
    passed_over(&fake, 6, sending).await;
    let (original, pooled) = (fake.broadcasts()[0].clone(), fake.pool());
    assert_eq!(pooled.len(), 1, "the cancel has not replaced the original");
    let cancel = &pooled[0].tx;
    assert_eq!((cancel.nonce(), cancel.to()), (0, Some(signer(0).address())));
    assert!(cancel.is_eip4844() && cancel.input().is_empty() && cancel.value().is_zero());
    assert!(cancel.max_fee_per_gas() > 2 * original.tx.max_fee_per_gas());
    fake.mine();
    let next = Sending::begin(&manager, request("next", GENESIS, fake.head().timestamp.0 + 99));
    fake.until_called(SEND, 3).await;
    fake.mine();
    mined(next.outcome().await);
    assert_eq!(fake.mined().iter().map(|seen| seen.tx.nonce()).collect::<Vec<_>>(), [0, 1]);
    let again = fake.broadcasts().iter().filter(|seen| seen.hash() == original.hash()).count();
    assert_eq!(again, 1, "an expired transaction was sent again");
}

#[tokio::test(start_paused = true)]
async fn the_next_blob_transaction_takes_the_nonce_of_one_that_expired_by_the_pools_rule() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, blob_soon("propose"));
    fake.until_called(SEND, 1).await;
    let opens = L1Timestamp(GENESIS + 6 * ETHEREUM_SLOT);
    let next = L1Request { not_before: opens, deadline: L1Timestamp(opens.0 + 99), ..blob_soon("propose the next") };
    let next = Sending::begin(&manager, next);
    passed_over(&fake, 6, sending).await;
    let (original, pooled) = (fake.broadcasts()[0].clone(), fake.pool());
    assert_eq!((pooled.len(), pooled[0].tx.nonce()), (1, 0), "it has not replaced the original");
    assert_ne!(pooled[0].hash(), original.hash());
    fake.mine();
    mined(next.outcome().await);
    assert_eq!(fake.mined().len(), 1);
    assert_eq!(fake.broadcasts().len(), 2, "nothing was cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_wins_against_its_cancel_is_recorded_as_included() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, request("propose", GENESIS, GENESIS + 2 * ETHEREUM_SLOT));
    fake.until_called(SEND, 1).await;
    // The cancel is lost on its way, so the original stays in the pool.
    fake.on_send([OnSend::LoseAndHang]);
    passed_over(&fake, 2, sending).await;
    fake.mine();
    let next = Sending::begin(&manager, request("next", GENESIS, fake.head().timestamp.0 + 99));
    fake.until_called(SEND, 3).await;
    let settled = manager.settled(fake.mined()[0].hash()).await.unwrap().unwrap();
    assert_eq!(settled.state, L1TxState::Included);
    fake.mine();
    mined(next.outcome().await);
    assert_eq!(fake.mined().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_before_the_broadcast_means_that_nothing_is_ever_sent() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let later = GENESIS + 3 * ETHEREUM_SLOT;
    let sending = Sending::begin(&manager, request("propose", later, later + 99));
    tokio::task::yield_now().await;
    sending.interrupt.cancel();
    assert_eq!(sending.outcome().await, Outcome::Interrupted { sent: None });
    let before = fake.call_count();
    fake.mine();
    fake.mine();
    let other = Sending::begin(&manager, request("other", GENESIS, later + 99));
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(other.outcome().await);
    assert_eq!(fake.broadcasts().len(), 1);
    assert!(fake.call_count() > before);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_while_a_broadcast_hangs_answers_with_what_may_be_live_and_it_is_still_watched() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.on_send([OnSend::LoseAndHang]);
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    sending.interrupt.cancel();
    let hash = fake.broadcasts()[0].hash();
    assert_eq!(sending.outcome().await, Outcome::Interrupted { sent: Some(hash) });
    // No node has it, its window is open, and still it is not sent again: at its deadline it is cancelled.
    for _ in 0..6 {
        fake.mine_empty();
        tokio::task::yield_now().await;
    }
    fake.until_called(SEND, 2).await;
    let sent: Vec<_> = fake.broadcasts().iter().map(|seen| seen.tx.to()).collect();
    assert_eq!(sent[1], Some(signer(0).address()), "the second is not a cancel");
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_has_answered_nothing_goes_out() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    manager.stop().await;
    let calls = fake.call_count();
    let hash = fake.broadcasts()[0].hash();
    assert_eq!(sending.outcome().await, Outcome::Interrupted { sent: Some(hash) });
    for _ in 0..8 {
        fake.mine_empty();
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.call_count(), calls);
    let late = manager.send(soon("late"), Default::default()).await;
    assert!(matches!(late, Err(Error::NotRunning)));
    assert_eq!(manager.status().await.unwrap().accounts[0].in_flight[0].state, L1TxState::Live);
}

#[tokio::test(start_paused = true)]
async fn what_landed_between_a_stop_and_a_start_is_reconciled_before_work_is_accepted() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    manager.stop().await;
    sending.outcome().await;
    fake.mine();
    let report = manager.start().await.unwrap();
    assert_eq!((report.settled.len(), report.resumed.len()), (1, 0));
    assert_eq!((report.settled[0].state, report.settled[0].label.as_str()), (L1TxState::Included, "propose"));
    assert_eq!((fake.mined().len(), fake.broadcasts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_recorded_and_not_sent_before_a_crash_is_sent_once_with_the_same_bytes() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    // The bytes never reach L1, and the process ends before it knows: what is on disk is what a crash between record and
    // broadcast leaves.
    fake.on_send([OnSend::LoseAndHang]);
    let sending = Sending::begin(&manager, blob_soon("propose"));
    fake.until_called(SEND, 1).await;
    manager.close().await.unwrap();
    sending.outcome().await;
    drop(manager);

    let manager = open(&fake, dir.path(), 1);
    assert_eq!(manager.status().await.unwrap().accounts[0].in_flight[0].state, L1TxState::Leased);
    let report = manager.start().await.unwrap();
    assert_eq!(report.resumed.len(), 1);
    fake.until_called(SEND, 2).await;
    let sent = fake.broadcasts();
    assert!(sent[0].bytes == sent[1].bytes, "the bytes differ");
    fake.mine();
    let next = Sending::begin(&manager, soon("next"));
    fake.until_called(SEND, 3).await;
    fake.mine();
    mined(next.outcome().await);
    assert_eq!(fake.mined().iter().map(|seen| seen.tx.nonce()).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_expired_during_a_crash_is_cancelled_and_never_sent_again() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.on_send([OnSend::LoseAndHang]);
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    manager.close().await.unwrap();
    sending.outcome().await;
    fake.mine_at(GENESIS + 99 * ETHEREUM_SLOT);
    let manager = open(&fake, dir.path(), 1);
    manager.start().await.unwrap();
    fake.until_called(SEND, 2).await;
    assert_eq!(fake.pool()[0].tx.to(), Some(signer(0).address()), "what is pooled is not a cancel");
    assert_eq!(fake.pool()[0].tx.nonce(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_whose_answer_is_lost_lands_once() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.on_send([OnSend::TakeAndHang]);
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    assert!(mined(sending.outcome().await).succeeded);
    assert_eq!((fake.mined().len(), fake.broadcasts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_no_node_has_is_sent_again_with_the_same_bytes() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.on_send([OnSend::PretendToTake]);
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine_empty();
    fake.until_called(LOOK, 2).await;
    fake.mine_empty();
    fake.until_called(SEND, 2).await;
    fake.mine();
    mined(sending.outcome().await);
    assert_eq!(fake.broadcasts()[0].bytes, fake.broadcasts()[1].bytes);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_pay_is_skipped_and_the_request_goes_out_from_another() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 3).await;
    fake.fund(signer(0).address(), U256::ZERO);
    fake.mine();
    fake.on_send([OnSend::Refuse("insufficient funds for gas * price + value")]);
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    fake.until_called(SEND, 2).await;
    fake.mine();
    mined(sending.outcome().await);
    let senders: Vec<_> = fake.broadcasts().iter().map(|seen| seen.from).collect();
    assert_eq!(senders, [signer(1).address(), signer(2).address()]);
    // The refusal was definite: the nonce is free again.
    assert_eq!(manager.status().await.unwrap().accounts[1].next_nonce, 0);
}

#[tokio::test(start_paused = true)]
async fn unfunded_publishers_are_a_typed_error_and_a_top_up_needs_no_restart() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.fund(signer(0).address(), U256::ZERO);
    fake.mine();
    let refused = Sending::begin(&manager, soon("propose")).result().await;
    assert!(matches!(refused, Err(Error::Unfunded { accounts, .. }) if accounts[0].balance.is_zero()));
    fake.fund(signer(0).address(), U256::from(10).pow(U256::from(18)));
    fake.mine();
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
}

#[tokio::test(start_paused = true)]
async fn a_dedup_key_is_held_in_flight_and_after_landing_and_freed_by_a_revert() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 2).await;
    let keyed = || L1Request { dedup_key: Some("propose/7".into()), ..soon("propose") };
    let first = Sending::begin(&manager, keyed());
    fake.until_called(SEND, 1).await;
    let is_duplicate = |outcome| matches!(outcome, Outcome::Rejected { reason: RejectReason::Duplicate { .. } });
    assert!(is_duplicate(Sending::begin(&manager, keyed()).outcome().await));
    fake.make_reverting();
    fake.mine();
    let reverted = first.outcome().await;
    assert_eq!(reverted.next_step(), NextStep::DropSlot);
    assert!(!mined(reverted).succeeded);
    let second = Sending::begin(&manager, keyed());
    fake.until_called(SEND, 2).await;
    manager.stop().await;
    second.outcome().await;
    manager.start().await.unwrap();
    assert!(is_duplicate(Sending::begin(&manager, keyed()).outcome().await), "the key is lost by a restart");
}

#[tokio::test(start_paused = true)]
async fn two_sends_get_two_accounts_and_the_next_two_line_up_behind_them() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 2).await;
    let sends: Vec<_> = ["a", "b"].map(|label| Sending::begin(&manager, soon(label))).into();
    fake.until_called(SEND, 2).await;
    let third = Sending::begin(&manager, soon("c"));
    let fourth = Sending::begin(&manager, soon("d"));
    fake.until_called(SEND, 4).await;
    assert_ne!(fake.broadcasts()[0].from, fake.broadcasts()[1].from);
    assert_ne!(fake.broadcasts()[2].from, fake.broadcasts()[3].from);
    fake.mine();
    for send in sends {
        mined(send.outcome().await);
    }
    mined(third.outcome().await);
    mined(fourth.outcome().await);
    let mut order: Vec<_> = fake.broadcasts().iter().map(|seen| seen.tx.nonce()).collect();
    order.sort_unstable();
    assert_eq!(order, [0, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn sends_of_one_account_get_consecutive_nonces_in_the_order_they_came() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let mut sends = Vec::new();
    for (index, label) in ["a", "b", "c"].into_iter().enumerate() {
        sends.push(Sending::begin(&manager, request(label, GENESIS, GENESIS + 999)));
        fake.until_called(SEND, index + 1).await;
    }
    fake.mine();
    for send in sends {
        mined(send.outcome().await);
    }
    let labels: Vec<_> = fake.mined().iter().map(|seen| seen.tx.input().to_vec()).collect();
    assert_eq!(labels, [b"a", b"b", b"c"]);
    assert_eq!(fake.mined().iter().map(|seen| seen.tx.nonce()).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_nonce_used_elsewhere_is_skipped_and_one_taken_under_a_live_transaction_is_reported() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.use_nonce_elsewhere(signer(0).address());
    let sending = Sending::begin(&manager, request("a", GENESIS, GENESIS + 999));
    fake.until_called(SEND, 1).await;
    fake.mine();
    fake.until_called(SEND, 2).await;
    assert_eq!(fake.broadcasts()[1].tx.nonce(), 1);
    fake.empty_pool();
    fake.use_nonce_elsewhere(signer(0).address());
    // One head shows that the nonce is gone, the next confirms it.
    for looks in 1..=2 {
        fake.mine_empty();
        fake.until_called(RECEIPT, looks).await;
    }
    let outcome = sending.outcome().await;
    let Outcome::Rejected { reason: RejectReason::Superseded { nonce: 1, .. } } = outcome else {
        panic!("{outcome:?}")
    };
}

#[tokio::test(start_paused = true)]
async fn a_start_against_the_wrong_chain_or_a_dead_l1_fails_and_can_be_retried() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.fund(signer(0).address(), U256::from(10).pow(U256::from(18)));
    fake.use_chain_id(1);
    let manager = open(&fake, dir.path(), 1);
    assert!(matches!(manager.start().await, Err(Error::WrongChain { expected: 31_337, actual: 1 })));
    fake.use_chain_id(common::fake_l1::CHAIN_ID);
    fake.make_unreachable();
    assert!(matches!(manager.start().await, Err(Error::L1Unreachable { .. })));
    assert!(matches!(manager.send(soon("early"), Default::default()).await, Err(Error::NotRunning)));
    fake.make_reachable();
    manager.start().await.unwrap();
    manager.start().await.unwrap();
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
    assert_eq!(fake.broadcasts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_close_everything_is_refused_and_the_directory_is_free_at_once() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    assert!(matches!(try_open(&fake, dir.path(), 1), Err(Error::DataDirHeld { .. })));
    manager.close().await.unwrap();
    manager.close().await.unwrap();
    manager.stop().await;
    assert!(matches!(manager.start().await, Err(Error::Closed)));
    assert!(matches!(manager.send(soon("late"), Default::default()).await, Err(Error::Closed)));
    assert!(matches!(manager.status().await, Err(Error::Closed)));
    open(&fake, dir.path(), 1).start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn fees_above_the_ceiling_are_waited_out_and_named_at_the_deadline() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.set_base_fee(5_000_000_000_000);
    let sending = Sending::begin(&manager, request("dear", GENESIS, GENESIS + 3 * ETHEREUM_SLOT));
    fake.until_called(LOOK, 2).await;
    fake.mine();
    fake.until_called(LOOK, 3).await;
    fake.mine();
    let outcome = sending.outcome().await;
    assert!(matches!(outcome, Outcome::Rejected { reason: RejectReason::FeeCeiling(_) }), "{outcome:?}");
    assert_eq!(outcome.next_step(), NextStep::DropSlot);

    let deadline = fake.head().timestamp.0 + 9 * ETHEREUM_SLOT;
    let sending = Sending::begin(&manager, request("cheaper", GENESIS, deadline));
    fake.until_called(LOOK, 4).await;
    fake.set_base_fee(1_000_000_000);
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_can_never_be_valid_is_rejected_at_once_and_changes_nothing() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.on_send([OnSend::Refuse("intrinsic gas too low")]);
    let outcome = Sending::begin(&manager, soon("odd")).outcome().await;
    let Outcome::Rejected { reason: RejectReason::Refused { class, .. } } = outcome else { panic!("{outcome:?}") };
    assert_eq!(class, RefusalClass::Shape);
    let empty = request("empty", GENESIS, GENESIS);
    let outcome = Sending::begin(&manager, empty).outcome().await;
    let Outcome::Rejected { reason: RejectReason::Invalid(InvalidRequest::EmptyWindow { .. }) } = outcome else {
        panic!("{outcome:?}")
    };
    let status = manager.status().await.unwrap();
    assert_eq!((status.accounts[0].next_nonce, status.accounts[0].in_flight.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_is_acted_upon_while_l1_cannot_be_looked_at() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.hold(SEND);
    fake.on_send([OnSend::Refuse("intrinsic gas too low")]);
    let sending = Sending::begin(&manager, soon("odd"));
    fake.until_called(SEND, 1).await;
    // What waits has L1 looked at.
    let _later = Sending::begin(&manager, request("later", GENESIS + 5 * ETHEREUM_SLOT, GENESIS + 6 * ETHEREUM_SLOT));
    let looks = fake.calls(LOOK);
    fake.make_dead(LOOK);
    fake.mine_empty();
    fake.until_called(LOOK, looks + 1).await;
    fake.release();
    let outcome = sending.outcome().await;
    assert!(matches!(outcome, Outcome::Rejected { reason: RejectReason::Refused { .. } }), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn success_is_an_event_of_the_right_contract_in_the_receipt() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let rule = |name: &str| SuccessRule::Event { address: soon("x").to, topic0: keccak256(name) };
    for (index, (event, succeeded)) in [("Landed()", true), ("Other()", false)].into_iter().enumerate() {
        let sending = Sending::begin(&manager, L1Request { success: rule(event), ..soon(event) });
        fake.until_called(SEND, index + 1).await;
        fake.mine();
        assert_eq!(mined(sending.outcome().await).succeeded, succeeded, "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_a_transaction_that_is_still_followed() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let send = manager.send(soon("propose"), Default::default());
    tokio::select! {
        biased;
        outcome = send => panic!("ended: {outcome:?}"),
        () = fake.until_called(SEND, 1) => {}
    }
    fake.mine();
    let next = Sending::begin(&manager, soon("next"));
    fake.until_called(SEND, 2).await;
    fake.mine();
    mined(next.outcome().await);
    assert_eq!(fake.mined().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_was_rewound_below_what_landed_is_refused() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
    // Finality is seen at the next head, before anything new is sent.
    fake.mine();
    let _next = Sending::begin(&manager, request("next", GENESIS, GENESIS + 999));
    fake.until_called(SEND, 2).await;
    manager.close().await.unwrap();
    let other = FakeL1::new();
    let manager = open(&other, dir.path(), 1);
    assert!(matches!(manager.start().await, Err(Error::ChainRewound { chain: 0, recorded: 1, .. })));
}
