//! The funder against an L1 in memory: who is topped up, when, and how often.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::Transaction;
use alloy::primitives::{Address, U256};
use alloy::providers::bindings::IMulticall3;
use alloy::sol_types::SolCall;
use common::fake_l1::{CHAIN_ID, FakeL1, GENESIS, OnSend, Seen};
use common::{ETHEREUM_SLOT, PATIENCE, Sending, mined, request, signer};
use fermata_primitives::{L1Timestamp, ManualClock, UnixTime};
use fermata_publisher::{
    Error, FunderStatus, FundingConfig, InvalidFunding, LastTopUp, MULTICALL3_ADDRESS, PublisherConfig, PublisherKeys,
    PublisherManager,
};

const SEND: &str = "eth_sendRawTransaction";
/// The key of the funder, behind those of all publishers.
const FUNDER: u8 = 100;
/// Blocks until the next tick: the first head lies 40 s within one of 120 s.
const BLOCKS_TO_NEXT_TICK: usize = 7;

/// A tenth of an ETH, so many times.
fn tenths(count: u64) -> U256 {
    U256::from(count) * U256::from(10).pow(U256::from(17))
}

fn address(key: u8) -> Address {
    signer(key).address()
}

/// Below half an ETH up to one; at most three within an hour.
fn funding() -> FundingConfig {
    FundingConfig::new(tenths(5), tenths(10), tenths(30))
}

fn keys(publishers: u8) -> PublisherKeys {
    PublisherKeys { publishers: (0..publishers).map(signer).collect(), funder: Some(signer(FUNDER)) }
}

fn try_open(
    fake: &FakeL1,
    dir: &Path,
    keys: PublisherKeys,
    funding: Option<FundingConfig>,
) -> Result<Arc<PublisherManager>, Error> {
    open_by(fake, dir, (keys, funding), clock())
}

/// The same, with a clock that the test winds.
fn open_by(
    fake: &FakeL1,
    dir: &Path,
    (keys, funding): (PublisherKeys, Option<FundingConfig>),
    clock: Arc<ManualClock>,
) -> Result<Arc<PublisherManager>, Error> {
    let slot = Duration::from_secs(ETHEREUM_SLOT);
    let config = PublisherConfig { funding, ..PublisherConfig::new(CHAIN_ID, slot, dir) };
    PublisherManager::open(config, keys, fake.l1(), clock).map(Arc::new)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(UnixTime::from_millis(1_000_000)))
}

/// An L1 where the publishers hold so many tenths of an ETH, and the funder a hundred.
fn l1(publishers: &[u64]) -> FakeL1 {
    let fake = FakeL1::new();
    for (key, held) in publishers.iter().enumerate() {
        fake.fund(address(key as u8), tenths(*held));
    }
    fake.fund(address(FUNDER), tenths(1_000));
    fake
}

/// A started manager with that many publishers, and a funder.
async fn started(fake: &FakeL1, dir: &Path, publishers: u8) -> Arc<PublisherManager> {
    let manager = try_open(fake, dir, keys(publishers), Some(funding())).unwrap();
    manager.start().await.unwrap();
    manager
}

/// Lets every task that can go on do so: paused time goes on once all of them wait, and the disk has nothing to write.
#[expect(clippy::disallowed_methods, reason = "it is the paused time of the runtime that is waited for")]
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// So many blocks, with time between them for all that follows from each.
async fn mine(fake: &FakeL1, blocks: usize) {
    for _ in 0..blocks {
        fake.mine();
        settle().await;
    }
}

/// Waits until so many transactions are in blocks, without a new one.
async fn until_topped_up(manager: &PublisherManager, key: usize, times: u64) {
    let is_noted = async {
        while manager.status().await.unwrap().accounts[key].topped_up.times < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_noted).await.expect("no top-up was noted");
}

/// What a top-up gives to whom.
fn gifts(seen: &Seen) -> Vec<(Address, U256)> {
    assert_eq!(seen.from, address(FUNDER));
    match IMulticall3::aggregate3ValueCall::abi_decode(seen.tx.input()) {
        Ok(calls) => {
            assert_eq!(seen.tx.to(), Some(MULTICALL3_ADDRESS));
            calls.calls.iter().map(|call| (call.target, call.value)).collect()
        }
        Err(_) => vec![(seen.tx.to().unwrap(), seen.tx.value())],
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_while_every_publisher_is_above_the_threshold() {
    let (fake, dir) = (l1(&[5, 10]), tempfile::tempdir().unwrap());
    let _manager = started(&fake, dir.path(), 2).await;
    mine(&fake, 2 * BLOCKS_TO_NEXT_TICK).await;
    assert_eq!(fake.broadcasts().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_below_the_threshold_share_one_transaction_and_no_other_is_in_it() {
    let (fake, dir) = (l1(&[4, 10, 1]), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 3).await;
    fake.until_called(SEND, 1).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
    assert_eq!(gifts(&fake.mined()[0]), [(address(2), tenths(9)), (address(0), tenths(6))], "the lowest comes first");
    mine(&fake, 2 * BLOCKS_TO_NEXT_TICK).await;
    assert_eq!(fake.broadcasts().len(), 1);
    let status = manager.status().await.unwrap();
    let given: Vec<_> = status.accounts.iter().map(|account| account.topped_up.wei).collect();
    assert_eq!(given, [tenths(6), U256::ZERO, tenths(9)]);
    let funder = status.funder.unwrap();
    let FunderStatus { account, needed, last } = funder;
    assert_eq!((account.address, account.balance, account.next_nonce), (address(FUNDER), Some(tenths(985)), 1));
    assert!(needed > tenths(30) && needed < tenths(31), "three targets, and gas: {needed}");
    let (hash, at) = (fake.mined()[0].hash(), GENESIS + ETHEREUM_SLOT);
    assert_eq!(last, Some(LastTopUp { at: L1Timestamp(at), tx: hash, accounts: 2, wei: tenths(15) }));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_falls_below_the_threshold_is_topped_up_by_the_next_block() {
    let (fake, dir) = (l1(&[10]), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, request("propose", GENESIS, GENESIS + 6 * ETHEREUM_SLOT));
    fake.until_called(SEND, 1).await;
    fake.fund(address(0), tenths(3));
    fake.mine();
    mined(sending.outcome().await);
    fake.until_called(SEND, 2).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
    assert_eq!(fake.balance(address(0)), tenths(10));
    let left = manager.status().await.unwrap().accounts[0].checkpoints_left.unwrap();
    let cost = U256::from(0x5208) * U256::from(11_000_000_000_u64);
    assert_eq!(U256::from(left), tenths(10) / cost, "as many more as the one that landed");
}

#[tokio::test(start_paused = true)]
async fn a_busy_publisher_is_topped_up_too() {
    let (fake, dir) = (l1(&[4]), tempfile::tempdir().unwrap());
    let manager = try_open(&fake, dir.path(), keys(1), Some(funding())).unwrap();
    fake.fund(address(FUNDER), U256::ZERO);
    manager.start().await.unwrap();
    let sending = Sending::begin(&manager, request("propose", GENESIS, GENESIS + 99 * ETHEREUM_SLOT));
    fake.until_called(SEND, 1).await;
    fake.fund(address(FUNDER), tenths(1_000));
    fake.mine_empty();
    fake.until_called(SEND, 2).await;
    assert_eq!(fake.pool().iter().map(|seen| seen.from).collect::<Vec<_>>(), [address(0), address(FUNDER)]);
    fake.mine();
    mined(sending.outcome().await);
    until_topped_up(&manager, 0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_top_up_that_reverts_is_tried_again_at_the_next_tick_and_not_before() {
    let (fake, dir) = (l1(&[1]), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.until_called(SEND, 1).await;
    fake.make_reverting();
    mine(&fake, BLOCKS_TO_NEXT_TICK - 1).await;
    assert_eq!(fake.broadcasts().len(), 1, "within the tick");
    fake.make_succeeding();
    fake.mine();
    fake.until_called(SEND, 2).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
    assert_eq!(fake.balance(address(0)), tenths(10));
}

#[tokio::test(start_paused = true)]
async fn a_funder_that_is_too_poor_gives_nothing_and_then_to_whom_it_can() {
    let (fake, dir) = (l1(&[0, 1]), tempfile::tempdir().unwrap());
    fake.fund(address(FUNDER), tenths(4));
    let manager = started(&fake, dir.path(), 2).await;
    mine(&fake, 2).await;
    assert_eq!(fake.broadcasts().len(), 0);
    fake.fund(address(FUNDER), tenths(12));
    mine(&fake, 1).await;
    fake.until_called(SEND, 1).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
    assert_eq!(gifts(&fake.mined()[0]), [(address(0), tenths(10))], "the other would have stayed below the threshold");
}

#[tokio::test(start_paused = true)]
async fn without_multicall_one_publisher_a_tick_gets_a_plain_transfer() {
    let (fake, dir) = (l1(&[2, 1]), tempfile::tempdir().unwrap());
    fake.remove_multicall();
    let manager = started(&fake, dir.path(), 2).await;
    fake.until_called(SEND, 1).await;
    fake.mine();
    until_topped_up(&manager, 1, 1).await;
    mine(&fake, BLOCKS_TO_NEXT_TICK - 2).await;
    assert_eq!(fake.broadcasts().len(), 1);
    fake.mine();
    fake.until_called(SEND, 2).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
    assert!(fake.mined().iter().all(|seen| seen.tx.input().is_empty()));
    assert_eq!((fake.balance(address(0)), fake.balance(address(1))), (tenths(10), tenths(10)));
}

#[tokio::test(start_paused = true)]
async fn without_a_funder_or_a_configuration_nothing_is_asked() {
    let without_key = PublisherKeys { funder: None, ..keys(1) };
    for (keys, funding) in [(keys(1), None), (without_key, Some(funding()))] {
        let (fake, dir) = (l1(&[1]), tempfile::tempdir().unwrap());
        let manager = try_open(&fake, dir.path(), keys, funding).unwrap();
        manager.start().await.unwrap();
        let calls = fake.call_count();
        mine(&fake, 2 * BLOCKS_TO_NEXT_TICK).await;
        assert_eq!((fake.call_count(), fake.broadcasts().len()), (calls, 0));
        assert_eq!(manager.status().await.unwrap().funder, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_top_up_goes_once_though_the_process_ends_before_it_is_answered() {
    let (fake, dir) = (l1(&[1]), tempfile::tempdir().unwrap());
    fake.on_send([OnSend::LoseAndHang]);
    let manager = started(&fake, dir.path(), 1).await;
    fake.until_called(SEND, 1).await;
    manager.close().await.unwrap();
    let manager = started(&fake, dir.path(), 1).await;
    fake.until_called(SEND, 2).await;
    mine(&fake, 2 * BLOCKS_TO_NEXT_TICK).await;
    let hashes: Vec<_> = fake.broadcasts().iter().map(Seen::hash).collect();
    assert_eq!((hashes.len(), hashes[0]), (2, hashes[1]), "the same bytes, and nothing else");
    assert_eq!(fake.balance(address(0)), tenths(10));
    manager.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_restart_within_a_tick_funds_nobody_twice() {
    let (fake, dir) = (l1(&[1]), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.until_called(SEND, 1).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
    manager.close().await.unwrap();
    fake.fund(address(0), tenths(1));
    let manager = started(&fake, dir.path(), 1).await;
    mine(&fake, BLOCKS_TO_NEXT_TICK - 2).await;
    assert_eq!(fake.broadcasts().len(), 1, "the tick had its top-up");
    fake.mine();
    fake.until_called(SEND, 2).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_reorg_took_back_is_sent_again_and_nothing_is_given_beside_it() {
    let (fake, dir, clock) = (l1(&[1]), tempfile::tempdir().unwrap(), clock());
    let manager = open_by(&fake, dir.path(), (keys(1), Some(funding())), Arc::clone(&clock)).unwrap();
    manager.start().await.unwrap();
    fake.until_called(SEND, 1).await;
    fake.mine();
    until_topped_up(&manager, 0, 1).await;
    fake.take_back_last();
    // The funder is to look at balances before anyone knows what became of the block.
    fake.hold("eth_getTransactionCount");
    fake.mine_at(GENESIS + ETHEREUM_SLOT * BLOCKS_TO_NEXT_TICK as u64);
    settle().await;
    clock.advance(Duration::from_secs(120));
    settle().await;
    fake.release();
    fake.until_called(SEND, 2).await;
    mine(&fake, BLOCKS_TO_NEXT_TICK).await;
    assert!(fake.broadcasts().iter().all(|seen| seen.tx.nonce() == 0), "each replaces the first");
    assert_eq!(fake.balance(address(0)), tenths(10));
}

#[tokio::test(start_paused = true)]
async fn the_cap_of_an_hour_holds_over_a_restart() {
    let (fake, dir) = (l1(&[0]), tempfile::tempdir().unwrap());
    for round in 1..=3 {
        let manager = started(&fake, dir.path(), 1).await;
        fake.until_called(SEND, round).await;
        fake.mine();
        until_topped_up(&manager, 0, 1).await;
        manager.close().await.unwrap();
        fake.fund(address(0), U256::ZERO);
        (0..2 * BLOCKS_TO_NEXT_TICK).for_each(|_| fake.mine());
    }
    let _manager = started(&fake, dir.path(), 1).await;
    mine(&fake, 2 * BLOCKS_TO_NEXT_TICK).await;
    assert_eq!((fake.broadcasts().len(), fake.balance(address(FUNDER))), (3, tenths(970)));
}

#[tokio::test(start_paused = true)]
async fn the_funder_never_sends_what_callers_ask_for() {
    let (fake, dir) = (l1(&[0]), tempfile::tempdir().unwrap());
    let manager = try_open(&fake, dir.path(), keys(1), Some(FundingConfig { hourly_cap: tenths(5), ..funding() }));
    let manager = manager.unwrap();
    fake.make_dead("eth_getCode");
    manager.start().await.unwrap();
    fake.until_called(SEND, 1).await;
    let sending = Sending::begin(&manager, request("propose", GENESIS, GENESIS + 6 * ETHEREUM_SLOT));
    let Err(Error::Unfunded { accounts, .. }) = sending.result().await else { panic!("the funder paid") };
    assert_eq!(accounts.iter().map(|account| account.account).collect::<Vec<_>>(), [address(0)]);
    assert_eq!(fake.broadcasts().len(), 1);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_and_told_why() {
    let (fake, dir) = (l1(&[0]), tempfile::tempdir().unwrap());
    let refused = |keys, funding| match try_open(&fake, dir.path(), keys, Some(funding)) {
        Err(Error::Funding(invalid)) => invalid,
        other => panic!("{other:?}"),
    };
    let both = PublisherKeys { funder: Some(signer(0)), ..keys(1) };
    assert_eq!(refused(both, funding()), InvalidFunding::FunderIsPublisher { account: address(0) });
    let low = FundingConfig { target: tenths(5), ..funding() };
    assert!(matches!(refused(keys(1), low), InvalidFunding::Target { .. }));
    let capped = FundingConfig { hourly_cap: tenths(4), ..funding() };
    assert!(matches!(refused(keys(1), capped), InvalidFunding::Cap { .. }));
    let hasty = FundingConfig { every: Duration::from_millis(999), ..funding() };
    assert!(matches!(refused(keys(1), hasty), InvalidFunding::Every(_)));
}
