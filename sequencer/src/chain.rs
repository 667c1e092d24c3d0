//! The one place where the L2 heads are moved.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use alloy::primitives::B256;
use fermata_execution::{Block, BlockId, Execution, ExecutionError, Heads};
use fermata_primitives::{CheckpointNumber, SharedClock, Slot};
use tokio::sync::{Mutex, watch};

use crate::error::{Result, SequencerError};
use crate::events::{Events, SequencerEvent, StepBack};
use crate::l1::Sync;
use crate::pipeline::{Heard, L1Tip, Moved, Pipeline, Place};

/// The pipeline and the execution engine, moved together.
#[derive(Debug)]
pub struct Chain {
    execution: Arc<dyn Execution>,
    sync: Sync,
    pipeline: Mutex<Pipeline>,
    tip: watch::Sender<Option<L1Tip>>,
    tip_moved: std::sync::Mutex<Duration>,
    clock: SharedClock,
    events: Events,
}

/// Why a place is let go of whose work has panicked.
const WITHOUT_A_WORD: &str = "its work ended without a word";

impl Chain {
    /// A chain that knows nothing of L1 yet.
    #[must_use]
    pub fn new(execution: Arc<dyn Execution>, sync: Sync, clock: SharedClock, events: Events) -> Self {
        let pipeline = Mutex::new(Pipeline::new(L1Tip::default()));
        let tip_moved = std::sync::Mutex::new(clock.monotonic());
        Self { execution, sync, pipeline, tip: watch::Sender::new(None), tip_moved, clock, events }
    }

    /// For how long L1's tip has been the same, or unknown.
    #[must_use]
    pub fn tip_unmoved_for(&self) -> Duration {
        let moved = *self.tip_moved.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock.monotonic().saturating_sub(moved)
    }

    /// What L1 said last; `None` until it has been followed once.
    #[must_use]
    pub fn tip(&self) -> watch::Receiver<Option<L1Tip>> {
        self.tip.subscribe()
    }

    /// L1's tip is this at L1 block `l1_block`: fetches what is missing, drops what has lost its place, moves the heads.
    ///
    /// # Errors
    /// What is missing could not be fetched, or execution failed; nothing has moved, and the call may be repeated.
    pub async fn follow(&self, l1_block: u64, tip: L1Tip) -> Result<()> {
        if *self.tip.borrow() == Some(tip) {
            return Ok(());
        }
        if self.execution.block(tip.archive).await?.is_none() {
            self.sync.to(&tip).await?;
        }
        let mut pipeline = self.pipeline.lock().await;
        let moved = pipeline.l1_moved(tip);
        let placed = self.place_heads(&pipeline).await;
        // Also where the heads could not be placed: a repeated call finds what lost its place gone already.
        self.report(&moved, "L1 has another checkpoint in its place");
        placed?;
        self.tip.send_replace(Some(tip));
        *self.tip_moved.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.monotonic();
        drop(pipeline);
        self.events.emit(SequencerEvent::L1TipMoved { l1_block, checkpoint: tip.number });
        Ok(())
    }

    /// The next L1 block belongs to slot `next`: drops what another proposer has under way for an earlier slot, what was withheld
    /// for one, what ended without a word, and what of ours L1 took back. The heads are placed anew in any case, should that have
    /// failed before.
    ///
    /// # Errors
    /// Execution failed; the next call moves the heads again.
    pub async fn expire(&self, next: Slot) -> Result<()> {
        self.let_fall(|pipeline| pipeline.expire(next), "it can land no more").await
    }

    /// Another proposer has told of its checkpoint; its blocks are stored and valid. They become the head where there is a
    /// place for them.
    ///
    /// # Errors
    /// There is none, L1 has not been followed yet, or execution failed.
    pub async fn hear(&self, heard: Heard) -> Result<()> {
        let mut pipeline = self.pipeline.lock().await;
        if self.tip.borrow().is_none() {
            return Err(SequencerError::NotSynced { want: pipeline.tip().number });
        }
        let moved = pipeline.hear(heard)?;
        let placed = self.place_heads(&pipeline).await;
        drop(pipeline);
        self.report(&moved, "a later proposer has built without it");
        placed
    }

    /// Another proposer's checkpoint of `slot` was to be complete by now: gives it up, where it is not.
    ///
    /// # Errors
    /// Execution failed; the next [`Chain::expire`] moves the heads again.
    pub async fn give_up_unfinished(&self, slot: Slot) -> Result<()> {
        self.let_fall(|pipeline| pipeline.give_up_unfinished(slot), "its proposer did not finish it in time").await
    }

    /// The contract has fewer checkpoints than before.
    pub fn tell_step_back(&self, cause: StepBack, (from, to): (CheckpointNumber, CheckpointNumber), l1_block: u64) {
        tracing::warn!(?cause, from = from.0, to = to.0, l1_block, "the contract dropped checkpoints");
        self.events.emit(SequencerEvent::L1WentBack { cause, from, to, l1_block });
    }

    /// Takes a place for the slot's checkpoint, on top of the chain. What ended without a word makes room for it, and what was
    /// withheld for an earlier slot, since nothing on it could land.
    ///
    /// # Errors
    /// There is none, L1 has not been followed yet, or execution failed.
    pub async fn open(&self, slot: Slot) -> Result<Place> {
        let mut pipeline = self.pipeline.lock().await;
        if self.tip.borrow().is_none() {
            return Err(SequencerError::NotSynced { want: pipeline.tip().number });
        }
        let fallen = [
            (pipeline.let_go(), WITHOUT_A_WORD),
            (pipeline.let_go_of_withheld(slot), "it was withheld, and a later slot of ours is built without it"),
        ];
        if fallen.iter().any(|(moved, _)| *moved != Moved::default()) {
            let placed = self.place_heads(&pipeline).await;
            fallen.iter().for_each(|(moved, reason)| self.report(moved, reason));
            placed?;
        }
        Ok(pipeline.open(slot)?)
    }

    /// Puts a sealed block on top of the slot's checkpoint and makes it the head.
    ///
    /// # Errors
    /// The checkpoint has lost its place, or execution failed.
    pub async fn extend(&self, slot: Slot, block: &Block) -> Result<()> {
        let mut pipeline = self.pipeline.lock().await;
        pipeline.extend(slot, block.hash())?;
        self.place_heads(&pipeline).await
    }

    /// The slot's checkpoint is complete and on its way to L1.
    ///
    /// # Errors
    /// It has lost its place.
    pub async fn proposed(&self, slot: Slot) -> Result<()> {
        Ok(self.pipeline.lock().await.proposed(slot)?)
    }

    /// Whether the newest checkpoint under way is one of ours that is complete, and may yet be withheld.
    pub async fn ends_in_ours(&self) -> bool {
        self.pipeline.lock().await.ends_in_ours()
    }

    /// The slot's checkpoint is not sent to L1: the head keeps it until its slot has passed, as those of the other nodes do.
    ///
    /// # Errors
    /// It has lost its place.
    pub async fn withhold(&self, slot: Slot) -> Result<()> {
        Ok(self.pipeline.lock().await.withhold(slot)?)
    }

    /// Gives up the slot's checkpoint and all that is built on it; the head goes back.
    ///
    /// # Errors
    /// Execution failed; the next [`Chain::expire`] moves the heads again.
    pub async fn abandon(&self, slot: Slot) -> Result<()> {
        let mut pipeline = self.pipeline.lock().await;
        let mut moved = pipeline.abandon(slot);
        let placed = self.place_heads(&pipeline).await;
        drop(pipeline);
        moved.orphaned.retain(|orphan| *orphan != slot);
        self.report(&moved, "the checkpoint it is built on was given up");
        placed
    }

    /// Takes the heads to where they belong, once the work of a run has ended, however it ended. What is complete stays until
    /// it has landed or [`Chain::expire`] drops it.
    ///
    /// # Errors
    /// Execution failed; the next [`Chain::expire`] moves the heads again.
    pub async fn settle(&self) -> Result<()> {
        self.let_fall(Pipeline::let_go, WITHOUT_A_WORD).await?;
        self.let_fall(Pipeline::let_go_of_unfinished, "this node stopped before it was complete").await
    }

    /// Takes something out of the pipeline, where there is such a thing, and moves the heads to where they belong.
    async fn let_fall(&self, what: impl FnOnce(&mut Pipeline) -> Moved, reason: &str) -> Result<()> {
        let mut pipeline = self.pipeline.lock().await;
        if self.tip.borrow().is_none() {
            return Ok(());
        }
        let moved = what(&mut pipeline);
        let placed = self.place_heads(&pipeline).await;
        drop(pipeline);
        self.report(&moved, reason);
        placed
    }

    /// Where the L2 head is.
    ///
    /// # Errors
    /// Execution failed.
    pub async fn heads(&self) -> Result<Heads> {
        Ok(self.execution.heads().await?)
    }

    async fn place_heads(&self, pipeline: &Pipeline) -> Result<()> {
        let tip = *pipeline.tip();
        let heads = Heads {
            unsafe_head: self.id_of(pipeline.head()).await?,
            safe: self.id_of(tip.archive).await?,
            finalized: self.id_of(tip.proven_archive).await?,
        };
        // Without a look at where they are: a move whose caller went away may still be under way before this one.
        Ok(self.execution.set_heads(heads).await?)
    }

    async fn id_of(&self, hash: B256) -> Result<BlockId> {
        let block = self.execution.block(hash).await?.ok_or(ExecutionError::UnknownBlock(hash))?;
        Ok(block.id())
    }

    fn report(&self, moved: &Moved, reason: &str) {
        for slot in &moved.orphaned {
            self.events.emit(SequencerEvent::CheckpointDiscarded { slot: *slot, reason: reason.to_owned() });
        }
        for slot in &moved.dropped {
            self.events.emit(SequencerEvent::ProposalDropped { slot: *slot, reason: reason.to_owned() });
        }
    }
}
