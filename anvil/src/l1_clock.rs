//! The one owner of anvil's clock.
//!
//! Anvil lets anybody set its time, and the last one wins without a word to the others. So everything that makes a block
//! or moves the time goes through an [`L1Clock`], which does one thing at a time, speaks of absolute times only, and looks
//! at the block that came out. Timestamps strictly increase, as on a real L1.

mod interval;

use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::{Address, B256, Bytes, U64, keccak256};
use alloy::providers::{DynProvider, Provider};
use fermata_primitives::{L1Timestamp, SharedClock};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::interval::IntervalMining;
use crate::door::DoorHandle;
use crate::provider::send_raw;
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

/// What a reorg replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reorg {
    /// The blocks that are no more, oldest first.
    pub removed: Vec<L1Head>,
    /// The blocks in their place, oldest first, at the same timestamps.
    pub added: Vec<L1Head>,
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
    interval: Mutex<Option<DropGuard>>,
    tasks: TaskTracker,
}

/// What the interval task and the handles share.
#[derive(Debug)]
struct Shared {
    anvil: DynProvider,
    /// Where others come in, so that what takes several cheats is one step for them.
    door: Option<DoorHandle>,
    /// The first block whose state anvil has: none below can be gone back to.
    oldest: u64,
    /// Held while anvil's clock is in use.
    turn: tokio::sync::Mutex<()>,
    heads: watch::Sender<L1Head>,
    pauses: watch::Sender<usize>,
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

/// The part of a block that [`L1Head`] is made of.
#[derive(Debug, Deserialize)]
struct RawBlock {
    number: U64,
    timestamp: U64,
    hash: B256,
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
        let head = read_block(&anvil, "latest".to_owned()).await?;
        Ok(Self::new(
            Shared {
                anvil,
                door: None,
                oldest: 0,
                turn: Default::default(),
                heads: watch::Sender::new(head),
                pauses: Default::default(),
            },
            clock,
        ))
    }

    /// Takes the clock of an anvil on which a state was loaded, whose head is the oldest block that can be gone back to.
    pub(crate) async fn of_loaded(anvil: &LeasedAnvil, clock: SharedClock) -> Result<Self> {
        let (door, anvil) = (Some(anvil.door()), anvil.staff_provider()?);
        let head = read_block(&anvil, "latest".to_owned()).await?;
        let shared = Shared {
            anvil,
            door,
            oldest: head.number,
            turn: Default::default(),
            heads: watch::Sender::new(head),
            pauses: Default::default(),
        };
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
        self.shared().mine_in_turn(target).await
    }

    /// Mines one block one second after the head.
    ///
    /// # Errors
    /// As [`L1Clock::warp_to`].
    pub async fn mine(&self) -> Result<L1Head> {
        let shared = self.shared();
        let _turn = shared.turn.lock().await;
        let head = shared.read_head().await?;
        shared.mine_at(head.timestamp.plus_secs(1)).await
    }

    /// Takes the last `depth` blocks back and puts as many others, at the same timestamps, in their place; the first takes
    /// `transactions`. What else was in the blocks is gone, also from the pool.
    ///
    /// # Errors
    /// [`AnvilError::ReorgDepth`] when there are not so many blocks above genesis, and nothing was done;
    /// [`AnvilError::L1Refused`] when a transaction is no good: then the blocks are gone and not replaced.
    pub async fn reorg(&self, depth: u64, transactions: &[Bytes]) -> Result<Reorg> {
        let shared = self.shared();
        let _turn = shared.turn.lock().await;
        let head = shared.read_head().await?;
        if depth == 0 || depth > head.number {
            return Err(AnvilError::ReorgDepth { depth, height: head.number });
        }
        let mut removed = Vec::new();
        for number in head.number + 1 - depth..=head.number {
            removed.push(read_block(&shared.anvil, format!("{number:#x}")).await?);
        }
        let cheats = Cheats::new(shared.anvil.clone());
        // Another coinbase makes each block another one, also where it holds the same transactions.
        cheats.set_coinbase(Address::from_word(keccak256(head.hash))).await?;
        cheats.rollback(depth).await?;
        for transaction in transactions {
            send_raw(&shared.anvil, transaction, "take a transaction after a reorg").await?;
        }
        let mut added = Vec::new();
        for block in &removed {
            added.push(shared.mine_at(block.timestamp).await?);
        }
        if removed.iter().zip(&added).any(|(old, new)| old.hash == new.hash) {
            return Err(AnvilError::CheatFailed { action: "replace blocks by others" });
        }
        Ok(Reorg { removed, added })
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
        self.owner.tasks.spawn(run);
        *interval = Some(halt.drop_guard());
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
        let Some(halt) = self.interval().take() else { return };
        drop(halt);
        self.owner.tasks.close();
        self.owner.tasks.wait().await;
        self.owner.tasks.reopen();
    }

    fn shared(&self) -> &Shared {
        &self.owner.shared
    }

    fn interval(&self) -> std::sync::MutexGuard<'_, Option<DropGuard>> {
        self.owner.interval.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn head(&self) -> L1Head {
        *self.heads.borrow()
    }

    async fn read_head(&self) -> Result<L1Head> {
        read_block(&self.anvil, "latest".to_owned()).await
    }

    async fn until_unpaused(&self) {
        // An error means that the sender is gone; it lives in `self`.
        let _ = self.pauses.subscribe().wait_for(|pauses| *pauses == 0).await;
    }

    async fn mine_in_turn(&self, target: L1Timestamp) -> Result<Warp> {
        let _turn = self.turn.lock().await;
        let head = self.read_head().await?;
        if target <= head.timestamp {
            self.heads.send_replace(head);
            return Ok(Warp::Skipped { head });
        }
        self.mine_at(target).await.map(Warp::Mined)
    }

    /// One block of the interval. A pause that came while it waited for its turn holds it back.
    async fn mine_unless_paused(&self, target: L1Timestamp) -> Result<()> {
        let _turn = self.turn.lock().await;
        if *self.pauses.borrow() > 0 || target <= self.read_head().await?.timestamp {
            return Ok(());
        }
        self.mine_at(target).await.map(drop)
    }

    /// Mines one block at `target`; the caller has the turn and knows that the head is before it.
    async fn mine_at(&self, target: L1Timestamp) -> Result<L1Head> {
        // Time and block in one request: a time set by an earlier one could be taken by somebody else's block.
        let options = serde_json::json!([{ "timestamp": format!("{:#x}", target.0) }]);
        let mined = self.anvil.raw_request::<_, Vec<RawBlock>>("evm_mine_detailed".into(), options).await;
        let block = mined.map_err(AnvilError::rpc("mine a block"))?.pop();
        let head = L1Head::from(block.ok_or(AnvilError::CheatFailed { action: "mine a block" })?);
        self.heads.send_replace(head);
        if head.timestamp != target {
            return Err(AnvilError::ClockDisobeyed { wanted: target, actual: head.timestamp });
        }
        tracing::debug!(number = head.number, timestamp = %head.timestamp, "mined an L1 block");
        Ok(head)
    }
}

async fn read_block(anvil: &DynProvider, id: String) -> Result<L1Head> {
    let block = anvil.raw_request::<_, RawBlock>("eth_getBlockByNumber".into(), (id, false)).await;
    block.map(L1Head::from).map_err(AnvilError::rpc("read a block"))
}
