//! What is built on what, between L1's tip and our own head; a pure value.
//!
//! Above the checkpoint that L1 has lie at most two of ours: one that is proposed and on its way to L1, and one that is
//! being built on it. When L1 moves, or a checkpoint is given up, this decides which of them are orphans and where the
//! L2 head belongs. Nothing else moves the head.

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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Building,
    Proposed,
}

#[derive(Debug)]
struct Pending {
    number: CheckpointNumber,
    slot: Slot,
    base: B256,
    head: B256,
    stage: Stage,
    orphaned: CancellationToken,
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
}

/// What a move has changed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Moved {
    /// Slots whose checkpoints are now L1's.
    pub landed: Vec<Slot>,
    /// Slots whose checkpoints have lost their place.
    pub orphaned: Vec<Slot>,
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
        let first = self.pending.iter().position(|p| p.orphaned.is_cancelled()).unwrap_or(self.pending.len());
        Moved { landed: Vec::new(), orphaned: self.orphan_from(first) }
    }

    /// Takes the place above everything under way.
    ///
    /// # Errors
    /// [`NoPlace`] where the pipeline is full or the slot is taken.
    pub fn open(&mut self, slot: Slot) -> Result<Place, NoPlace> {
        self.let_go();
        if self.pending.back().is_some_and(|last| last.slot >= slot) {
            return Err(NoPlace::SlotTaken(slot));
        }
        if self.pending.len() >= DEPTH || self.pending.back().is_some_and(|last| last.stage == Stage::Building) {
            return Err(NoPlace::TooDeep);
        }
        let (number, base) = self.pending.back().map_or((self.tip.number, self.tip.archive), |p| (p.number, p.head));
        let orphaned = CancellationToken::new();
        let place = Place {
            number: number.next(),
            base,
            parent_in_flight: !self.pending.is_empty(),
            orphaned: orphaned.clone(),
        };
        self.pending.push_back(Pending {
            number: number.next(),
            slot,
            base,
            head: base,
            stage: Stage::Building,
            orphaned,
        });
        Ok(place)
    }

    /// Puts a block on top of the checkpoint being built for `slot`.
    ///
    /// # Errors
    /// [`NoPlace::Orphaned`] when it has lost its place.
    pub fn extend(&mut self, slot: Slot, block: B256) -> Result<(), NoPlace> {
        let pending = self.building(slot)?;
        pending.head = block;
        Ok(())
    }

    /// The checkpoint of `slot` is complete and on its way to L1.
    ///
    /// # Errors
    /// [`NoPlace::Orphaned`] when it has lost its place.
    pub fn proposed(&mut self, slot: Slot) -> Result<(), NoPlace> {
        self.building(slot)?.stage = Stage::Proposed;
        Ok(())
    }

    fn building(&mut self, slot: Slot) -> Result<&mut Pending, NoPlace> {
        let found = self.pending.iter_mut().find(|p| p.slot == slot && p.stage == Stage::Building);
        found.ok_or(NoPlace::Orphaned)
    }

    /// Gives up the checkpoint of `slot`, and all that is built on it.
    pub fn abandon(&mut self, slot: Slot) -> Moved {
        let keep = self.pending.iter().position(|p| p.slot == slot).unwrap_or(self.pending.len());
        Moved { landed: Vec::new(), orphaned: self.orphan_from(keep) }
    }

    /// L1 says something new.
    pub fn l1_moved(&mut self, tip: L1Tip) -> Moved {
        let mut lost = self.let_go();
        self.tip = tip;
        let is_tip = |p: &Pending| p.number == tip.number && p.head == tip.archive && p.stage == Stage::Proposed;
        if let Some(at) = self.pending.iter().position(is_tip) {
            let landed = self.pending.drain(..=at).map(|p| p.slot).collect();
            return Moved { landed, ..lost };
        }
        let stands = self.pending.front().is_none_or(|p| p.base == tip.archive && p.number == tip.number.next());
        if !stands {
            lost.orphaned.splice(0..0, self.orphan_from(0));
        }
        lost
    }

    fn orphan_from(&mut self, first: usize) -> Vec<Slot> {
        let orphans = self.pending.split_off(first.min(self.pending.len()));
        orphans.iter().for_each(|p| p.orphaned.cancel());
        orphans.iter().map(|p| p.slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(n: u8) -> B256 {
        B256::repeat_byte(n)
    }

    fn tip(number: u64, archive: u8) -> L1Tip {
        L1Tip { number: CheckpointNumber(number), archive: hash(archive), ..L1Tip::default() }
    }

    fn propose(pipeline: &mut Pipeline, slot: u64, head: u8) -> Place {
        let place = pipeline.open(Slot(slot)).expect("there is a place");
        pipeline.extend(Slot(slot), hash(head)).expect("it has its place");
        pipeline.proposed(Slot(slot)).expect("it has its place");
        place
    }

    #[test]
    fn a_checkpoint_is_built_on_the_one_that_is_on_its_way() {
        let mut pipeline = Pipeline::new(tip(4, 40));
        propose(&mut pipeline, 10, 50);
        let place = pipeline.open(Slot(11)).expect("there is a place");
        assert_eq!((place.number, place.base, place.parent_in_flight), (CheckpointNumber(6), hash(50), true));
        assert_eq!(pipeline.open(Slot(12)).map(|p| p.number), Err(NoPlace::TooDeep));
    }

    #[test]
    fn a_slot_has_one_checkpoint() {
        let mut pipeline = Pipeline::new(tip(4, 40));
        propose(&mut pipeline, 10, 50);
        assert_eq!(pipeline.open(Slot(10)).map(|p| p.number), Err(NoPlace::SlotTaken(Slot(10))));
    }

    #[test]
    fn what_landed_leaves_and_what_is_built_on_it_stays() {
        let mut pipeline = Pipeline::new(tip(4, 40));
        propose(&mut pipeline, 10, 50);
        let above = propose(&mut pipeline, 11, 60);
        assert_eq!(pipeline.l1_moved(tip(5, 50)), Moved { landed: vec![Slot(10)], orphaned: vec![] });
        assert!(!above.orphaned.is_cancelled());
        assert_eq!(pipeline.head(), hash(60));
    }

    #[test]
    fn an_abandoned_checkpoint_takes_what_is_built_on_it_along() {
        let mut pipeline = Pipeline::new(tip(4, 40));
        propose(&mut pipeline, 10, 50);
        let above = pipeline.open(Slot(11)).expect("there is a place");
        assert_eq!(pipeline.abandon(Slot(10)).orphaned, [Slot(10), Slot(11)]);
        assert!(above.orphaned.is_cancelled());
        assert_eq!(pipeline.head(), hash(40));
        assert_eq!(pipeline.extend(Slot(11), hash(61)), Err(NoPlace::Orphaned));
    }

    #[test]
    fn a_place_whose_work_ended_without_a_word_holds_up_neither_the_head_nor_the_next() {
        let mut pipeline = Pipeline::new(tip(4, 40));
        let lost = propose(&mut pipeline, 10, 50);
        let above = pipeline.open(Slot(11)).expect("there is a place");
        lost.orphaned.cancel();
        assert_eq!(pipeline.head(), hash(40));
        let place = pipeline.open(Slot(12)).expect("there is a place");
        assert_eq!((place.number, place.base), (CheckpointNumber(5), hash(40)));
        assert!(above.orphaned.is_cancelled());
    }

    #[test]
    fn somebody_elses_checkpoint_orphans_ours() {
        let mut pipeline = Pipeline::new(tip(4, 40));
        propose(&mut pipeline, 10, 50);
        assert_eq!(pipeline.l1_moved(tip(5, 99)).orphaned, [Slot(10)]);
        assert_eq!(pipeline.head(), hash(99));
    }

    #[test]
    fn a_prune_takes_the_head_back_to_what_l1_says() {
        let mut pipeline = Pipeline::new(tip(4, 40));
        propose(&mut pipeline, 10, 50);
        pipeline.l1_moved(tip(2, 20));
        assert_eq!(pipeline.head(), hash(20));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open,
        Extend(u8),
        Proposed,
        Abandon(u8),
        Landed,
        Elsewhere(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Open),
            any::<u8>().prop_map(Step::Extend),
            Just(Step::Proposed),
            (0u8..3).prop_map(Step::Abandon),
            Just(Step::Landed),
            any::<u8>().prop_map(Step::Elsewhere),
        ]
    }

    proptest! {
        #[test]
        fn the_pending_checkpoints_are_always_one_chain_above_the_tip(steps in prop::collection::vec(step(), 0..60)) {
            let mut pipeline = Pipeline::new(tip(0, 0));
            let mut slot = 0;
            for step in steps {
                match step {
                    Step::Open => { slot += 1; let _ = pipeline.open(Slot(slot)); }
                    Step::Extend(block) => { let _ = pipeline.extend(Slot(slot), hash(block)); }
                    Step::Proposed => { let _ = pipeline.proposed(Slot(slot)); }
                    Step::Abandon(back) => { pipeline.abandon(Slot(slot.saturating_sub(u64::from(back)))); }
                    Step::Landed => {
                        if let Some(first) = pipeline.pending.front() {
                            let next = L1Tip { number: first.number, archive: first.head, ..L1Tip::default() };
                            pipeline.l1_moved(next);
                        }
                    }
                    Step::Elsewhere(archive) => { pipeline.l1_moved(tip(pipeline.tip.number.0 + 1, archive)); }
                }
                let (mut number, mut base) = (pipeline.tip.number, pipeline.tip.archive);
                prop_assert!(pipeline.pending.len() <= DEPTH);
                for pending in &pipeline.pending {
                    prop_assert_eq!((pending.number, pending.base), (number.next(), base));
                    prop_assert!(!pending.orphaned.is_cancelled());
                    (number, base) = (pending.number, pending.head);
                }
            }
        }
    }
}
