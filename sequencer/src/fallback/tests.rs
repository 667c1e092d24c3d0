//! Fallback sends through the real Multicall3 on a real anvil.

use std::sync::Arc;
use std::time::Duration;

use alloy::hex;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::bindings::IMulticall3;
use alloy::providers::{DynProvider, Provider};
use alloy::signers::local::PrivateKeySigner;
use fermata_anvil::{Anvil, AnvilConfig, Cheats, L1Clock};
use fermata_primitives::{L1Timestamp, SharedClock, SlotTimes, SystemClock};
use fermata_publisher::{
    EntryOutcome, L1, L1HeadInfo, MULTICALL3_ADDRESS, PublisherConfig, PublisherManager, RejectReason, SuccessRule,
};
use tokio::sync::{broadcast, watch};

use super::*;
use crate::actions::ActionKind;
use crate::events::{Events, SequencerEvent};

/// Seconds between two L1 blocks; a slot has three.
const ETHEREUM_SLOT: u64 = 2;
const SLOT: Slot = Slot(2);
const PATIENCE: Duration = Duration::from_secs(60);
const CONTRACT: Address = Address::repeat_byte(0xb1);

/// An anvil that the test mines, and a publisher on it.
struct Bench {
    _anvil: Anvil,
    l1_clock: L1Clock,
    provider: DynProvider,
    heads: watch::Sender<L1HeadInfo>,
    publisher: PublisherManager,
    times: SlotTimes,
    events: Events,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let anvil = Anvil::start(&AnvilConfig::default(), Arc::clone(&clock)).await.expect("anvil starts");
        let provider = anvil.provider().expect("it listens");
        let l1_clock = L1Clock::own(provider.clone(), Arc::clone(&clock)).await.expect("it answers");
        let genesis = l1_clock.head().timestamp;
        let times = SlotTimes::new(genesis, 3 * ETHEREUM_SLOT, 4, ETHEREUM_SLOT).expect("a time model");
        let key = PrivateKeySigner::random();
        contracts(&Cheats::new(provider.clone()), key.address()).await;
        let (heads, dir) = (watch::Sender::new(head(&l1_clock)), tempfile::tempdir().expect("a directory"));
        let mut config = PublisherConfig::new(31_337, Duration::from_secs(ETHEREUM_SLOT), dir.path());
        config.rpc_timeout = PATIENCE;
        let l1 = L1::new(provider.clone(), heads.subscribe());
        let publisher = PublisherManager::open(config, vec![key], l1, clock).expect("a fresh directory");
        publisher.start().await.expect("it starts");
        Self { _anvil: anvil, l1_clock, provider, heads, publisher, times, events: Events::default(), _dir: dir }
    }

    async fn mine_at(&self, at: L1Timestamp) {
        self.l1_clock.warp_to(at).await.expect("anvil mines");
        self.heads.send_replace(head(&self.l1_clock));
    }

    /// The block after which the next can lie in the slot.
    async fn mine_before(&self, slot: Slot) {
        self.mine_at(self.times.start_of(slot).minus_secs(ETHEREUM_SLOT)).await;
    }

    async fn pooled(&self) -> u64 {
        let status: serde_json::Value = self.provider.raw_request("txpool_status".into(), ()).await.expect("a pool");
        let pending: U256 = serde_json::from_value(status["pending"].clone()).expect("a number");
        pending.to()
    }

    async fn until_pooled(&self) {
        let pooled = async {
            while self.pooled().await == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, pooled).await.expect("nothing was sent");
    }

    async fn send(&self, actions: Vec<L1Action>, interrupts: &FallbackInterrupts) -> Result<SlotBundleEnd> {
        let sender = Sender {
            publisher: &self.publisher,
            times: &self.times,
            assumed: StateOverride::default(),
            events: &self.events,
        };
        let sent = send_in_slot(sender, SLOT, actions, interrupts.clone());
        tokio::time::timeout(PATIENCE, sent).await.expect("it has not ended")
    }

    /// Sends in the slot, which is mined.
    async fn send_and_mine(&self, actions: Vec<L1Action>) -> SlotBundleEnd {
        let interrupts = interrupts();
        let (end, ()) = tokio::join!(self.send(actions, &interrupts), async {
            self.mine_before(SLOT).await;
            self.until_pooled().await;
            self.mine_at(self.times.start_of(SLOT)).await;
        });
        end.expect("it was sent")
    }
}

/// Multicall3, and a contract that emits `Voted()` whenever it is called; `payer` can pay.
async fn contracts(cheats: &Cheats, payer: Address) {
    // What its creation leaves behind the 32 bytes that copy it.
    let multicall = Bytes::copy_from_slice(&IMulticall3::BYTECODE[32..]);
    // `log1(0, 0, topic)`
    let emitting = [&[0x7f][..], &voted()[..], &hex!("5f5fa100")[..]].concat();
    cheats.set_code(MULTICALL3_ADDRESS, multicall).await.expect("anvil obeys");
    cheats.set_code(CONTRACT, emitting.into()).await.expect("anvil obeys");
    cheats.set_balance(payer, U256::from(10).pow(U256::from(18))).await.expect("anvil obeys");
}

fn voted() -> B256 {
    keccak256("Voted()")
}

fn head(l1_clock: &L1Clock) -> L1HeadInfo {
    let head = l1_clock.head();
    let (number, hash, timestamp) = (head.number, head.hash, head.timestamp);
    L1HeadInfo { number, hash, timestamp, base_fee: 1_000_000_000, blob_base_fee: None, excess_blob_gas: None }
}

fn action(kind: ActionKind, slot: Slot) -> L1Action {
    let success = SuccessRule::Event { address: CONTRACT, topic0: voted() };
    L1Action { kind, slot, to: CONTRACT, calldata: Bytes::new(), success }
}

fn votes() -> Vec<L1Action> {
    vec![action(ActionKind::SlashingVote, SLOT), action(ActionKind::GovernanceSignal, SLOT)]
}

fn interrupts() -> FallbackInterrupts {
    FallbackInterrupts { waiting: CancellationToken::new(), sending: CancellationToken::new() }
}

fn told(events: &mut broadcast::Receiver<SequencerEvent>) -> Option<SequencerEvent> {
    events.try_recv().ok()
}

#[tokio::test]
async fn votes_go_out_for_the_first_block_of_their_slot_and_none_before() {
    let bench = Bench::new().await;
    let mut events = bench.events.subscribe();
    let interrupts = interrupts();
    let (end, ()) = tokio::join!(bench.send(votes(), &interrupts), async {
        for blocks_before in [4, 3, 2] {
            let at = bench.times.start_of(SLOT).minus_secs(blocks_before * ETHEREUM_SLOT);
            bench.mine_at(at).await;
            assert_eq!(bench.pooled().await, 0);
        }
        bench.mine_before(SLOT).await;
        bench.until_pooled().await;
        bench.mine_at(bench.times.start_of(SLOT)).await;
    });
    let end = end.expect("it was sent");
    assert_eq!(end.report.succeeded, [ActionKind::GovernanceSignal, ActionKind::SlashingVote], "in order of priority");
    assert!(end.report.all_succeeded());
    let mined = end.mined.expect("a block holds it");
    assert_eq!(bench.times.slot_at(mined.block_timestamp), SLOT);
    let actions = Box::new(end.report);
    let ended = SequencerEvent::ActionsEnded { slot: SLOT, l1_tx: Some(mined.tx_hash), actions };
    assert_eq!(told(&mut events), Some(ended));
}

#[tokio::test]
async fn a_stop_cuts_the_wait_for_the_slot_and_leaves_its_votes_to_be_sent_again() {
    let bench = Bench::new().await;
    let cut = interrupts();
    let (end, ()) = tokio::join!(bench.send(votes(), &cut), async { cut.waiting.cancel() });
    assert!(matches!(end, Err(SequencerError::Interrupted)), "{end:?}");
    let end = bench.send_and_mine(votes()).await;
    assert!(end.report.all_succeeded(), "{}", end.report);
}

#[tokio::test]
async fn a_stop_leaves_what_was_sent_to_end_by_itself_and_an_interrupt_does_not() {
    let bench = Bench::new().await;
    let graceful = interrupts();
    let (end, ()) = tokio::join!(bench.send(votes(), &graceful), async {
        bench.mine_before(SLOT).await;
        bench.until_pooled().await;
        graceful.waiting.cancel();
        bench.mine_at(bench.times.start_of(SLOT)).await;
    });
    assert!(end.expect("it was sent").report.all_succeeded());

    let hard = interrupts();
    let prune = vec![action(ActionKind::Prune, SLOT)];
    let (end, ()) = tokio::join!(bench.send(prune, &hard), async {
        bench.until_pooled().await;
        hard.sending.cancel();
    });
    let end = end.expect("it was sent");
    assert!(end.in_flight().is_some() && end.l1_tx() == end.in_flight(), "{end:?}");
}

#[tokio::test]
async fn a_slot_does_a_thing_once() {
    let bench = Bench::new().await;
    assert!(bench.send_and_mine(votes()).await.report.all_succeeded());
    let again = bench.send(votes(), &interrupts()).await.expect("the publisher answers");
    assert!(again.report.dropped.len() == 2 && again.mined.is_none(), "{again:?}");
    let is_duplicate = |end: Option<&EntryOutcome>| {
        matches!(end, Some(EntryOutcome::Rejected { reason: RejectReason::Duplicate { .. } }))
    };
    assert!(is_duplicate(again.of(ActionKind::SlashingVote)) && is_duplicate(again.of(ActionKind::GovernanceSignal)));
}

#[tokio::test]
async fn a_vote_of_an_earlier_slot_is_not_sent_and_an_invalidation_of_it_is() {
    let bench = Bench::new().await;
    let late = [ActionKind::SlashingVote, ActionKind::InvalidateBadAttestation];
    let late = late.map(|kind| action(kind, SLOT.previous())).to_vec();
    let end = bench.send_and_mine(late).await;
    assert_eq!(end.report.expired, [ActionKind::SlashingVote]);
    assert_eq!(end.report.succeeded, [ActionKind::InvalidateBadAttestation]);
}

#[tokio::test]
async fn in_a_later_slot_nothing_is_sent() {
    let bench = Bench::new().await;
    bench.mine_before(SLOT.next()).await;
    let end = bench.send(votes(), &interrupts()).await.expect("the publisher answers");
    assert_eq!(end.report.expired, [ActionKind::GovernanceSignal, ActionKind::SlashingVote]);
    assert_eq!((end.mined, bench.pooled().await), (None, 0));
}
