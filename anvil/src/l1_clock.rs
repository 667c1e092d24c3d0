//! The one owner of anvil's clock.
//!
//! Anvil lets anybody set its time, and the last one wins without a word to the others. So everything that makes a block
//! or moves the time goes through an [`L1Clock`], which does one thing at a time, speaks of absolute times only, and looks
//! at the block that came out. Timestamps strictly increase, as on a real L1.

mod interval;
mod verbs;

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::{B256, U64, U256};
use alloy::providers::DynProvider;
use fermata_primitives::{L1Timestamp, SharedClock};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::interval::IntervalMining;
pub use self::verbs::{HeldTransactions, Reinclude, Reorg};
use crate::door::DoorHandle;
use crate::{AnvilError, Cheats, LeasedAnvil, Result};

/// The latest time a clock can tell.
const LATEST: L1Timestamp = L1Timestamp(u64::MAX / 1_000_000_000);

/// An L1 block, as far as time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Head {
    /// Its number.
    pub number: u64,
    /// Its timestamp.
    pub timestamp: L1Timestamp,
    /// Its hash.
    pub hash: B256,
}

/// What a warp came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warp {
    /// One block was mined, at the target.
    Mined(L1Head),
    /// The head is at or past the target already. Nothing was done.
    Skipped {
        /// The head.
        head: L1Head,
    },
}

/// The owner of an anvil's clock; clones share it. Interval mining ends when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct L1Clock {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    clock: SharedClock,
    interval: Mutex<Option<Interval>>,
    tasks: TaskTracker,
}

/// Blocks that come by themselves: what ends them, and their end.
type Interval = (DropGuard, JoinHandle<()>);

/// What the interval task and the handles share.
#[derive(Debug)]
struct Shared {
    anvil: DynProvider,
    /// Where others come in, so that what takes several cheats is one step for them.
    door: Option<DoorHandle>,
    /// The first block whose state anvil has: none below can be gone back to.
    oldest: AtomicU64,
    /// Held while anvil's clock is in use.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What was begun and ends also when nobody waits for it.
    steps: TaskTracker,
    heads: watch::Sender<L1Head>,
    pauses: watch::Sender<usize>,
    /// How many hold the pool's transactions back from the blocks.
    holds: watch::Sender<usize>,
}

/// While this lives, no interval block comes. Dropping it lets the interval go on, in phase.
#[derive(Debug)]
#[must_use = "the interval goes on when this is dropped"]
pub struct PausedInterval {
    shared: Arc<Shared>,
}

impl Drop for PausedInterval {
    fn drop(&mut self) {
        self.shared.pauses.send_modify(|pauses| *pauses -= 1);
    }
}

/// The part of a block that is looked at here.
#[derive(Debug, Deserialize)]
struct RawBlock {
    number: U64,
    timestamp: U64,
    hash: B256,
    #[serde(rename = "gasLimit")]
    gas_limit: U256,
}

impl From<RawBlock> for L1Head {
    fn from(block: RawBlock) -> Self {
        Self { number: block.number.to(), timestamp: L1Timestamp(block.timestamp.to()), hash: block.hash }
    }
}

impl L1Clock {
    /// Takes the clock of the anvil behind `anvil`, which must mine on demand. `clock` is the wall clock that interval
    /// mining follows.
    ///
    /// # Errors
    /// [`AnvilError::L1Unreachable`] when anvil does not answer.
    pub async fn own(anvil: DynProvider, clock: SharedClock) -> Result<Self> {
        let head = read_block(&Cheats::new(anvil.clone()), "latest").await?;
        Ok(Self::new(Shared::new(anvil, None, head.into()), clock))
    }

    /// Takes the clock of an anvil on which a state was loaded, whose head is the oldest block that can be gone back to.
    pub(crate) async fn of_loaded(anvil: &LeasedAnvil, clock: SharedClock) -> Result<Self> {
        let (door, anvil) = (Some(anvil.door()), anvil.staff_provider()?);
        let head = L1Head::from(read_block(&Cheats::new(anvil.clone()), "latest").await?);
        let shared = Shared { oldest: AtomicU64::new(head.number), ..Shared::new(anvil, door, head) };
        Ok(Self::new(shared, clock))
    }

    fn new(shared: Shared, clock: SharedClock) -> Self {
        let owner = Owner { shared: Arc::new(shared), clock, interval: Mutex::new(None), tasks: TaskTracker::new() };
        Self { owner: Arc::new(owner) }
    }

    /// The head as this owner last made it.
    #[must_use]
    pub fn head(&self) -> L1Head {
        self.shared().head()
    }

    /// Every head this owner makes, for those who wait for one.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<L1Head> {
        self.shared().heads.subscribe()
    }

    /// Mines one block at `target`, if the head, read once it is this caller's turn, is before it.
    ///
    /// # Errors
    /// [`AnvilError::L1Unreachable`]; [`AnvilError::BeyondTime`]; [`AnvilError::ClockDisobeyed`] when the block came out at
    /// another time.
    ///
    /// # Cancel safety
    /// Dropped while anvil mines: the block may come, and the next call sees it.
    pub async fn warp_to(&self, target: L1Timestamp) -> Result<Warp> {
        if target > LATEST {
            return Err(AnvilError::BeyondTime { target, latest: LATEST });
        }
        self.in_turn(move |shared| async move { shared.mine_if_ahead(target).await }).await
    }

    /// Mines one block one second after the head.
    ///
    /// # Errors
    /// As [`L1Clock::warp_to`].
    pub async fn mine(&self) -> Result<L1Head> {
        self.in_turn(|shared| async move {
            let head = shared.read_head().await?;
            shared.mine_at(head.timestamp.plus_secs(1)).await
        })
        .await
    }

    /// From now on mines one block each time the wall clock reaches a time of the grid. A time that was missed is skipped.
    ///
    /// # Errors
    /// [`AnvilError::IntervalRunning`] when it does so already.
    pub fn start_interval(&self, grid: IntervalMining) -> Result<()> {
        let mut interval = self.interval();
        if interval.is_some() {
            return Err(AnvilError::IntervalRunning);
        }
        let halt = CancellationToken::new();
        let run = interval::run(self.owner.shared.clone(), self.owner.clock.clone(), grid, halt.clone());
        *interval = Some((halt.drop_guard(), self.owner.tasks.spawn(run)));
        Ok(())
    }

    /// Holds interval mining back, once the block that is being made is made. Pauses add up.
    ///
    /// # Cancel safety
    /// Dropping the future undoes the pause.
    pub async fn pause_interval(&self) -> PausedInterval {
        let shared = self.owner.shared.clone();
        shared.pauses.send_modify(|pauses| *pauses += 1);
        let paused = PausedInterval { shared };
        drop(paused.shared.turn.lock().await);
        paused
    }

    /// Ends interval mining for good; it may be started anew. A no-op when none runs.
    ///
    /// # Cancel safety
    /// Dropped early, the interval still ends.
    pub async fn stop_interval(&self) {
        let Some((halt, ended)) = self.interval().take() else { return };
        drop(halt);
        // An error means that it has ended as well.
        let _ = ended.await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    async fn in_turn<T: Send + 'static, W>(&self, work: impl FnOnce(Arc<Shared>) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>> + Send + 'static,
    {
        self.shared().in_turn(work).await
    }

    fn interval(&self) -> std::sync::MutexGuard<'_, Option<Interval>> {
        self.owner.interval.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn new(anvil: DynProvider, door: Option<DoorHandle>, head: L1Head) -> Self {
        Self {
            anvil,
            door,
            oldest: AtomicU64::new(0),
            turn: Arc::default(),
            steps: TaskTracker::new(),
            heads: watch::Sender::new(head),
            pauses: watch::Sender::new(0),
            holds: watch::Sender::new(0),
        }
    }

    /// Does `work` once it is the caller's turn. What has begun ends, also when the caller goes away: half of it could
    /// leave anvil in a state that nobody asked for.
    async fn in_turn<T: Send + 'static, W>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let turn = self.turn.clone().lock_owned().await;
        let work = work(self.clone());
        let step = async move {
            let done = work.await;
            drop(turn);
            done
        };
        self.steps.spawn(step).await.expect("a step does not panic, and ends with the runtime of who waits for it")
    }

    fn head(&self) -> L1Head {
        *self.heads.borrow()
    }

    async fn read_head(&self) -> Result<L1Head> {
        read_block(&self.cheats(), "latest").await.map(L1Head::from)
    }

    fn cheats(&self) -> Cheats {
        Cheats::new(self.anvil.clone())
    }

    async fn until_unpaused(&self) {
        // An error means that the sender is gone; it lives in `self`.
        let _ = self.pauses.subscribe().wait_for(|pauses| *pauses == 0).await;
    }

    async fn mine_if_ahead(&self, target: L1Timestamp) -> Result<Warp> {
        let head = self.read_head().await?;
        if target <= head.timestamp {
            self.heads.send_replace(head);
            return Ok(Warp::Skipped { head });
        }
        self.mine_at(target).await.map(Warp::Mined)
    }

    /// One block of the interval. A pause that came while it waited for its turn holds it back.
    async fn mine_unless_paused(&self, target: L1Timestamp) -> Result<()> {
        if *self.pauses.borrow() > 0 || target <= self.read_head().await?.timestamp {
            return Ok(());
        }
        self.mine_at(target).await.map(drop)
    }

    /// Mines one block at `target`, without the transactions that are held; the caller has the turn and knows that the head
    /// is before it.
    async fn mine_at(&self, target: L1Timestamp) -> Result<L1Head> {
        if *self.holds.borrow() > 0 { self.mine_empty_at(target).await } else { self.mine_pool_at(target).await }
    }

    async fn mine_pool_at(&self, target: L1Timestamp) -> Result<L1Head> {
        let head = self.mine_request(target).await?;
        self.check_mined(head, target)
    }

    async fn mine_request(&self, target: L1Timestamp) -> Result<L1Head> {
        // Time and block in one request: a time set by an earlier one could be taken by somebody else's block.
        let options = serde_json::json!([{ "timestamp": format!("{:#x}", target.0) }]);
        let action = "mine a block";
        let mut mined: Vec<RawBlock> = self.cheats().request("evm_mine_detailed", action, options).await?;
        mined.pop().map(L1Head::from).ok_or(AnvilError::CheatFailed { action })
    }

    /// Tells of a new head that was to be at `target`.
    fn check_mined(&self, head: L1Head, target: L1Timestamp) -> Result<L1Head> {
        self.heads.send_replace(head);
        if head.timestamp != target {
            return Err(AnvilError::ClockDisobeyed { wanted: target, actual: head.timestamp });
        }
        tracing::debug!(number = head.number, timestamp = %head.timestamp, "mined an L1 block");
        Ok(head)
    }
}

async fn read_block(cheats: &Cheats, id: &str) -> Result<RawBlock> {
    cheats.request("eth_getBlockByNumber", "read a block", serde_json::json!([id, false])).await
}

#[cfg(test)]
mod tests {
    use fermata_primitives::ManualClock;
    use futures::FutureExt;

    use super::*;

    /// The clock of an anvil that nobody asks.
    fn l1_clock() -> L1Clock {
        let head = L1Head { number: 0, timestamp: L1Timestamp(1_000), hash: B256::ZERO };
        let nobody = crate::connect("http://127.0.0.1:1").expect("an address");
        L1Clock::new(Shared::new(nobody, None, head), Arc::new(ManualClock::new(head.timestamp.into())))
    }

    #[tokio::test]
    async fn the_end_of_an_interval_does_not_wait_for_the_next_one() {
        let (l1_clock, grid) = (l1_clock(), IntervalMining::new(L1Timestamp(0), 12).expect("a grid"));
        l1_clock.start_interval(grid).expect("started");
        let mut stop = std::pin::pin!(l1_clock.stop_interval());
        assert!(stop.as_mut().now_or_never().is_none(), "it waits until the first has ended");
        l1_clock.start_interval(grid).expect("started anew");
        tokio::time::timeout(std::time::Duration::from_secs(10), stop).await.expect("the first has ended");
        assert!(matches!(l1_clock.start_interval(grid), Err(AnvilError::IntervalRunning)), "the second goes on");
    }
}
