//! The publisher before several nodes that take its transactions, and do not agree.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::Transaction;
use alloy::primitives::U256;
use common::fake_l1::{CHAIN_ID, FakeL1, GENESIS, OnSend};
use common::{ETHEREUM_SLOT, Sending, mined, request, signer};
use fermata_primitives::{ManualClock, UnixTime};
use fermata_publisher::{
    BackendStatus, Error, L1, L1Request, L1TxState, Outcome, PublisherConfig, PublisherManager, RefusalClass,
    RejectReason,
};

const SEND: &str = "eth_sendRawTransaction";
const CHAIN: &str = "eth_chainId";

/// How long the others are waited for once one has accepted.
const GRACE: Duration = Duration::from_millis(500);

/// What nothing takes longer than that waits for nobody.
const MOMENT: Duration = Duration::from_millis(1);

/// A request for the next six blocks.
fn soon(label: &str) -> L1Request {
    request(label, GENESIS, GENESIS + 6 * ETHEREUM_SLOT)
}

/// A manager that reads from `a`, and sends to `a` and `b`.
struct Pair {
    a: FakeL1,
    b: FakeL1,
    clock: Arc<ManualClock>,
    manager: Arc<PublisherManager>,
    _dir: tempfile::TempDir,
}

impl Pair {
    async fn started() -> Self {
        Self::started_beside(FakeL1::new()).await
    }

    /// The same with a `b` of the test's own.
    async fn started_beside(b: FakeL1) -> Self {
        let (a, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
        for node in [&a, &b] {
            node.fund(signer(0).address(), U256::from(10).pow(U256::from(18)));
        }
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_000_000)));
        let manager = Arc::new(open(&a, &b, dir.path(), &clock));
        manager.start().await.unwrap();
        Self { a, b, clock, manager, _dir: dir }
    }

    fn send(&self, label: &str) -> Sending {
        let now = self.a.head().timestamp.0;
        Sending::begin(&self.manager, request(label, now, now + 6 * ETHEREUM_SLOT))
    }

    /// Sends, and has it mined where the manager looks; `b` follows.
    async fn land(&self, label: &str) {
        let before = self.a.calls(SEND);
        let sending = self.send(label);
        self.a.until_called(SEND, before + 1).await;
        self.until(|status| status.in_flight_state == Some(L1TxState::Live)).await;
        self.a.mine();
        self.b.use_nonce_elsewhere(signer(0).address());
        self.b.empty_pool();
        mined(sending.outcome().await);
    }

    async fn seen(&self) -> Seen {
        let status = self.manager.status().await.unwrap();
        let account = &status.accounts[0];
        let in_flight_state = account.in_flight.first().map(|tx| tx.state);
        Seen { next_nonce: account.next_nonce, in_flight_state, b: status.backends[1].clone() }
    }

    #[expect(clippy::disallowed_methods, reason = "paused time goes on only while everybody waits")]
    async fn until(&self, is_so: impl Fn(&Seen) -> bool) {
        let so = async {
            while !is_so(&self.seen().await) {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let come = tokio::time::timeout(10 * GRACE, so).await;
        if come.is_err() {
            panic!("it does not come to that: {:?}", self.manager.status().await);
        }
    }
}

/// What the tests look at in the status.
struct Seen {
    next_nonce: u64,
    in_flight_state: Option<L1TxState>,
    b: BackendStatus,
}

fn open(a: &FakeL1, b: &FakeL1, dir: &Path, clock: &Arc<ManualClock>) -> PublisherManager {
    let config = PublisherConfig::new(CHAIN_ID, Duration::from_secs(ETHEREUM_SLOT), dir);
    let l1 = L1 { send_to: vec![a.backend("a"), b.backend("b")], ..a.l1() };
    PublisherManager::open(config, vec![signer(0)], l1, Arc::<ManualClock>::clone(clock)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_one_node_refuses_and_another_accepts_lands_and_goes_out_once() {
    let pair = Pair::started().await;
    pair.a.on_send([OnSend::Refuse("address already reserved")]);
    let sending = pair.send("propose");
    pair.b.until_called(SEND, 1).await;
    pair.a.hear_from(&pair.b);
    pair.until(|seen| seen.in_flight_state == Some(L1TxState::Live)).await;
    pair.a.mine();
    assert!(mined(sending.outcome().await).succeeded);
    assert_eq!((pair.a.broadcasts().len(), pair.b.broadcasts().len(), pair.a.mined().len()), (1, 1, 1));
    assert_eq!(pair.seen().await.next_nonce, 1);
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_every_node_refuses_is_free_and_the_words_of_each_are_told() {
    let pair = Pair::started().await;
    pair.a.on_send([OnSend::Refuse("intrinsic gas too low")]);
    pair.b.on_send([OnSend::Refuse("gas limit too high")]);
    let outcome = pair.send("odd").outcome().await;
    let Outcome::Rejected { reason: RejectReason::Refused { class, message } } = outcome else { panic!("{outcome:?}") };
    assert_eq!((class, message.as_str()), (RefusalClass::Shape, "a: intrinsic gas too low; b: gas limit too high"));
    let seen = pair.seen().await;
    assert_eq!((seen.next_nonce, seen.in_flight_state), (0, None));
    pair.land("even").await;
    assert_eq!(pair.seen().await.next_nonce, 1);
}

#[tokio::test(start_paused = true)]
async fn what_one_node_holds_impossible_and_another_full_waits_for_the_next_head_and_lands() {
    let pair = Pair::started().await;
    pair.a.on_send([OnSend::Refuse("too many blobs")]);
    pair.b.on_send([OnSend::Refuse("txpool is full")]);
    let sending = pair.send("propose");
    pair.b.until_called(SEND, 1).await;
    pair.until(|seen| seen.next_nonce == 0 && seen.in_flight_state.is_none()).await;
    pair.a.mine_empty();
    pair.a.until_called(SEND, 2).await;
    pair.a.mine();
    assert!(mined(sending.outcome().await).succeeded);
    assert_eq!(pair.a.mined().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_beside_silence_keeps_the_nonce_and_the_same_bytes_go_to_both_again() {
    let pair = Pair::started().await;
    pair.a.on_send([OnSend::Refuse("txpool is full")]);
    pair.b.on_send([OnSend::LoseAndHang]);
    let sending = pair.send("propose");
    pair.a.until_called(SEND, 2).await;
    pair.b.until_called(SEND, 2).await;
    assert_eq!(pair.seen().await.next_nonce, 1);
    pair.a.mine();
    assert!(mined(sending.outcome().await).succeeded);
    let all = [pair.a.broadcasts(), pair.b.broadcasts()].concat();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|seen| seen.bytes == all[0].bytes), "other bytes went out");
    assert_eq!((pair.a.mined().len(), pair.seen().await.b.consecutive_failures), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_answers_with_another_hash_leaves_it_open_who_has_the_bytes() {
    let pair = Pair::started().await;
    pair.a.on_send([OnSend::Refuse("txpool is full")]);
    pair.b.on_send([OnSend::TakeAndMisname]);
    let sending = pair.send("propose");
    pair.a.until_called(SEND, 2).await;
    pair.a.mine();
    assert!(mined(sending.outcome().await).succeeded);
    let hashes: Vec<_> = pair.a.broadcasts().iter().chain(&pair.b.broadcasts()).map(|seen| seen.hash()).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    let seen = pair.seen().await;
    assert_eq!((seen.next_nonce, seen.b.is_open, seen.b.consecutive_failures), (1, false, 0));
    assert!(seen.b.last_error.unwrap().contains("another hash"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_reached_is_asked_three_times_then_rarely_and_for_what_is_missing() {
    let pair = Pair::started().await;
    pair.b.make_unreachable();
    for failures in 1..=3 {
        pair.land("propose").await;
        pair.until(|seen| seen.b.consecutive_failures == failures).await;
    }
    let seen = pair.seen().await;
    assert!(seen.b.is_open && seen.b.last_error.is_some_and(|why| why.contains("connection refused")));
    pair.land("skipped").await;
    assert_eq!(pair.b.calls(SEND), 3);

    pair.a.on_send([OnSend::LoseAndHang]);
    let sending = pair.send("lost");
    // Who was away is asked for its chain before it is handed anything.
    pair.b.until_called(CHAIN, 2).await;
    pair.a.until_called(SEND, 6).await;
    pair.b.use_nonce_elsewhere(signer(0).address());
    pair.a.mine();
    mined(sending.outcome().await);

    pair.b.make_reachable();
    pair.clock.advance(Duration::from_secs(5));
    pair.land("back").await;
    pair.until(|seen| !seen.b.is_open && seen.b.consecutive_failures == 0).await;
    assert_eq!(pair.b.calls(SEND), 4);
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the time that is measured is tokio's own")]
async fn a_node_that_hangs_costs_a_moment_until_it_is_skipped_and_then_nothing() {
    let pair = Pair::started().await;
    pair.b.hold(SEND);
    for failures in 1..=4 {
        let before = tokio::time::Instant::now();
        pair.land("propose").await;
        let cost = before.elapsed();
        if failures < 4 {
            assert!(cost >= GRACE && cost < 2 * GRACE, "{failures}: {cost:?}");
            pair.until(|seen| seen.b.consecutive_failures == failures).await;
        } else {
            assert!(cost <= 20 * MOMENT, "{cost:?}");
        }
    }
    assert_eq!(pair.b.calls(SEND), 3, "late as it was, it was handed each until it timed out");
}

#[tokio::test(start_paused = true)]
async fn where_no_node_is_well_all_are_tried() {
    let pair = Pair::started().await;
    pair.a.make_dead(SEND);
    pair.b.make_unreachable();
    let sending = pair.send("propose");
    // The first broadcast, and two more at the same head.
    pair.until(|seen| seen.b.consecutive_failures == 3).await;
    sending.interrupt.cancel();
    pair.a.make_reachable();
    let status = pair.manager.status().await.unwrap();
    assert!(status.backends.iter().all(|backend| backend.is_open), "{:?}", status.backends);
    let _next = pair.send("next");
    pair.a.until_called(SEND, 4).await;
    pair.b.until_called(CHAIN, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_chain_is_handed_nothing_and_named_until_it_serves_ours() {
    let b = FakeL1::new();
    b.use_chain_id(5);
    let pair = Pair::started_beside(b).await;
    assert_eq!(pair.seen().await.b.other_chain, Some(5), "it is told before anything is sent");
    pair.land("propose").await;
    assert_eq!(pair.b.calls(SEND), 0);
    let told = pair.seen().await.b.last_error.unwrap();
    assert!(told.contains("it serves chain 5"), "{told}");
    pair.b.use_chain_id(CHAIN_ID);
    let sending = pair.send("again");
    pair.b.until_called(SEND, 1).await;
    pair.a.mine();
    mined(sending.outcome().await);
    assert_eq!(pair.seen().await.b.other_chain, None);
}

#[tokio::test(start_paused = true)]
async fn where_every_node_that_is_sent_to_serves_another_chain_a_start_fails_by_name() {
    let (a, b, dir) = (FakeL1::new(), FakeL1::new(), tempfile::tempdir().unwrap());
    b.use_chain_id(5);
    let config = PublisherConfig::new(CHAIN_ID, Duration::from_secs(ETHEREUM_SLOT), dir.path());
    let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_000_000)));
    let l1 = L1 { send_to: vec![b.backend("b")], ..a.l1() };
    let manager = PublisherManager::open(config, vec![signer(0)], l1, clock).unwrap();
    let refused = manager.start().await;
    assert!(matches!(refused, Err(Error::WrongChain { expected: CHAIN_ID, actual: 5 })), "{refused:?}");
    b.use_chain_id(CHAIN_ID);
    manager.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_with_another_chain_is_handed_nothing_more() {
    let pair = Pair::started().await;
    pair.b.make_unreachable();
    for failures in 1..=3 {
        pair.land("propose").await;
        pair.until(|seen| seen.b.consecutive_failures == failures).await;
    }
    assert!(pair.seen().await.b.is_open);
    pair.b.make_reachable();
    pair.b.use_chain_id(5);
    pair.clock.advance(Duration::from_secs(5));
    pair.land("back").await;
    pair.until(|seen| seen.b.other_chain == Some(5)).await;
    assert_eq!((pair.b.calls(SEND), pair.b.broadcasts().len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_is_handed_what_it_missed_the_oldest_first() {
    let pair = Pair::started().await;
    pair.b.make_unreachable();
    let mut sendings = Vec::new();
    for nonce in 1..=3 {
        sendings.push(pair.send("propose"));
        pair.a.until_called(SEND, nonce).await;
        pair.until(|seen| seen.next_nonce == nonce as u64 && seen.in_flight_state == Some(L1TxState::Live)).await;
        pair.until(|seen| seen.b.consecutive_failures == nonce as u32).await;
    }
    assert!(pair.seen().await.b.is_open);
    pair.b.make_reachable();
    pair.clock.advance(Duration::from_secs(5));
    pair.a.mine_empty();
    pair.b.until_called(SEND, 6).await;
    let nonces: Vec<_> = pair.b.pool().iter().map(|seen| seen.tx.nonce()).collect();
    assert_eq!(nonces, [0, 1, 2]);
    assert_eq!(pair.a.broadcasts().len(), 3, "who has them is not handed them again");
    pair.a.mine();
    for sending in sendings {
        assert!(mined(sending.outcome().await).succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_lost_its_pool_gets_all_of_it_again() {
    let pair = Pair::started().await;
    let first = pair.send("first");
    pair.b.until_called(SEND, 1).await;
    pair.until(|seen| seen.in_flight_state == Some(L1TxState::Live)).await;
    pair.b.empty_pool();
    let second = pair.send("second");
    pair.b.until_called(SEND, 2).await;
    pair.until(|seen| seen.next_nonce == 2).await;
    assert!(pair.b.pool().is_empty(), "behind a gap it takes nothing");
    pair.a.mine_empty();
    pair.b.until_called(SEND, 4).await;
    assert_eq!(pair.b.pool().iter().map(|seen| seen.tx.nonce()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(pair.a.broadcasts().len(), 2);
    pair.a.mine();
    mined(first.outcome().await);
    mined(second.outcome().await);
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the time that is measured is tokio's own")]
async fn a_stop_waits_for_no_node_that_is_late() {
    let pair = Pair::started().await;
    pair.b.hold(SEND);
    let sending = pair.send("propose");
    pair.until(|seen| seen.in_flight_state == Some(L1TxState::Live)).await;
    let before = tokio::time::Instant::now();
    pair.manager.stop().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(sending.outcome().await, Outcome::Interrupted { sent: Some(pair.a.broadcasts()[0].hash()) });
}

#[tokio::test(start_paused = true)]
async fn without_a_list_what_is_read_from_is_sent_to_and_told_of() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = common::started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
    let backends = manager.status().await.unwrap().backends;
    let name = "L1".to_owned();
    let well = BackendStatus { name, is_open: false, consecutive_failures: 0, last_error: None, other_chain: None };
    assert_eq!(backends, [well]);
}
