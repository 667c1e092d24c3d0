//! The slot that has no checkpoint: why it has none, and what it sends to L1 all the same.

use std::sync::Arc;

use alloy::primitives::Address;
use fermata_primitives::Slot;
use futures::FutureExt;

use super::SlotTick;
use super::due::Due;
use crate::actions::L1Action;
use crate::drain::Ending;
use crate::error::Result;
use crate::events::SequencerEvent;
use crate::fallback::{FallbackInterrupts, send_fallback};
use crate::pinned::NotResumed;
use crate::poll_loop::{TickContext, chain as error_chain};
use crate::requests_tracker::RequestKind;
use crate::workshop::Workshop;

/// Why no checkpoint is built in a slot of ours.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// There is not enough time left.
    TooLate,
    /// What was signed for it before cannot be gone on with, and nothing else may be signed.
    NotResumed(NotResumed),
    /// The signing store only listens yet.
    Listening,
    /// Nobody else is there, and our own members are no quorum.
    NoPeers,
    /// The escape hatch is open: its candidate alone proposes.
    EscapeHatch,
    /// The contract drops checkpoints first, and what would be built on them with them.
    Prune,
    /// A checkpoint on L1 may not stand: it is dropped first.
    Invalid,
}

impl Obstacle {
    fn reason(&self) -> String {
        let reason = match self {
            Self::TooLate => "its build frame was too far gone",
            Self::NotResumed(reason) => return error_chain(reason),
            Self::Listening => "the signing store only listens yet, for another node that signs with its keys",
            Self::NoPeers => "there is no other node, and our own members are no quorum",
            Self::EscapeHatch => "the escape hatch is open",
            Self::Prune => "checkpoints were not proven in time, and the contract drops them first",
            Self::Invalid => "a checkpoint on L1 has bad attestations, and is dropped first",
        };
        reason.to_owned()
    }
}

/// What stands against building a checkpoint in a slot of ours, as far as this node knows by itself. One of which blocks
/// were signed before needs no time to build another.
pub(super) fn obstacle_here(workshop: &Workshop, due: &Due) -> Option<Obstacle> {
    let Due { slot, committee, pinned, .. } = due;
    if pinned.is_none() && workshop.clock.now() > workshop.timetable.start_deadline(*slot) {
        return Some(Obstacle::TooLate);
    }
    if workshop.signer.protection().listens_until().is_some_and(|until| *slot < until) {
        return Some(Obstacle::Listening);
    }
    let ours = workshop.our_members(committee).len();
    (!workshop.peers.can_reach_quorum(committee, ours)).then_some(Obstacle::NoPeers)
}

/// What stands against it on L1.
///
/// # Errors
/// L1 did not answer.
pub(super) async fn obstacle_on_l1(workshop: &Workshop, slot: Slot) -> Result<Option<Obstacle>> {
    if workshop.side.first_invalid().is_some() {
        return Ok(Some(Obstacle::Invalid));
    }
    let (votes_only, can_prune) =
        futures::try_join!(workshop.side.is_votes_only(slot), workshop.view.can_prune_in(slot))?;
    Ok(match (votes_only, can_prune) {
        (true, _) => Some(Obstacle::EscapeHatch),
        (false, true) => Some(Obstacle::Prune),
        (false, false) => None,
    })
}

impl SlotTick {
    /// The slot of ours has no checkpoint: says why, and sends what it owes L1 all the same.
    pub(super) fn leave_out(&self, slot: Slot, proposer: Address, obstacle: Obstacle, context: &TickContext) {
        self.mark_attempted(slot);
        match obstacle {
            Obstacle::NotResumed(_) => self.miss(slot, &obstacle.reason()),
            Obstacle::TooLate | Obstacle::NoPeers if self.saw_begin(slot) => self.miss(slot, &obstacle.reason()),
            Obstacle::TooLate | Obstacle::NoPeers => {}
            Obstacle::Listening | Obstacle::EscapeHatch | Obstacle::Prune | Obstacle::Invalid => {
                let reason = obstacle.reason();
                tracing::info!(slot = slot.0, reason, "no checkpoint in our slot");
                self.workshop.events.emit(SequencerEvent::CheckpointLeftOut { slot, reason });
            }
        }
        self.send_without_checkpoint(slot, proposer, context);
    }

    /// Sends what a slot of ours owes L1 besides the checkpoint it does not have.
    pub(super) fn send_without_checkpoint(&self, slot: Slot, proposer: Address, context: &TickContext) {
        let workshop = Arc::clone(&self.workshop);
        send_beside(&self.workshop, slot, context, async move { workshop.side.of_proposer(slot, proposer).await });
    }

    /// Sends what somebody else's slot asks of us: dropping a checkpoint that may not stand, once it is time.
    pub(super) fn send_as_bystander(&self, slot: Slot, context: &TickContext) {
        if self.workshop.side.first_invalid().is_none() {
            return;
        }
        let workshop = Arc::clone(&self.workshop);
        send_beside(&self.workshop, slot, context, async move { workshop.side.of_bystander(slot).await });
    }
}

/// Tracks what a slot sends without a checkpoint; how it ended is in the report of a drain under way, and told as an event.
pub(super) fn send_beside(
    workshop: &Arc<Workshop>,
    slot: Slot,
    context: &TickContext,
    actions: impl Future<Output = Vec<L1Action>> + Send + 'static,
) {
    if context.interrupt.is_cancelled() {
        return;
    }
    let (workshop, sending) = (Arc::clone(workshop), context.interrupt.clone());
    let actions = actions.boxed();
    context.requests.track(RequestKind::Fallback, slot, |waiting| async move {
        let Some(actions) = waiting.run_until_cancelled(actions).await else { return Some(Ending::Cut) };
        if actions.is_empty() {
            return None;
        }
        Some(send_fallback(&workshop, slot, actions, FallbackInterrupts { waiting, sending }).await)
    });
}
