//! The publisher against a real anvil.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use alloy::eips::eip4844::Blob;
use alloy::eips::eip7840::BlobParams;
use alloy::primitives::{Address, Bytes, U256, bytes};
use alloy::rpc::types::state::AccountOverride;
use common::anvil::{SLOT, TestAnvil, until};
use common::{Sending, mined, request, signer};
use fermata_primitives::{Clock, L1Timestamp, SystemClock};
use fermata_publisher::{
    Error, ForkSchedule, InvalidRequest, L1Request, L1TxState, MinedTx, Outcome, PublisherConfig, PublisherManager,
    RejectReason, RequestBlobs, SimLimits, SimSetting,
};
use serde_json::json;

/// Reverts with the block's timestamp as its data: `mstore(0, timestamp()) revert(0, 32)`.
const REVERT_WITH_TIME: &str = "0x425f5260205ffd";

/// A request for the next six blocks, with one blob whose proofs are not made yet.
fn propose(anvil: &TestAnvil, label: &str) -> L1Request {
    let mut blob = Blob::ZERO;
    blob[1] = 42;
    let now = anvil.head().timestamp.0;
    L1Request { blobs: RequestBlobs::Raw(vec![blob]), ..request(label, now, now + 6 * SLOT) }
}

/// Sends it, and mines it once it is pooled.
async fn lands(anvil: &TestAnvil, manager: &Arc<PublisherManager>, request: L1Request) -> MinedTx {
    let sending = Sending::begin(manager, request);
    anvil.until_pooled(1).await;
    anvil.mine().await;
    mined(sending.outcome().await)
}

#[tokio::test]
async fn a_blob_transaction_lands_and_its_outcome_and_its_blob_are_on_the_chain() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let tx = lands(&anvil, &manager, propose(&anvil, "propose slot 1")).await;
    assert_eq!(anvil.latest_hashes().await, [tx.tx_hash]);
    assert_eq!((tx.block_hash, tx.block_timestamp), (anvil.head().hash, anvil.head().timestamp));
    assert_eq!((tx.succeeded, tx.blob_gas_used), (true, Some(131_072)));
    let blobs: Vec<Bytes> = anvil.request("anvil_getBlobsByTransactionHash", json!([tx.tx_hash])).await;
    assert_eq!((blobs.len(), blobs[0][1]), (1, 42));
}

#[tokio::test]
async fn proofs_made_ahead_and_an_estimated_gas_limit_land_too() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let prepared = manager.prepare(vec![Blob::ZERO; 2]).await.unwrap();
    let blobs = RequestBlobs::Prepared(prepared);
    let tx = lands(&anvil, &manager, L1Request { blobs, gas_limit: None, ..propose(&anvil, "propose") }).await;
    assert_eq!((tx.succeeded, tx.blob_gas_used), (true, Some(2 * 131_072)));
}

#[tokio::test]
async fn before_osaka_a_blob_transaction_lands_with_a_sidecar_of_version_0() {
    let (anvil, dir) = (TestAnvil::start_at("prague", 1).await, tempfile::tempdir().unwrap());
    let forks = ForkSchedule::new(L1Timestamp(u64::MAX), vec![(L1Timestamp(0), BlobParams::prague())]);
    let config = PublisherConfig { forks: Some(forks), ..TestAnvil::config(dir.path()) };
    let manager = anvil.open_with(config, vec![signer(0)]);
    manager.start().await.unwrap();
    let tx = lands(&anvil, &manager, propose(&anvil, "propose")).await;
    assert_eq!((tx.succeeded, tx.blob_gas_used), (true, Some(131_072)));
}

#[tokio::test]
async fn the_blob_base_fee_computed_from_a_head_is_the_one_its_node_tells() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let forks = ForkSchedule::new(L1Timestamp(0), vec![(L1Timestamp(0), BlobParams::osaka())]);
    let config = PublisherConfig { forks: Some(forks), ..TestAnvil::config(dir.path()) };
    let manager = anvil.open_with(config, vec![signer(0)]);
    manager.start().await.unwrap();
    lands(&anvil, &manager, propose(&anvil, "propose")).await;
    let prices = manager.status().await.unwrap().prices;
    assert_eq!(prices.sources.computed_blob_base_fee, prices.sources.told_blob_base_fee);
    assert!(prices.sources.computed_blob_base_fee.is_some() && prices.disputed.is_empty(), "{prices:?}");
    assert!(prices.sources.paid_tip.is_some() || prices.sources.suggested_tip.is_some(), "{prices:?}");
}

#[tokio::test]
async fn nothing_lands_before_its_slot() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let opens = anvil.head().timestamp.0 + 4 * SLOT;
    let sending = Sending::begin(&manager, request("propose", opens, opens + SLOT));
    for _ in 0..3 {
        anvil.mine().await;
        assert_eq!(anvil.nonce(signer(0).address()).await, 0);
    }
    anvil.until_pooled(1).await;
    anvil.mine().await;
    assert_eq!(mined(sending.outcome().await).block_timestamp, L1Timestamp(opens));
}

#[tokio::test]
async fn what_expired_in_the_pool_is_cancelled_and_its_account_is_usable_afterwards() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let sending = Sending::begin(&manager, propose(&anvil, "propose"));
    anvil.until_pooled(1).await;
    let stale = manager.status().await.unwrap().accounts[0].in_flight[0].hashes[0];
    // A node under pressure forgets it, and L1 goes on without it.
    let _: serde_json::Value = anvil.request("anvil_dropTransaction", json!([stale])).await;
    anvil.mine_at(anvil.head().timestamp.0 + 7 * SLOT).await;
    assert_eq!(sending.outcome().await, Outcome::Expired);
    anvil.until_pooled(1).await;
    anvil.mine().await;
    let next = Sending::begin(&manager, propose(&anvil, "propose the next"));
    anvil.until_pooled(1).await;
    anvil.mine().await;
    assert!(mined(next.outcome().await).succeeded);
    assert_eq!(anvil.nonce(signer(0).address()).await, 2);
    let settled = manager.settled(stale).await.unwrap().unwrap();
    assert_eq!(settled.state, L1TxState::Cancelled);
}

#[tokio::test]
async fn what_expired_in_the_pool_is_replaced_by_the_next_of_its_type_with_its_nonce() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let stale = Sending::begin(&manager, propose(&anvil, "propose"));
    anvil.until_pooled(1).await;
    let hash = manager.status().await.unwrap().accounts[0].in_flight[0].hashes[0];
    let opens = anvil.head().timestamp.0 + 7 * SLOT;
    let next = L1Request {
        gas_limit: Some(100_000),
        not_before: L1Timestamp(opens),
        deadline: L1Timestamp(opens + 6 * SLOT),
        ..propose(&anvil, "propose the next")
    };
    let next = Sending::begin(&manager, next);
    until(async || !manager.status().await.unwrap().waiting.is_empty()).await;
    // Its bid does not pay for this block: it stays in the pool past its deadline.
    let _: serde_json::Value = anvil.request("anvil_setNextBlockBaseFeePerGas", json!(["0xba43b7400"])).await;
    anvil.mine_at(opens).await;
    assert_eq!(stale.outcome().await, Outcome::Expired);
    until(async || {
        let status = manager.status().await.unwrap();
        status.accounts[0].in_flight.iter().any(|tx| tx.label == "propose the next" && tx.state == L1TxState::Live)
    })
    .await;
    anvil.mine().await;
    let landed = mined(next.outcome().await);
    assert_eq!((landed.succeeded, anvil.nonce(signer(0).address()).await), (true, 1), "one transaction in all");
    assert_ne!(landed.tx_hash, hash);
}

#[tokio::test]
async fn a_stop_in_flight_and_a_start_leave_exactly_one_transaction_on_the_chain() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let sending = Sending::begin(&manager, propose(&anvil, "propose"));
    anvil.until_pooled(1).await;
    manager.close().await.unwrap();
    assert!(matches!(sending.outcome().await, Outcome::Interrupted { sent: Some(_) }));
    anvil.mine().await;
    let manager = anvil.open(dir.path(), 1);
    let report = manager.start().await.unwrap();
    assert_eq!((report.settled.len(), report.settled[0].state), (1, L1TxState::Included));
    assert_eq!(anvil.latest_hashes().await.len(), 1);
    anvil.mine().await;
    assert_eq!(anvil.nonce(signer(0).address()).await, 1);
}

#[tokio::test]
async fn two_concurrent_sends_go_out_from_two_accounts_in_one_block() {
    let (anvil, dir) = (TestAnvil::start(2).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 2).await;
    let sends = ["propose", "vote"].map(|label| Sending::begin(&manager, propose(&anvil, label)));
    anvil.until_pooled(2).await;
    anvil.mine().await;
    for send in sends {
        assert!(mined(send.outcome().await).succeeded);
    }
    assert_eq!(anvil.latest_hashes().await.len(), 2);
    assert_eq!((anvil.nonce(signer(0).address()).await, anvil.nonce(signer(1).address()).await), (1, 1));
}

#[tokio::test]
async fn an_interrupt_and_a_stop_are_prompt_while_l1_is_frozen() {
    let (anvil, dir) = (TestAnvil::start(3).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 3).await;
    let plain = |label| L1Request { blobs: RequestBlobs::None, ..propose(&anvil, label) };
    let live = Sending::begin(&manager, plain("live"));
    anvil.until_pooled(1).await;
    anvil.freeze();
    let first = Sending::begin(&manager, plain("first"));
    let second = Sending::begin(&manager, plain("second"));
    tokio::task::yield_now().await;
    let before = SystemClock.monotonic();
    first.interrupt.cancel();
    assert_eq!(first.outcome().await, Outcome::Interrupted { sent: None });
    manager.stop().await;
    assert_eq!(second.outcome().await, Outcome::Interrupted { sent: None });
    assert!(matches!(live.outcome().await, Outcome::Interrupted { sent: Some(_) }));
    let took = SystemClock.monotonic() - before;
    assert!(took < Duration::from_millis(500), "it took {took:?}");
    anvil.thaw();
    anvil.mine().await;
    assert_eq!(anvil.latest_hashes().await.len(), 1);
}

#[tokio::test]
async fn a_start_against_a_frozen_l1_is_cut_short_by_a_stop_and_can_be_retried() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.open(dir.path(), 1);
    anvil.freeze();
    let (started, ()) = tokio::join!(manager.start(), async {
        tokio::task::yield_now().await;
        manager.stop().await;
    });
    assert!(matches!(started, Err(Error::Interrupted)), "{started:?}");
    anvil.thaw();
    manager.start().await.unwrap();
    assert!(manager.status().await.unwrap().running);
}

#[tokio::test]
async fn a_transaction_that_reverts_is_mined_and_says_with_what_it_reverted() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let request = propose(&anvil, "propose");
    anvil.set_code(request.to, REVERT_WITH_TIME).await;
    let sending = Sending::begin(&manager, request);
    anvil.until_pooled(1).await;
    anvil.mine().await;
    let tx = mined(sending.outcome().await);
    assert!(!tx.succeeded);
    let time = U256::from(anvil.head().timestamp.0);
    assert_eq!(tx.revert_data, Some(time.to_be_bytes::<32>().into()));
}

#[tokio::test]
async fn a_simulation_runs_at_the_given_time_with_the_given_state_and_gives_the_revert_data() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let request = propose(&anvil, "propose");
    let at = L1Timestamp(anvil.head().timestamp.0 + 1_000);
    let from = signer(0).address();
    let plain = manager.simulate_at(&request, SimSetting::new(from, at)).await.unwrap();
    assert_eq!(plain.revert_data, None);
    assert!(plain.gas_used >= 21_000);
    let code = Bytes::from(alloy::hex::decode(REVERT_WITH_TIME).unwrap());
    let mut setting = SimSetting::new(from, at);
    setting.assumed.insert(request.to, AccountOverride::default().with_code(code));
    let reverted = manager.simulate_at(&request, setting).await.unwrap();
    assert_eq!(reverted.revert_data, Some(U256::from(at.0).to_be_bytes::<32>().into()));
}

#[tokio::test]
async fn a_simulated_block_has_no_more_gas_and_no_more_blobs_than_it_is_given() {
    /// `mstore(0, gaslimit()) revert(0, 32)`
    const REVERT_WITH_GAS: &str = "0x455f5260205ffd";
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let request = L1Request { gas_limit: None, ..propose(&anvil, "propose") };
    anvil.set_code(request.to, REVERT_WITH_GAS).await;
    let given = |gas, blobs| SimSetting {
        limits: SimLimits { gas, blobs },
        ..SimSetting::new(signer(0).address(), L1Timestamp(anvil.head().timestamp.0 + SLOT))
    };
    let told = manager.simulate_at(&request, given(500_000, 1)).await.unwrap();
    assert_eq!(told.revert_data, Some(U256::from(500_000).to_be_bytes::<32>().into()));
    let greedy = L1Request { gas_limit: Some(500_001), ..request.clone() };
    let refused = manager.simulate_at(&greedy, given(500_000, 1)).await;
    let no_room = InvalidRequest::NoRoomForGas { gas: 500_001, room: 500_000 };
    assert!(matches!(&refused, Err(Error::Invalid(why)) if *why == no_room), "{refused:?}");
    let refused = manager.simulate_at(&request, given(500_000, 0)).await;
    let no_room = InvalidRequest::NoRoomForBlobs { blobs: 1, room: 0 };
    assert!(matches!(&refused, Err(Error::Invalid(why)) if *why == no_room), "{refused:?}");
}

#[tokio::test]
async fn an_estimate_that_reverts_is_rejected_with_its_data_and_sends_nothing() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let to = Address::repeat_byte(0xdd);
    // `mstore8(0, 7) revert(0, 1)`
    anvil.set_code(to, "0x60075f5360015ffd").await;
    let request = L1Request { to, gas_limit: None, blobs: RequestBlobs::None, ..propose(&anvil, "propose") };
    let outcome = Sending::begin(&manager, request).outcome().await;
    let expected = RejectReason::EstimateReverted { data: bytes!("07") };
    assert_eq!(outcome, Outcome::Rejected { reason: expected });
    assert!(manager.status().await.unwrap().accounts[0].in_flight.is_empty());
}
