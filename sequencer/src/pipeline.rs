//! What is built on what, between L1's tip and our own head; a pure value.
//!
//! Above the checkpoint that L1 has lie at most two: one that is proposed and on its way to L1, and one that is being built
//! on it; each is ours or another proposer's. When L1 moves, a checkpoint is given up, or another proposer is heard, this
//! decides which of them are orphans and where the L2 head belongs. Nothing else moves the head.

use std::collections::VecDeque;

use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, Slot};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// What the rollup contract says at an L1 block.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L1Tip {
    /// The newest checkpoint.
    pub number: CheckpointNumber,
    /// The hash of its last L2 block.
    pub archive: B256,
    /// The newest proven checkpoint.
    pub proven: CheckpointNumber,
    /// The hash of its last L2 block.
    pub proven_archive: B256,
}

/// How far a checkpoint is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// More blocks may come.
    Building,
    /// It is complete, and on its way to L1.
    Proposed,
    /// It is complete, ours, and stays here.
    Withheld,
}

/// Whose checkpoint it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Builder {
    Ourselves,
    Another,
}

/// What another proposer has told of its checkpoint so far; its blocks are stored and valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Its slot.
    pub slot: Slot,
    /// The last block of the checkpoint before it.
    pub base: B256,
    /// Its newest block.
    pub head: B256,
    /// Blocks from the base to the head.
    pub blocks: usize,
    /// How far it is.
    pub stage: Stage,
}

#[derive(Debug)]
struct Pending {
    number: CheckpointNumber,
    slot: Slot,
    base: B256,
    head: B256,
    blocks: usize,
    stage: Stage,
    builder: Builder,
    orphaned: CancellationToken,
}

impl Pending {
    const fn is_anothers(&self) -> bool {
        matches!(self.builder, Builder::Another)
    }

    /// Whether no work of ours holds it: L1 alone decides on it, and time.
    fn is_unheld(&self) -> bool {
        self.is_anothers() || self.stage == Stage::Withheld
    }

    /// Whether it can land no more, and no work of ours is to say so, where the next L1 block belongs to slot `next`.
    fn is_past(&self, next: Slot) -> bool {
        if self.is_unheld() { self.slot < next } else { self.stage == Stage::Proposed && self.slot.next() < next }
    }
}

/// Leave to build a checkpoint.
#[derive(Clone, Debug)]
pub struct Place {
    /// The number it will have.
    pub number: CheckpointNumber,
    /// The last block of the checkpoint before it.
    pub base: B256,
    /// Whether the checkpoint before it is still on its way to L1.
    pub parent_in_flight: bool,
    /// Cancelled when it has lost its place.
    pub orphaned: CancellationToken,
}

/// Why a checkpoint has no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoPlace {
    /// Two are under way already.
    #[error("the checkpoint before the last is still on its way to L1")]
    TooDeep,
    /// This slot, or a later one, has a checkpoint.
    #[error("slot {0} has a checkpoint already")]
    SlotTaken(Slot),
    /// It was orphaned meanwhile.
    #[error("the checkpoint it is built on did not land")]
    Orphaned,
    /// It is built on a block that is the end of no checkpoint here.
    #[error("it is built on {0}, which is neither L1's tip nor the end of a checkpoint on its way there")]
    OtherBase(B256),
}

/// What a move has changed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Moved {
    /// Slots whose checkpoints are now L1's.
    pub landed: Vec<Slot>,
    /// Slots of ours whose checkpoints have lost their place.
    pub orphaned: Vec<Slot>,
    /// Slots of other proposers, and of ours that were withheld, whose checkpoints have lost their place.
    pub dropped: Vec<Slot>,
}

impl Moved {
    fn and(mut self, later: Self) -> Self {
        self.landed.extend(later.landed);
        self.orphaned.extend(later.orphaned);
        self.dropped.extend(later.dropped);
        self
    }
}

/// L1's tip and what is under way above it.
#[derive(Debug)]
pub struct Pipeline {
    tip: L1Tip,
    pending: VecDeque<Pending>,
}

const DEPTH: usize = 2;

impl Pipeline {
    /// A pipeline with nothing under way.
    #[must_use]
    pub const fn new(tip: L1Tip) -> Self {
        Self { tip, pending: VecDeque::new() }
    }

    /// What L1 said last.
    #[must_use]
    pub const fn tip(&self) -> &L1Tip {
        &self.tip
    }

    /// Where the L2 head belongs.
    #[must_use]
    pub fn head(&self) -> B256 {
        let standing = self.pending.iter().take_while(|p| !p.orphaned.is_cancelled());
        standing.last().map_or(self.tip.archive, |last| last.head)
    }

    /// Lets go of places whose work ended without a word, as by a panic, and of all that is built on them.
    pub fn let_go(&mut self) -> Moved {
        self.drop_from_first(|p| p.orphaned.is_cancelled())
    }

    /// Lets go of what other proposers have not finished, and of all that is built on it: nobody hears its end.
    pub fn let_go_of_unfinished(&mut self) -> Moved {
        self.drop_from_first(|p| p.is_anothers() && p.stage == Stage::Building)
    }

    /// Whether the newest under way is ours and complete, and not withheld: it may be yet.
    #[must_use]
    pub fn ends_in_ours(&self) -> bool {
        self.pending.back().is_some_and(|last| !last.is_anothers() && last.stage == Stage::Proposed)
    }

    /// Lets go of what was withheld for a slot before `slot`, and of all that is built on it: it never lands.
    pub fn let_go_of_withheld(&mut self, slot: Slot) -> Moved {
        self.drop_from_first(|p| p.stage == Stage::Withheld && p.slot < slot)
    }

    /// Takes the place above everything under way. What ended without a word, and what was withheld, is let go of first: see
    /// [`Pipeline::let_go`] and [`Pipeline::let_go_of_withheld`].
    ///
    /// # Errors
    /// [`NoPlace`] where the pipeline is full or the slot is taken.
    pub fn open(&mut self, slot: Slot) -> Result<Place, NoPlace> {
        if self.pending.back().is_some_and(|last| last.slot >= slot) {
            return Err(NoPlace::SlotTaken(slot));
        }
        // What has ended without a word since: it is let go of before the next try.
        let is_lost = self.pending.iter().any(|p| p.orphaned.is_cancelled());
        let is_growing = self.pending.back().is_some_and(|last| last.stage == Stage::Building);
        if is_lost || is_growing || self.pending.len() >= DEPTH {
            return Err(NoPlace::TooDeep);
        }
        let base = self.pending.back().map_or(self.tip.archive, |last| last.head);
        let parent_in_flight = !self.pending.is_empty();
        let opened = Heard { slot, base, head: base, blocks: 0, stage: Stage::Building };
        let (number, orphaned) = self.push(opened, Builder::Ourselves);
        Ok(Place { number, base, parent_in_flight, orphaned })
    }

    /// Another proposer has told of its checkpoint: it takes its place, or goes on in it. What it leaves no room for of
    /// other proposers is dropped; ours stays, and L1 decides.
    ///
    /// # Errors
    /// [`NoPlace`]: nothing has changed.
    pub fn hear(&mut self, heard: Heard) -> Result<Moved, NoPlace> {
        if let Some(known) = self.pending.iter_mut().find(|p| p.slot == heard.slot && p.base == heard.base) {
            if !known.is_anothers() {
                return Err(NoPlace::SlotTaken(heard.slot));
            }
            if known.stage == Stage::Building && heard.blocks >= known.blocks {
                (known.head, known.blocks, known.stage) = (heard.head, heard.blocks, heard.stage);
            }
            return Ok(Moved::default());
        }
        let keep = self.room_above(&heard)?;
        let dropped = self.orphan_from(keep);
        self.push(heard, Builder::Another);
        Ok(dropped)
    }

    /// How many of what is under way stay below `heard`.
    fn room_above(&self, heard: &Heard) -> Result<usize, NoPlace> {
        let stands = |p: &Pending| p.stage != Stage::Building && !p.orphaned.is_cancelled();
        let ends_in_base = |p: &Pending| p.head == heard.base && stands(p);
        let keep = match self.pending.iter().position(ends_in_base) {
            Some(at) => at + 1,
            None if heard.base == self.tip.archive => 0,
            None => return Err(NoPlace::OtherBase(heard.base)),
        };
        if keep >= DEPTH {
            return Err(NoPlace::TooDeep);
        }
        let in_the_way = |p: &Pending| p.slot >= heard.slot || !p.is_unheld();
        match self.pending.iter().skip(keep).find(|p| in_the_way(p)) {
            Some(taken) => Err(NoPlace::SlotTaken(taken.slot)),
            None => Ok(keep),
        }
    }

    fn push(&mut self, heard: Heard, builder: Builder) -> (CheckpointNumber, CancellationToken) {
        let Heard { slot, base, head, blocks, stage } = heard;
        let number = self.pending.back().map_or(self.tip.number, |last| last.number).next();
        let orphaned = CancellationToken::new();
        let orphan = orphaned.clone();
        self.pending.push_back(Pending { number, slot, base, head, blocks, stage, builder, orphaned });
        (number, orphan)
    }

    /// Puts a block on top of the checkpoint that we are building for `slot`.
    ///
    /// # Errors
    /// [`NoPlace::Orphaned`] when it has lost its place.
    pub fn extend(&mut self, slot: Slot, block: B256) -> Result<(), NoPlace> {
        let pending = self.building(slot)?;
        pending.head = block;
        pending.blocks += 1;
        Ok(())
    }

    /// Our checkpoint of `slot` is complete and on its way to L1.
    ///
    /// # Errors
    /// [`NoPlace::Orphaned`] when it has lost its place.
    pub fn proposed(&mut self, slot: Slot) -> Result<(), NoPlace> {
        self.building(slot)?.stage = Stage::Proposed;
        Ok(())
    }

    /// Our checkpoint of `slot` is not sent: it stays until its slot has passed.
    ///
    /// # Errors
    /// [`NoPlace::Orphaned`] when it has lost its place.
    pub fn withhold(&mut self, slot: Slot) -> Result<(), NoPlace> {
        let is_it = |p: &&mut Pending| p.slot == slot && p.stage == Stage::Proposed && !p.is_anothers();
        self.pending.iter_mut().find(is_it).ok_or(NoPlace::Orphaned)?.stage = Stage::Withheld;
        Ok(())
    }

    fn building(&mut self, slot: Slot) -> Result<&mut Pending, NoPlace> {
        let is_it = |p: &&mut Pending| p.slot == slot && p.stage == Stage::Building && !p.is_anothers();
        self.pending.iter_mut().find(is_it).ok_or(NoPlace::Orphaned)
    }

    /// Gives up our checkpoint of `slot`, and all that is built on it.
    pub fn abandon(&mut self, slot: Slot) -> Moved {
        self.drop_from_first(|p| p.slot == slot && !p.is_anothers())
    }

    /// Another proposer's checkpoint of `slot` was to be complete by now: gives it up, where it is not.
    pub fn give_up_unfinished(&mut self, slot: Slot) -> Moved {
        self.drop_from_first(|p| p.slot == slot && p.is_anothers() && p.stage == Stage::Building)
    }

    /// The next L1 block belongs to slot `next`: what another proposer has under way for a slot before, or what was withheld
    /// for it, can land no more. What ended without a word goes as well. Ours is its request's to judge, which takes until the
    /// end of the slot after it at the longest; what is still there then was seen to land, and taken back by L1.
    pub fn expire(&mut self, next: Slot) -> Moved {
        self.drop_from_first(|p| p.orphaned.is_cancelled() || p.is_past(next))
    }

    /// L1 says something new.
    pub fn l1_moved(&mut self, tip: L1Tip) -> Moved {
        let mut moved = self.let_go();
        self.tip = tip;
        let is_tip = |p: &Pending| p.number == tip.number && p.head == tip.archive;
        if let Some(at) = self.pending.iter().position(is_tip) {
            moved.landed = self.pending.drain(..=at).map(|p| p.slot).collect();
            return moved;
        }
        let stands = self.pending.front().is_none_or(|p| p.base == tip.archive && p.number == tip.number.next());
        if stands { moved } else { self.orphan_from(0).and(moved) }
    }

    fn drop_from_first(&mut self, which: impl Fn(&Pending) -> bool) -> Moved {
        let first = self.pending.iter().position(which).unwrap_or(self.pending.len());
        self.orphan_from(first)
    }

    fn orphan_from(&mut self, first: usize) -> Moved {
        let orphans = self.pending.split_off(first.min(self.pending.len()));
        orphans.iter().for_each(|p| p.orphaned.cancel());
        let (dropped, orphaned): (Vec<_>, Vec<_>) = orphans.iter().partition(|p| p.is_unheld());
        let slots = |pending: Vec<&Pending>| pending.iter().map(|p| p.slot).collect();
        Moved { landed: Vec::new(), orphaned: slots(orphaned), dropped: slots(dropped) }
    }
}

#[cfg(test)]
mod tests;
