//! Slots, epochs and the L1 time they stand for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Epoch, L1Timestamp, Slot, UnixTime};

/// The rollup's time model, as the L1 contract was deployed with it.
/// Slot `n` is the half-open window `[genesis + n·slot, genesis + (n+1)·slot)` of L1 time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotTimes {
    genesis: L1Timestamp,
    slot_secs: u64,
    epoch_slots: u64,
    ethereum_slot_secs: u64,
}

/// Why a time model is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotTimesError {
    /// A slot, an epoch or an Ethereum slot of length zero.
    Zero,
    /// A slot must be a whole number of Ethereum slots.
    NotAMultiple {
        /// Seconds of a slot.
        slot_secs: u64,
        /// Seconds of an Ethereum slot.
        ethereum_slot_secs: u64,
    },
}

impl std::fmt::Display for SlotTimesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Zero => f.write_str("slot, epoch and Ethereum slot must be longer than zero"),
            Self::NotAMultiple { slot_secs, ethereum_slot_secs } => {
                write!(f, "a slot of {slot_secs} s is not a whole number of Ethereum slots of {ethereum_slot_secs} s")
            }
        }
    }
}

impl std::error::Error for SlotTimesError {}

impl SlotTimes {
    /// A time model with slots of `slot_secs`, epochs of `epoch_slots` slots and L1 blocks every `ethereum_slot_secs`.
    ///
    /// # Errors
    /// [`SlotTimesError`] where a length is zero or a slot is not a whole number of Ethereum slots.
    pub const fn new(
        genesis: L1Timestamp,
        slot_secs: u64,
        epoch_slots: u64,
        ethereum_slot_secs: u64,
    ) -> Result<Self, SlotTimesError> {
        if slot_secs == 0 || epoch_slots == 0 || ethereum_slot_secs == 0 {
            return Err(SlotTimesError::Zero);
        }
        if !slot_secs.is_multiple_of(ethereum_slot_secs) {
            return Err(SlotTimesError::NotAMultiple { slot_secs, ethereum_slot_secs });
        }
        Ok(Self { genesis, slot_secs, epoch_slots, ethereum_slot_secs })
    }

    /// L1 time of the start of slot 0.
    #[must_use]
    pub const fn genesis(&self) -> L1Timestamp {
        self.genesis
    }

    /// Length of a slot.
    #[must_use]
    pub const fn slot(&self) -> Duration {
        Duration::from_secs(self.slot_secs)
    }

    /// Length of an Ethereum slot: the time between two L1 blocks.
    #[must_use]
    pub const fn ethereum_slot(&self) -> Duration {
        Duration::from_secs(self.ethereum_slot_secs)
    }

    /// Slots in an epoch.
    #[must_use]
    pub const fn epoch_slots(&self) -> u64 {
        self.epoch_slots
    }

    /// Length of an epoch in seconds.
    #[must_use]
    pub const fn epoch_secs(&self) -> u64 {
        self.slot_secs * self.epoch_slots
    }

    /// The slot an L1 block of this timestamp lies in; slot 0 before genesis, as the contract computes it.
    #[must_use]
    pub const fn slot_at(&self, at: L1Timestamp) -> Slot {
        Slot(at.0.saturating_sub(self.genesis.0) / self.slot_secs)
    }

    /// The slot at this moment of a clock.
    #[must_use]
    pub const fn slot_at_time(&self, at: UnixTime) -> Slot {
        self.slot_at(at.floor_secs())
    }

    /// First second of the slot.
    #[must_use]
    pub const fn start_of(&self, slot: Slot) -> L1Timestamp {
        self.genesis.plus_secs(slot.0.saturating_mul(self.slot_secs))
    }

    /// First second after the slot.
    #[must_use]
    pub const fn end_of(&self, slot: Slot) -> L1Timestamp {
        self.start_of(slot.next())
    }

    /// The epoch the slot belongs to.
    #[must_use]
    pub const fn epoch_of(&self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.epoch_slots)
    }

    /// The epoch's first slot.
    #[must_use]
    pub const fn first_slot(&self, epoch: Epoch) -> Slot {
        Slot(epoch.0.saturating_mul(self.epoch_slots))
    }

    /// First second of the epoch.
    #[must_use]
    pub const fn epoch_start(&self, epoch: Epoch) -> L1Timestamp {
        self.start_of(self.first_slot(epoch))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slot_that_is_no_whole_number_of_ethereum_slots_is_refused() {
        let refused = SlotTimes::new(L1Timestamp(0), 10, 4, 4);
        assert_eq!(refused, Err(SlotTimesError::NotAMultiple { slot_secs: 10, ethereum_slot_secs: 4 }));
        assert_eq!(SlotTimes::new(L1Timestamp(0), 0, 4, 4), Err(SlotTimesError::Zero));
    }

    #[test]
    fn before_genesis_it_is_slot_zero() {
        let times = SlotTimes::new(L1Timestamp(1_000), 12, 4, 4).expect("a valid model");
        assert_eq!(times.slot_at(L1Timestamp(3)), Slot(0));
    }

    proptest! {
        #[test]
        fn every_second_lies_in_the_slot_whose_window_holds_it(
            genesis in 0u64..4_000_000_000, e in 1u64..24, per_slot in 1u64..32, epoch in 1u64..64, offset in 0u64..10_000_000,
        ) {
            let times = SlotTimes::new(L1Timestamp(genesis), e * per_slot, epoch, e).expect("a valid model");
            let at = L1Timestamp(genesis + offset);
            let slot = times.slot_at(at);
            prop_assert!(times.start_of(slot) <= at && at < times.end_of(slot));
            prop_assert!(times.epoch_start(times.epoch_of(slot)) <= at);
        }
    }
}
