use std::sync::Mutex;

use alloy::primitives::{Address, B256};
use fermata_primitives::{ManualClock, UnixTime};
use fermata_publisher::L1HeadInfo;
use fermata_validator_signer::{Domain, Duty, DutyKind, NotSafe, SlashingProtection, StoreOptions};

use super::*;

const DOMAIN: Domain = Domain { l1_chain_id: 7, rollup: Address::repeat_byte(0xbb) };
/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Slots of 12 s, 32 to an epoch, from time 1000 on.
fn times() -> SlotTimes {
    SlotTimes::new(L1Timestamp(1_000), 12, 32, 12).expect("they fit")
}

/// An L1 that is final up to a moment, unless it is silent.
#[derive(Default, Debug)]
struct FakeL1 {
    finalized: Mutex<Option<L1Timestamp>>,
    asked: watch::Sender<u32>,
}

impl FakeL1 {
    /// The block in the middle of `slot` is final.
    fn finalize(&self, slot: u64) {
        *self.finalized.lock().expect("nobody panicked") = Some(times().start_of(Slot(slot)).plus_secs(6));
    }
}

impl Finality for FakeL1 {
    fn finalized_at(&self) -> BoxFuture<'_, Result<L1Timestamp>> {
        self.asked.send_modify(|asked| *asked += 1);
        let silent = || SequencerError::L1Timeout { what: "a test", after: Duration::ZERO };
        let answer = self.finalized.lock().expect("nobody panicked").ok_or_else(silent);
        async move { answer }.boxed()
    }
}

/// A store that keeps ten slots, and all that prunes it.
struct Bench {
    _dir: tempfile::TempDir,
    store: Arc<SlashingProtection>,
    l1: Arc<FakeL1>,
    clock: Arc<ManualClock>,
    head: watch::Sender<L1HeadInfo>,
    pruner: Arc<Pruner>,
    interrupt: CancellationToken,
}

fn head_in(slot: u64) -> L1HeadInfo {
    L1HeadInfo {
        number: slot,
        hash: B256::ZERO,
        timestamp: times().start_of(Slot(slot)),
        base_fee: 0,
        blob_base_fee: None,
        excess_blob_gas: None,
    }
}

impl Bench {
    /// In `slot`, with an attestation in each slot before.
    async fn in_slot(slot: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("signer");
        SlashingProtection::init(&path, DOMAIN).expect("a fresh store");
        let options = StoreOptions { keep_slots: 10, ..StoreOptions::default() };
        let store = Arc::new(SlashingProtection::open(&path, DOMAIN, options).expect("it opens"));
        let duties: Vec<_> = (1..slot).map(|slot| (attestation(slot), B256::repeat_byte(1))).collect();
        assert!(store.reserve_many(&duties, None).await.into_iter().all(|answer| answer.is_ok()));
        let now: UnixTime = times().start_of(Slot(slot)).into();
        let (l1, clock) = (Arc::<FakeL1>::default(), Arc::new(ManualClock::new(now)));
        let pruner = Arc::new(Pruner::new(store.clone(), l1.clone(), times(), clock.clone()));
        let (head, interrupt) = (watch::Sender::new(head_in(slot)), CancellationToken::new());
        Self { _dir: dir, store, l1, clock, head, pruner, interrupt }
    }

    fn begin(&self) -> Pruning {
        Pruning::begin(&self.pruner, self.head.subscribe(), &self.interrupt)
    }

    /// L1 comes to `slot`, and the clock with it.
    fn come_to(&self, slot: u64) {
        self.clock.set(times().start_of(Slot(slot)).into());
        self.head.send_replace(head_in(slot));
    }

    async fn until(&self, what: &str, is_so: impl FnMut(&PruningStatus) -> bool) -> PruningStatus {
        let mut status = self.pruner.status();
        let reached = tokio::time::timeout(PATIENCE, status.wait_for(is_so)).await;
        reached.unwrap_or_else(|_| panic!("{what} never comes")).expect("the pruner is here").clone()
    }

    /// The low mark that a slot is refused under.
    async fn low(&self, slot: u64) -> Option<Slot> {
        let other = B256::repeat_byte(2);
        match self.store.reserve(attestation(slot), other).await {
            Err(SignerError::NotSafe(NotSafe::BelowLow { low, .. })) => Some(low),
            Err(SignerError::NotSafe(NotSafe::Conflict { .. })) => None,
            answer => panic!("slot {slot} was signed: {answer:?}"),
        }
    }
}

fn attestation(slot: u64) -> Duty {
    Duty { validator: Address::repeat_byte(1), slot: Slot(slot), kind: DutyKind::Attestation }
}

#[tokio::test]
async fn what_lies_the_stores_window_behind_the_final_slot_is_forgotten_and_refused() {
    let bench = Bench::in_slot(40).await;
    bench.l1.finalize(31);
    let pruning = bench.begin();
    let status = bench.until("the first pruning", |status| status.finalized_slot.is_some()).await;
    assert_eq!((status.finalized_slot, status.removed, status.amiss()), (Some(Slot(30)), 20, None));
    assert_eq!((bench.low(20).await, bench.low(21).await), (Some(Slot(20)), None));
    pruning.end().await;
    bench.store.close().await;
}

#[tokio::test]
async fn it_is_done_once_an_epoch_of_l1_and_by_no_other_clock() {
    let bench = Bench::in_slot(40).await;
    bench.l1.finalize(31);
    let pruning = bench.begin();
    bench.until("the first pruning", |status| status.removed == 20).await;
    bench.l1.finalize(36);
    bench.clock.set(times().start_of(Slot(500)).into());
    bench.head.send_replace(head_in(41));
    // A head of the next epoch is the first that is a reason.
    bench.come_to(64);
    bench.until("the next epoch's", |status| status.removed == 25).await;
    assert_eq!(*bench.l1.asked.borrow(), 2);
    pruning.end().await;
    bench.store.close().await;
}

#[tokio::test]
async fn a_failure_is_told_and_ends_nothing() {
    let bench = Bench::in_slot(40).await;
    let pruning = bench.begin();
    for failures in 1..=FAILURES_TOLD {
        let status = bench.until("a failure", |status| status.failures >= failures).await;
        assert_eq!((status.failures, status.amiss().is_some()), (failures, failures == FAILURES_TOLD), "{status:?}");
        assert!(status.failure.is_some_and(|failure| failure.contains("took longer")));
        if failures < FAILURES_TOLD {
            wake(&bench).await;
        }
    }
    bench.l1.finalize(31);
    wake(&bench).await;
    let status = bench.until("a pruning that succeeds", |status| status.removed == 20).await;
    assert_eq!((status.failures, status.failure), (0, None));
    pruning.end().await;
    bench.store.close().await;
}

/// Lets the wait after a failure pass, once it has begun.
async fn wake(bench: &Bench) {
    let asked = *bench.l1.asked.borrow();
    let mut now_asked = bench.l1.asked.subscribe();
    let again = now_asked.wait_for(|now| *now > asked);
    let passing = async {
        loop {
            bench.clock.advance(LONGEST_WAIT);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        again = tokio::time::timeout(PATIENCE, again) => assert!(again.is_ok(), "it is never tried again"),
        () = passing => {}
    }
}

#[tokio::test]
async fn a_stop_ends_it_at_once_and_the_next_start_goes_on() {
    let bench = Bench::in_slot(40).await;
    let waiting = bench.begin();
    bench.until("a failure", |status| status.failures == 1).await;
    waiting.end().await;
    bench.l1.finalize(31);
    let cut = bench.begin();
    bench.interrupt.cancel();
    cut.end().await;
    let bench = Bench { interrupt: CancellationToken::new(), ..bench };
    let pruning = bench.begin();
    bench.until("a pruning", |status| status.removed == 20).await;
    pruning.end().await;
    bench.store.close().await;
}

#[test]
fn a_slot_is_final_once_a_later_ones_block_is_and_never_ahead_of_the_clock() {
    let at = |slot: u64, secs| times().start_of(Slot(slot)).plus_secs(secs);
    let cases = [
        (L1Timestamp(0), 0, Ok(None)),
        (at(0, 11), 0, Ok(None)),
        (at(1, 0), 1, Ok(Some(0))),
        (at(31, 0), 40, Ok(Some(30))),
        (at(31, 11), 40, Ok(Some(30))),
        (at(41, 0), 40, Ok(Some(40))),
        (at(42, 0), 40, Err((41, 40))),
        (at(1 << 40, 0), 40, Err(((1 << 40) - 1, 40))),
    ];
    for (finalized_at, current, expected) in cases {
        let found = final_slot(&times(), finalized_at, Slot(current));
        let found = found.map(|slot| slot.map(|slot| slot.0)).map_err(|error| match error {
            PruneError::NotCome { slot, current } => (slot.0, current.0),
            error @ (PruneError::L1(_) | PruneError::Store(_)) => panic!("{error}"),
        });
        assert_eq!(found, expected, "{finalized_at}");
    }
}
