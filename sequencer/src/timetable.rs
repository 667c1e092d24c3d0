//! When what must be done for a slot; pure arithmetic.
//!
//! Building is pipelined: the proposer of slot `n` builds during slot `n-1`, beginning one Ethereum slot early, and its
//! L1 transaction aims at the first L1 block of slot `n`. With `S` slot, `E` Ethereum slot, `D` block duration, `m` least
//! time to build a block, `P` one way to a peer, `A` assembly, `I` preparation, all deadlines of slot `n` count from its start:
//!
//! | moment | formula |
//! |---|---|
//! | build frame opens | start − S − E |
//! | sub-slot `k` must be built | frame + I + (k+1)·D |
//! | last block built | start − E − D − 2P − A |
//! | too late to begin | last block built − m |
//! | what was signed before the node came back waits for its parent until | start − E − 2P − A |
//! | ideal time to publish | start − E |
//! | another's proposal is given up | start + E/2 |
//! | attestation deadline | start + S − 2E |

use std::time::Duration;

use fermata_primitives::{Slot, SlotTimes, UnixTime};
use serde::{Deserialize, Serialize};

/// What the operator allows each step; all of it local policy, none of it consensus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Budgets {
    /// `D`: one block's window.
    pub block: Duration,
    /// `m`: the least time in which building a block is worth beginning.
    pub min_block: Duration,
    /// `P`: one way to a peer.
    pub peer: Duration,
    /// `A`: from the last block to the signed proposal.
    pub assemble: Duration,
    /// `I`: from the opening of the build frame to the first sub-slot.
    pub prepare: Duration,
    /// Most blocks in a checkpoint, whatever the slot has room for.
    pub max_blocks: u32,
}

/// Budgets that do not fit the slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimetableError {
    /// A block's window or its least time is zero.
    #[error("block and min_block must be longer than zero")]
    Zero,
    /// `m > D`.
    #[error("min_block ({min_block:?}) must not be longer than block ({block:?})")]
    MinBlock {
        /// `m`.
        min_block: Duration,
        /// `D`.
        block: Duration,
    },
    /// Not one block fits.
    #[error(
        "no block fits into a slot of {slot:?}: prepare + 2 block + 2 peer + assemble take {needed:?}; shorten them or deploy longer slots"
    )]
    NoBlockFits {
        /// `S`.
        slot: Duration,
        /// What one block needs.
        needed: Duration,
    },
}

/// One block's window inside a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubSlot {
    /// Counted from 0.
    pub index: u32,
    /// When its block must be built.
    pub deadline: UnixTime,
    /// Whether it is the slot's last.
    pub is_last: bool,
}

/// The deadlines of every slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timetable {
    times: SlotTimes,
    budgets: Budgets,
    blocks: u32,
}

impl Timetable {
    /// A timetable for these slots with these budgets.
    ///
    /// # Errors
    /// [`TimetableError`] where the budgets do not fit.
    pub fn new(times: SlotTimes, budgets: Budgets) -> Result<Self, TimetableError> {
        let Budgets { block, min_block, peer, assemble, prepare, max_blocks } = budgets;
        if block.is_zero() || min_block.is_zero() || max_blocks == 0 {
            return Err(TimetableError::Zero);
        }
        if min_block > block {
            return Err(TimetableError::MinBlock { min_block, block });
        }
        let overhead = prepare + block + 2 * peer + assemble;
        let room = times.slot().saturating_sub(overhead);
        let fitting = u32::try_from(room.as_millis() / block.as_millis().max(1)).unwrap_or(u32::MAX);
        if fitting == 0 {
            return Err(TimetableError::NoBlockFits { slot: times.slot(), needed: overhead + block });
        }
        Ok(Self { times, budgets, blocks: fitting.min(max_blocks) })
    }

    /// That of an ordinary chain: slots of 72 s, Ethereum slots of 12 s, ten blocks of 6 s.
    #[cfg(test)]
    pub(crate) fn ordinary() -> Self {
        let times = SlotTimes::new(fermata_primitives::L1Timestamp(1_000), 72, 32, 12).expect("valid times");
        let secs = Duration::from_secs;
        let (block, min_block) = (secs(6), secs(2));
        let budgets = Budgets { block, min_block, peer: secs(2), assemble: secs(1), prepare: secs(1), max_blocks: 24 };
        Self::new(times, budgets).expect("they fit")
    }

    /// The rollup's time model.
    #[must_use]
    pub const fn times(&self) -> &SlotTimes {
        &self.times
    }

    /// The budgets it was made with.
    #[must_use]
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Most blocks a checkpoint can have.
    #[must_use]
    pub const fn blocks_per_checkpoint(&self) -> u32 {
        self.blocks
    }

    /// The slot whose build frame is open.
    #[must_use]
    pub fn target_slot(&self, now: UnixTime) -> Slot {
        self.times.slot_at_time(now + self.times.ethereum_slot()).next()
    }

    /// When the slot begins.
    #[must_use]
    pub fn start(&self, slot: Slot) -> UnixTime {
        self.times.start_of(slot).into()
    }

    /// When the proposer of `slot` may begin to build.
    #[must_use]
    pub fn build_frame_start(&self, slot: Slot) -> UnixTime {
        self.start(slot) - self.times.slot() - self.times.ethereum_slot()
    }

    /// When the first block of `slot` must have been begun, else the slot cannot build.
    #[must_use]
    pub fn start_deadline(&self, slot: Slot) -> UnixTime {
        let Budgets { block, min_block, .. } = self.budgets;
        self.resume_deadline(slot) - block - min_block
    }

    /// Until when it is of use that what was signed for `slot` before finds its parent: the checkpoint is to be made and told.
    #[must_use]
    pub fn resume_deadline(&self, slot: Slot) -> UnixTime {
        let Budgets { peer, assemble, .. } = self.budgets;
        self.ideal_publish(slot) - 2 * peer - assemble
    }

    /// When the proposer of `slot`, having begun by `begun`, has built what it tells first: a block, or the checkpoint, which
    /// carries the last block and waits for the checkpoint before it until the ideal time to publish.
    #[must_use]
    pub fn first_built(&self, slot: Slot, begun: UnixTime) -> UnixTime {
        let first = self.next_sub_slot(slot, begun).filter(|sub_slot| !sub_slot.is_last);
        first.map_or_else(|| self.ideal_publish(slot), |sub_slot| sub_slot.deadline)
    }

    /// When the L1 transaction is best sent.
    #[must_use]
    pub fn ideal_publish(&self, slot: Slot) -> UnixTime {
        self.start(slot) - self.times.ethereum_slot()
    }

    /// After this, attestations are of no use.
    #[must_use]
    pub fn attestation_deadline(&self, slot: Slot) -> UnixTime {
        self.start(slot) + self.times.slot() - 2 * self.times.ethereum_slot()
    }

    /// When another proposer's checkpoint of `slot` must have been heard to its end; after this the next proposer builds
    /// without it. Half an Ethereum slot into the slot, so that one that was missed here may be seen to land.
    #[must_use]
    pub fn proposal_deadline(&self, slot: Slot) -> UnixTime {
        self.start(slot) + self.times.ethereum_slot() / 2
    }

    /// When block `index` of `slot` must be built.
    #[must_use]
    pub fn block_deadline(&self, slot: Slot, index: u32) -> UnixTime {
        self.build_frame_start(slot) + self.budgets.prepare + (index + 1) * self.budgets.block
    }

    /// When block `index` stops waiting for transactions and is built.
    #[must_use]
    pub fn seal_time(&self, slot: Slot, index: u32) -> UnixTime {
        self.block_deadline(slot, index) - self.budgets.min_block
    }

    /// The first sub-slot that still leaves time to build. Deadlines never shift: a sub-slot that is too short is skipped.
    #[must_use]
    pub fn next_sub_slot(&self, slot: Slot, now: UnixTime) -> Option<SubSlot> {
        let index = (0..self.blocks).find(|k| self.seal_time(slot, *k) >= now)?;
        Some(SubSlot { index, deadline: self.block_deadline(slot, index), is_last: index + 1 == self.blocks })
    }
}

#[cfg(test)]
mod tests {
    use fermata_primitives::L1Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    /// Peer, assembly and least block time of an ordinary chain, and of one with short Ethereum slots.
    const ORDINARY: (f64, f64, f64) = (2.0, 1.0, 2.0);
    const FAST: (f64, f64, f64) = (0.5, 0.5, 1.0);

    fn table(slot: u64, ethereum: u64, block: f64, (peer, assemble, min_block): (f64, f64, f64)) -> Timetable {
        let times = SlotTimes::new(L1Timestamp(1_000), slot, 32, ethereum).expect("valid times");
        let budgets = Budgets {
            block: secs(block),
            min_block: secs(min_block),
            peer: secs(peer),
            assemble: secs(assemble),
            prepare: secs(1.0),
            max_blocks: 24,
        };
        Timetable::new(times, budgets).expect("valid budgets")
    }

    #[test]
    fn the_worked_example_of_72_12_6_holds() {
        let table = table(72, 12, 6.0, ORDINARY);
        let slot = Slot(10);
        let start = table.start(slot);
        assert_eq!(table.build_frame_start(slot), start - secs(84.0));
        assert_eq!(table.block_deadline(slot, 0), start - secs(77.0));
        assert_eq!(table.start_deadline(slot), start - secs(25.0));
        assert_eq!(table.resume_deadline(slot), start - secs(17.0));
        assert_eq!(table.ideal_publish(slot), start - secs(12.0));
        assert_eq!(table.attestation_deadline(slot), start + secs(48.0));
        assert_eq!(table.blocks_per_checkpoint(), 10);
    }

    #[test]
    fn the_worked_example_of_36_4_6_holds() {
        assert_eq!(table(36, 4, 6.0, FAST).blocks_per_checkpoint(), 4);
    }

    #[test]
    fn a_sub_slot_without_time_left_is_skipped_and_deadlines_never_shift() {
        let table = table(72, 12, 6.0, ORDINARY);
        let slot = Slot(3);
        let frame = table.build_frame_start(slot);
        assert_eq!(table.next_sub_slot(slot, frame).map(|s| s.index), Some(0));
        let late = table.next_sub_slot(slot, frame + secs(5.5)).expect("there is time");
        assert_eq!((late.index, late.deadline), (1, table.block_deadline(slot, 1)));
        assert_eq!(table.next_sub_slot(slot, table.start(slot)), None);
    }

    #[test]
    fn budgets_that_leave_no_room_for_a_block_are_refused() {
        let times = SlotTimes::new(L1Timestamp(0), 4, 32, 1).expect("valid times");
        let budgets = Budgets {
            block: secs(3.0),
            min_block: secs(1.0),
            peer: secs(0.0),
            assemble: secs(0.5),
            prepare: secs(0.0),
            max_blocks: 4,
        };
        assert!(matches!(Timetable::new(times, budgets), Err(TimetableError::NoBlockFits { .. })));
        let budgets = Budgets { min_block: secs(4.0), ..budgets };
        assert!(matches!(Timetable::new(times, budgets), Err(TimetableError::MinBlock { .. })));
    }

    proptest! {
        #[test]
        fn the_target_slot_is_the_one_whose_build_frame_is_open(offset in 0u64..10_000_000, e in 1u64..13, per_slot in 4u64..9) {
            let table = table(e * per_slot * 6, e * 6, 1.0, FAST);
            let now = UnixTime::from_millis(1_000_000 + offset);
            let slot = table.target_slot(now);
            prop_assert!(table.build_frame_start(slot) <= now);
            prop_assert!(now < table.build_frame_start(slot.next()));
        }

        #[test]
        fn every_block_is_built_before_the_checkpoint_is_due(e in 1u64..13, per_slot in 2u64..9, block_ms in 200u64..6_000) {
            let times = SlotTimes::new(L1Timestamp(0), e * per_slot, 32, e).expect("valid times");
            let block = Duration::from_millis(block_ms);
            let budgets = Budgets {
                block, min_block: block / 4, peer: secs(0.1), assemble: secs(0.1), prepare: secs(0.1), max_blocks: 100,
            };
            if let Ok(table) = Timetable::new(times, budgets) {
                let last = table.block_deadline(Slot(9), table.blocks_per_checkpoint() - 1);
                prop_assert!(last + secs(0.1) <= table.ideal_publish(Slot(9)));
            }
        }
    }
}
