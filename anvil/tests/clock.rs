//! The one owner of the L1 clock.

mod common;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::{DynProvider, Provider};
use common::{GENESIS, anvil, anvil_with_clock, signed_payment, system_clock};
use fermata_anvil::{Anvil, AnvilError, IntervalMining, L1Clock, L1Head, Reinclude, Warp};
use fermata_primitives::{L1Timestamp, ManualClock, UnixTime};

/// An anvil whose interval follows a clock wound by hand, on a grid of four seconds from [`GENESIS`].
async fn wound_by_hand() -> (Anvil, Arc<ManualClock>, L1Clock) {
    let (anvil, provider) = anvil().await;
    let clock = Arc::new(ManualClock::new(GENESIS.into()));
    let l1_clock = L1Clock::own(provider, clock.clone()).await.expect("the clock");
    (anvil, clock, l1_clock)
}

fn grid() -> IntervalMining {
    IntervalMining::new(GENESIS, 4).expect("a grid")
}

/// The next head, or a failure after some seconds.
async fn next_head(heads: &mut tokio::sync::watch::Receiver<L1Head>) -> L1Head {
    tokio::time::timeout(Duration::from_secs(10), heads.changed()).await.expect("a block in time").expect("a clock");
    *heads.borrow_and_update()
}

async fn number(provider: &DynProvider) -> u64 {
    provider.get_block_number().await.expect("a number")
}

#[tokio::test]
async fn a_warp_mines_one_block_at_exactly_its_target() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let target = GENESIS.plus_secs(86_400);
    let Warp::Mined(head) = l1_clock.warp_to(target).await.expect("warped") else { panic!("skipped") };
    assert_eq!((head.number, head.timestamp), (1, target));
    let block = provider.get_block(alloy::eips::BlockId::latest()).await.expect("a block").expect("a head");
    assert_eq!((block.header.timestamp, block.header.hash), (target.0, head.hash));
    assert_eq!(l1_clock.head(), head);
}

#[tokio::test]
async fn a_warp_to_the_head_or_into_the_past_is_skipped_and_says_where_the_head_is() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    for target in [GENESIS, GENESIS.minus_secs(5)] {
        let Warp::Skipped { head } = l1_clock.warp_to(target).await.expect("an answer") else { panic!("mined") };
        assert_eq!(head.timestamp, GENESIS);
    }
    assert_eq!(number(&provider).await, 0);
}

#[tokio::test]
async fn a_warp_beyond_what_clocks_can_tell_is_refused_and_mines_nothing() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let refused = l1_clock.warp_to(L1Timestamp(u64::MAX)).await;
    assert!(matches!(refused, Err(AnvilError::BeyondTime { .. })), "{refused:?}");
    assert_eq!(number(&provider).await, 0);
}

#[tokio::test]
async fn of_many_concurrent_warps_each_gets_its_block_or_hears_that_the_head_is_past_it() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let warps = (1..=20).map(|warp| {
        let l1_clock = l1_clock.clone();
        let target = GENESIS.plus_secs(warp * 7 % 20 + 1);
        async move { (target, l1_clock.warp_to(target).await.expect("an answer")) }
    });
    let mut mined = 0;
    for (target, warp) in futures::future::join_all(warps).await {
        match warp {
            Warp::Mined(head) => {
                assert_eq!(head.timestamp, target);
                mined += 1;
            }
            Warp::Skipped { head } => assert!(head.timestamp >= target),
        }
    }
    assert_eq!(number(&provider).await, mined);
    let mut last = GENESIS.0;
    for height in 1..=mined {
        let block = provider.get_block(height.into()).await.expect("a block").expect("it is there");
        assert!(block.header.timestamp > last, "block {height} is not later than the one before");
        last = block.header.timestamp;
    }
}

#[tokio::test]
async fn interval_blocks_have_the_grids_timestamps_and_missed_slots_stay_empty() {
    let (_anvil, clock, l1_clock) = wound_by_hand().await;
    let mut heads = l1_clock.heads();
    l1_clock.start_interval(grid()).expect("started");
    clock.set(UnixTime::from(GENESIS.plus_secs(4)));
    assert_eq!(next_head(&mut heads).await.timestamp, GENESIS.plus_secs(4));
    // 7.9 s late: the blocks of 8, 12 and 16 s are missed, not made up for.
    clock.set(UnixTime::from(GENESIS.plus_secs(23)) + Duration::from_millis(900));
    let head = next_head(&mut heads).await;
    assert_eq!((head.number, head.timestamp), (2, GENESIS.plus_secs(20)));
    clock.set(UnixTime::from(GENESIS.plus_secs(24)));
    assert_eq!(next_head(&mut heads).await.timestamp, GENESIS.plus_secs(24));
    assert!(matches!(l1_clock.start_interval(grid()), Err(AnvilError::IntervalRunning)));
}

#[tokio::test]
async fn a_paused_interval_makes_no_block_and_goes_on_in_phase_after_a_warp() {
    let (_anvil, clock, l1_clock) = wound_by_hand().await;
    let mut heads = l1_clock.heads();
    l1_clock.start_interval(grid()).expect("started");
    clock.set(UnixTime::from(GENESIS.plus_secs(4)));
    next_head(&mut heads).await;

    let (first, second) = (l1_clock.pause_interval().await, l1_clock.pause_interval().await);
    clock.set(UnixTime::from(GENESIS.plus_secs(9)));
    let Warp::Mined(warped) = l1_clock.warp_to(GENESIS.plus_secs(1_001)).await.expect("warped") else {
        panic!("the interval made a block while it was paused")
    };
    assert_eq!(warped.number, 2);
    next_head(&mut heads).await;
    drop(first);
    clock.set(UnixTime::from(GENESIS.plus_secs(1_002)));
    drop(second);
    clock.set(UnixTime::from(GENESIS.plus_secs(1_004)));
    let head = next_head(&mut heads).await;
    assert_eq!((head.number, head.timestamp), (3, GENESIS.plus_secs(1_004)));
}

#[tokio::test]
async fn a_stopped_interval_makes_no_block_and_can_be_started_anew() {
    let (_anvil, clock, l1_clock) = wound_by_hand().await;
    l1_clock.start_interval(grid()).expect("started");
    l1_clock.stop_interval().await;
    l1_clock.stop_interval().await;
    clock.set(UnixTime::from(GENESIS.plus_secs(100)));
    let head = l1_clock.mine().await.expect("a block");
    assert_eq!((head.number, head.timestamp), (1, GENESIS.plus_secs(1)));
    let mut heads = l1_clock.heads();
    l1_clock.start_interval(grid()).expect("started anew");
    assert_eq!(next_head(&mut heads).await.timestamp, GENESIS.plus_secs(100));
}

#[tokio::test]
async fn an_interval_outlives_an_l1_that_does_not_answer_for_a_while() {
    let (mut anvil, clock, l1_clock) = wound_by_hand().await;
    let mut heads = l1_clock.heads();
    l1_clock.start_interval(grid()).expect("started");
    anvil.freeze().expect("frozen");
    clock.set(UnixTime::from(GENESIS.plus_secs(4)));
    clock.set(UnixTime::from(GENESIS.plus_secs(8)));
    anvil.thaw().expect("thawed");
    assert!(next_head(&mut heads).await.timestamp >= GENESIS.plus_secs(4));
    clock.set(UnixTime::from(GENESIS.plus_secs(40)));
    let mut head = next_head(&mut heads).await;
    while head.timestamp < GENESIS.plus_secs(40) {
        head = next_head(&mut heads).await;
    }
    assert_eq!(head.timestamp, GENESIS.plus_secs(40));
}

#[tokio::test]
async fn stopping_the_interval_does_not_wait_for_an_l1_that_does_not_answer() {
    let (mut anvil, clock, l1_clock) = wound_by_hand().await;
    l1_clock.start_interval(grid()).expect("started");
    anvil.freeze().expect("frozen");
    clock.set(UnixTime::from(GENESIS.plus_secs(4)));
    tokio::time::timeout(Duration::from_secs(5), l1_clock.stop_interval()).await.expect("it ends");
}

#[tokio::test]
async fn a_reorg_replaces_blocks_by_others_at_the_same_times_and_drops_their_transactions() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    l1_clock.mine().await.expect("a block");
    let payment = send(&provider, 0).await;
    l1_clock.warp_to(GENESIS.plus_secs(50)).await.expect("mined");
    l1_clock.warp_to(GENESIS.plus_secs(60)).await.expect("mined");
    assert!(provider.get_transaction_receipt(payment.0).await.expect("an answer").is_some());

    let reorg = l1_clock.reorg(2, Reinclude::None).await.expect("a reorg");
    let times = |heads: &[L1Head]| heads.iter().map(|head| (head.number, head.timestamp.0)).collect::<Vec<_>>();
    assert_eq!(times(&reorg.removed), [(2, GENESIS.0 + 50), (3, GENESIS.0 + 60)]);
    assert_eq!(times(&reorg.removed), times(&reorg.added));
    assert!(reorg.removed.iter().zip(&reorg.added).all(|(old, new)| old.hash != new.hash));
    assert!(provider.get_transaction_receipt(payment.0).await.expect("an answer").is_none());
    assert_eq!(provider.get_transaction_count(sender()).await.expect("a nonce"), 0);

    assert_eq!(l1_clock.head(), reorg.added[1]);
}

#[tokio::test]
async fn a_reorg_below_genesis_or_of_nothing_is_refused_and_changes_nothing() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let head = l1_clock.mine().await.expect("a block");
    for depth in [0, 2] {
        let refused = l1_clock.reorg(depth, Reinclude::None).await;
        assert!(matches!(refused, Err(AnvilError::ReorgDepth { height: 1, .. })), "{refused:?}");
    }
    let block = provider.get_block(alloy::eips::BlockId::latest()).await.expect("a block").expect("a head");
    assert_eq!(block.header.hash, head.hash);
}

#[tokio::test]
async fn a_clock_cannot_be_owned_where_nothing_answers() {
    let (anvil, provider) = anvil().await;
    anvil.stop().await.expect("stopped");
    let refused = L1Clock::own(provider, system_clock()).await;
    assert!(matches!(refused, Err(AnvilError::L1Unreachable { .. })), "{refused:?}");
}

fn sender() -> Address {
    common::funded_key(3).address()
}

async fn send(provider: &DynProvider, nonce: u64) -> (alloy::primitives::B256, Bytes) {
    let (hash, raw) = signed_payment(&common::funded_key(3), nonce, U256::from(1));
    provider
        .raw_request::<_, alloy::primitives::B256>("eth_sendRawTransaction".into(), (raw.clone(),))
        .await
        .expect("taken");
    (hash, raw)
}

#[test]
fn the_grid_is_of_l1_time() {
    assert_eq!(grid().after(L1Timestamp(GENESIS.0 + 4)), GENESIS.plus_secs(8));
}
