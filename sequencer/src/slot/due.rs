//! Whether a slot is ours to work on, and what of it was signed before this run.

use std::sync::Arc;

use alloy::primitives::Address;
use fermata_primitives::Slot;
use fermata_rollup::Committee;

use super::SlotTick;
use super::beside::{Obstacle, obstacle_here};
use crate::error::{Result, SequencerError};
use crate::l1::unless_interrupted;
use crate::pinned::{NotResumed, Pinned};
use crate::poll_loop::TickContext;
use crate::roles::Role;

/// A slot of ours against which nothing stands here.
#[derive(Debug)]
pub(super) struct Due {
    /// The slot.
    pub(super) slot: Slot,
    /// Which of our keys proposes.
    pub(super) proposer: Address,
    /// Who attests.
    pub(super) committee: Arc<Committee>,
    /// What was signed for it before.
    pub(super) pinned: Option<Pinned>,
}

/// What is to be done about what was signed for a slot before.
#[derive(Debug)]
enum Before {
    /// Nothing: nothing was.
    Nothing,
    /// It is gone on with.
    Signed(Pinned),
    /// The chain is not where it was built yet: the checkpoint before it may land, or be heard. The next tick looks again.
    NotYet,
    /// The slot is lost.
    Lost(NotResumed),
}

impl SlotTick {
    /// The slot, where it is ours and was not worked on yet. One that has an obstacle is left out.
    ///
    /// # Errors
    /// L1, the signing store or execution failed; the next tick looks again.
    pub(super) async fn due(&self, slot: Slot, context: &TickContext) -> Result<Option<Due>> {
        let workshop = &self.workshop;
        let is_sequencer = workshop.roles.has(Role::Sequencer);
        if !is_sequencer || self.is_attempted(slot) || context.interrupt.is_cancelled() {
            return Ok(None);
        }
        let committee = unless_interrupted(&context.interrupt, workshop.committees.of_slot(slot)).await?;
        let Some(proposer) = our_proposer(&committee, slot, &workshop.signer.addresses()) else {
            self.mark_attempted(slot);
            self.send_as_bystander(slot, context);
            return Ok(None);
        };
        let signed_before = unless_interrupted(&context.interrupt, self.signed_before(slot, proposer)).await?;
        let (pinned, lost) = match signed_before {
            Before::Nothing => (None, None),
            Before::Signed(pinned) => (Some(pinned), None),
            Before::NotYet => return Ok(None),
            Before::Lost(reason) => (None, Some(Obstacle::NotResumed(reason))),
        };
        let due = Due { slot, proposer, committee, pinned };
        if let Some(obstacle) = lost.or_else(|| obstacle_here(workshop, &due)) {
            self.leave_out(slot, proposer, obstacle, context);
            return Ok(None);
        }
        Ok(Some(due))
    }

    /// Looks at what was signed for a slot of ours before this run. A slot that begins while it runs has nothing: it signs
    /// for each once.
    async fn signed_before(&self, slot: Slot, proposer: Address) -> Result<Before> {
        if self.saw_begin(slot) {
            return Ok(Before::Nothing);
        }
        let workshop = &self.workshop;
        let pinned = match Pinned::of_slot(&workshop.signer, proposer, slot).await {
            Ok(None) => return Ok(Before::Nothing),
            Ok(Some(pinned)) => pinned,
            Err(SequencerError::NotResumed(reason)) => return Ok(Before::Lost(reason)),
            Err(error) => return Err(error),
        };
        let (signed, head) = (pinned.parent(), workshop.chain.heads().await?.unsafe_head.hash);
        if signed == head {
            return Ok(Before::Signed(pinned));
        }
        if workshop.clock.now() <= workshop.timetable.resume_deadline(slot) {
            return Ok(Before::NotYet);
        }
        Ok(Before::Lost(NotResumed::OtherParent { signed, head }))
    }
}

/// The slot's proposer, if it is one of ours. Without a committee anyone may propose, and our first key does.
fn our_proposer(committee: &Committee, slot: Slot, ours: &[Address]) -> Option<Address> {
    match committee.proposer(slot) {
        Some(proposer) => ours.contains(&proposer).then_some(proposer),
        None => ours.first().copied(),
    }
}
