//! The main path: one slot, from its proposer's turn to the request that lands its checkpoint.
//!
//! `tick -> ProposerTurn -> blocks -> CheckpointProposal -> signed -> SignedAttestations -> bundle of L1 actions (tracked) -> landed`.
//! Each step takes the former's value; no step reaches back. After the proposal is signed and told the tick ends; attesting
//! and landing go on in a tracked request.

mod beside;
mod due;

use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::Address;
use fermata_primitives::{Slot, UnixTime, crash_point};
use fermata_rollup::Committee;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::beside::{obstacle_on_l1, send_beside};
use self::due::Due;
use crate::actions::L1Action;
use crate::attestations::collect;
use crate::drain::{DrainedWork, Ending, WorkKind};
use crate::error::{Result, SequencerError};
use crate::events::{PublishedCheckpoint, SequencerEvent};
use crate::l1::unless_interrupted;
use crate::landing::{Landing, land};
use crate::phases::{Phase, SlotPhase};
use crate::pinned::Pinned;
use crate::pipeline::{NoPlace, Place};
use crate::poll_loop::{Tick, TickContext, TickError, chain as error_chain};
use crate::proposal::{CheckpointProposal, assemble, build_blocks, sign};
use crate::publishing::Publishing;
use crate::requests_tracker::RequestKind;
use crate::slot_bundle::until_window;
use crate::telling::Told;
use crate::workshop::{ProposerSettings, Workshop, before_it_ends};

/// A slot that is ours, with a place in the chain for its checkpoint.
#[derive(Debug)]
pub struct ProposerTurn {
    /// The slot.
    pub slot: Slot,
    /// Which of our keys proposes.
    pub proposer: Address,
    /// Who attests.
    pub committee: Arc<Committee>,
    /// What it is built on.
    pub place: Place,
    /// The proposer's own choices.
    pub settings: ProposerSettings,
    /// What was signed for the slot before this run; it is gone on with.
    pub pinned: Option<Pinned>,
    /// What it is busy with.
    pub phase: SlotPhase,
    /// Gives the place up when the turn is dropped before its checkpoint has landed, as by a panic.
    pub hold: DropGuard,
}

/// A checkpoint that the committee has been asked to attest.
#[derive(Debug)]
struct Proposed {
    proposal: CheckpointProposal,
    told: Told,
}

/// What became of a checkpoint that was attested.
#[derive(Debug)]
enum Landed {
    /// L1 has it.
    Published(PublishedCheckpoint),
    /// The operator wants it kept from L1.
    Withheld,
}

/// The tick of one run.
#[derive(Debug)]
pub struct SlotTick {
    workshop: Arc<Workshop>,
    began: UnixTime,
    attempted: Mutex<Slot>,
}

impl SlotTick {
    /// A tick that has attempted no slot yet.
    #[must_use]
    pub fn new(workshop: Arc<Workshop>) -> Self {
        let began = workshop.clock.now();
        Self { workshop, began, attempted: Mutex::default() }
    }

    /// Works on the slot whose build frame is open, once.
    async fn run_slot(&self, context: TickContext) -> Result<()> {
        let slot = self.workshop.timetable.target_slot(self.workshop.clock.now());
        if self.is_at_limit(slot, &context).await? {
            return Ok(());
        }
        let Some(due) = self.due(slot, &context).await? else { return Ok(()) };
        let Some(turn) = self.proposer_turn(due, &context).await? else { return Ok(()) };
        let proposed = self.propose(&turn, &context).await;
        match proposed {
            Ok(proposed) => self.track(turn, proposed, &context),
            Err(error) => {
                self.give_up(&turn, &error, &context).await?;
                self.send_without_checkpoint(slot, turn.proposer, &context);
            }
        }
        Ok(())
    }

    /// Whether a planned stop leaves nothing more to do; the engine then hears of it.
    async fn is_at_limit(&self, slot: Slot, context: &TickContext) -> Result<bool> {
        let bounds = context.limit.bounds();
        if bounds.is_open() {
            return Ok(false);
        }
        let next_block = self.workshop.chain.heads().await?.unsafe_head.number + 1;
        let is_last_done = bounds.ends_with(slot) && self.is_attempted(slot);
        let at_limit = is_last_done || !bounds.admits_slot(slot) || !bounds.admits_block(next_block);
        if at_limit {
            context.limit.reach(bounds);
        }
        Ok(at_limit)
    }

    /// Takes a place in the chain for the slot's checkpoint.
    async fn proposer_turn(&self, due: Due, context: &TickContext) -> Result<Option<ProposerTurn>> {
        let (workshop, slot, proposer) = (&self.workshop, due.slot, due.proposer);
        if workshop.publishing() == Publishing::Off && workshop.chain.ends_in_ours().await {
            // Nothing is built on what is withheld; the next tick knows.
            return Ok(None);
        }
        let place = match workshop.chain.open(slot).await {
            // The checkpoint before it is not complete yet: the next tick looks again.
            Err(SequencerError::NoPlace(NoPlace::TooDeep)) => return Ok(None),
            // Proposed by an earlier run.
            Err(SequencerError::NoPlace(NoPlace::SlotTaken(_))) => {
                self.mark_attempted(slot);
                return Ok(None);
            }
            place => place?,
        };
        self.mark_attempted(slot);
        let hold = place.orphaned.clone().drop_guard();
        // An L1 that does not answer is no obstacle: the contract judges what is built.
        let obstacle = unless_interrupted(&context.interrupt, obstacle_on_l1(workshop, slot)).await;
        if let Some(obstacle) = obstacle.unwrap_or_default() {
            workshop.chain.abandon(slot).await?;
            self.leave_out(slot, proposer, obstacle, context);
            return Ok(None);
        }
        Ok(Some(self.begin_turn(due, place, hold)))
    }

    fn begin_turn(&self, due: Due, place: Place, hold: DropGuard) -> ProposerTurn {
        let (workshop, Due { slot, proposer, committee, pinned }) = (&self.workshop, due);
        let (checkpoint, phase) = (place.number, workshop.phases.begin(slot));
        workshop.events.emit(SequencerEvent::PreparingCheckpoint { slot, checkpoint, proposer });
        let mut settings = *workshop.settings.borrow();
        if let Some(pinned) = &pinned {
            settings.coinbase = Some(pinned.coinbase());
            let (blocks, is_complete) = (pinned.blocks().len(), pinned.is_complete());
            tracing::info!(slot = slot.0, blocks, is_complete, "goes on with what was signed before");
            workshop.events.emit(SequencerEvent::SlotResumed { slot, checkpoint, blocks });
        }
        ProposerTurn { slot, proposer, committee, place, settings, pinned, phase, hold }
    }

    async fn propose(&self, turn: &ProposerTurn, context: &TickContext) -> Result<Proposed> {
        let workshop = &self.workshop;
        turn.phase.enter(Phase::Building);
        let blocks = self.unless_ended(turn, context, build_blocks(workshop, turn, &context.limit)).await?;
        crash_point!("sequencer.after_build");
        turn.phase.enter(Phase::Proposing);
        let proposal = self.unless_ended(turn, context, assemble(workshop, turn, blocks)).await?;
        let signed = self.unless_ended(turn, context, sign(workshop, turn, &proposal)).await?;
        crash_point!("sequencer.after_proposal");
        workshop.chain.proposed(turn.slot).await?;
        let telling = Told::to_all(workshop, turn.slot, signed).map(Ok);
        let told = self.unless_ended(turn, context, telling).await?;
        let (slot, checkpoint, blocks) = (turn.slot, turn.place.number, proposal.blocks.len());
        workshop.events.emit(SequencerEvent::CheckpointProposed { slot, checkpoint, blocks });
        Ok(Proposed { proposal, told })
    }

    fn track(&self, turn: ProposerTurn, mut proposed: Proposed, context: &TickContext) {
        let (workshop, run) = (Arc::clone(&self.workshop), context.clone());
        context.requests.track(RequestKind::Checkpoint, turn.slot, |interrupt| async move {
            let (slot, telling) = (turn.slot, Arc::clone(&proposed.told.telling));
            let mut left = Vec::new();
            let landed = tokio::select! {
                landed = attest_and_land(&workshop, &turn, &mut proposed, &mut left, &interrupt) => landed,
                never = telling.go_on(&workshop) => match never {},
            };
            let ending = match landed {
                Ok(Landed::Published(published)) => {
                    turn.hold.disarm();
                    published.tell(&workshop, slot)
                }
                Ok(Landed::Withheld) => withhold(&workshop, turn).await,
                Err(error) => fail(&workshop, &turn, &proposed.proposal, &error).await,
            };
            if !left.is_empty() {
                send_beside(&workshop, slot, &run, async move { left });
            }
            ending
        });
    }

    async fn give_up(&self, turn: &ProposerTurn, error: &SequencerError, context: &TickContext) -> Result<()> {
        let slot = turn.slot;
        // A place that is lost is told where it is.
        let is_told =
            matches!(error, SequencerError::NoPlace(_) | SequencerError::Interrupted | SequencerError::NothingToBuild);
        if !is_told && (self.saw_begin(slot) || turn.pinned.is_some()) {
            self.miss(slot, &error_chain(error));
        }
        let ending = Ending::of(error);
        context.requests.note(DrainedWork { kind: WorkKind::Build, slot, ending });
        self.workshop.chain.abandon(slot).await
    }

    /// Awaits `work`; ends early when the run is interrupted, the checkpoint has lost its place, or its slot is over.
    async fn unless_ended<T>(
        &self,
        turn: &ProposerTurn,
        context: &TickContext,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            done = before_it_ends(&self.workshop, turn.slot, work) => done,
            () = context.interrupt.cancelled() => Err(SequencerError::Interrupted),
            () = turn.place.orphaned.cancelled() => Err(NoPlace::Orphaned.into()),
        }
    }

    fn miss(&self, slot: Slot, reason: &str) {
        tracing::warn!(slot = slot.0, reason, "no checkpoint for our slot");
        self.workshop.events.emit(SequencerEvent::SlotMissed { slot, reason: reason.to_owned() });
    }

    /// Whether the slot began in this run. That one that had begun before is missed is nobody's fault, unless something
    /// was signed for it.
    fn saw_begin(&self, slot: Slot) -> bool {
        self.began <= self.workshop.timetable.build_frame_start(slot)
    }

    fn is_attempted(&self, slot: Slot) -> bool {
        *self.attempted.lock().unwrap_or_else(PoisonError::into_inner) >= slot
    }

    fn mark_attempted(&self, slot: Slot) {
        *self.attempted.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }
}

impl Tick for SlotTick {
    fn tick(&self, context: TickContext) -> BoxFuture<'_, std::result::Result<(), TickError>> {
        async move {
            match self.run_slot(context).await {
                Ok(()) | Err(SequencerError::Interrupted) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        .boxed()
    }
}

/// Collects the committee's attestations, and lands the checkpoint with what else its slot owes L1. What of that did not go
/// along, since the checkpoint is not sent, is `left`.
async fn attest_and_land(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposed: &mut Proposed,
    left: &mut Vec<L1Action>,
    interrupt: &CancellationToken,
) -> Result<Landed> {
    let Proposed { proposal, told } = proposed;
    turn.phase.enter(Phase::Collecting);
    let collecting = before_it_ends(workshop, turn.slot, collect(workshop, turn, proposal, told).boxed());
    let beside = workshop.side.of_proposer(turn.slot, turn.proposer).boxed();
    let both = async { Ok(futures::join!(collecting, beside)) };
    let (signed, extra) = unless_interrupted(interrupt, both).await?;
    let signed = signed.inspect_err(|_| left.clone_from(&extra))?;
    crash_point!("sequencer.after_attest");
    if is_withheld(workshop, turn, interrupt).await? {
        *left = extra;
        return Ok(Landed::Withheld);
    }
    let landing = Landing { proposal, signed, extra };
    land(workshop, turn, landing, interrupt.clone()).boxed().await.map(Landed::Published)
}

/// Whether the operator wants an attested checkpoint kept from L1: looked at now, and again once its window is open, since
/// nothing of it goes out before.
async fn is_withheld(workshop: &Workshop, turn: &ProposerTurn, interrupt: &CancellationToken) -> Result<bool> {
    if workshop.publishing() == Publishing::Off {
        return Ok(true);
    }
    turn.phase.enter(Phase::Publishing);
    until_window(&workshop.publisher, workshop.view.times(), turn.slot, interrupt).await?;
    Ok(workshop.publishing() == Publishing::Off)
}

/// The checkpoint is attested, and the operator wants it kept from L1. It is left to be dropped once its slot has passed.
async fn withhold(workshop: &Workshop, turn: ProposerTurn) -> Ending {
    let (slot, checkpoint) = (turn.slot, turn.place.number);
    if let Err(error) = workshop.chain.withhold(slot).await {
        // What had lost its place was told when it did.
        return Ending::of(&error);
    }
    turn.hold.disarm();
    workshop.last_withheld.send_replace(Some(slot));
    tracing::info!(slot = slot.0, checkpoint = checkpoint.0, "withheld from L1: sequencer.publish_checkpoints is `no`");
    workshop.events.emit(SequencerEvent::CheckpointWithheld { slot, checkpoint });
    Ending::Withheld
}

/// The checkpoint did not land, or it is not known to have: it is given up, and the L2 head goes back to where L1 is.
async fn fail(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposal: &CheckpointProposal,
    error: &SequencerError,
) -> Ending {
    let (slot, checkpoint, reason) = (turn.slot, turn.place.number, error_chain(error));
    tracing::warn!(slot = slot.0, checkpoint = checkpoint.0, reason, "the checkpoint was given up");
    if let Err(error) = workshop.chain.abandon(slot).await {
        tracing::error!(error = %error_chain(&error), "the L2 head could not be moved back; the next L1 block will");
    }
    workshop.events.emit(SequencerEvent::CheckpointPublishFailed { slot, checkpoint, reason: reason.clone() });
    if let SequencerError::CutInFlight { l1_tx } = *error {
        return Ending::InFlight { l1_tx, head: proposal.head() };
    }
    Ending::of(error)
}

impl Ending {
    /// How work ended that did not succeed, where nothing of it was sent.
    fn of(error: &SequencerError) -> Self {
        if let SequencerError::Interrupted = error { Self::Cut } else { Self::Failed { reason: error_chain(error) } }
    }
}
