//! What the rollup was deployed with, and what follows from it.

use fermata_primitives::{Epoch, L1Timestamp, SlotTimes};
use serde::{Deserialize, Serialize};

/// The rollup's constants, as its contract reports them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RollupConstants {
    /// Genesis, slots, epochs.
    pub times: SlotTimes,
    /// The rollup's version number, which tells rollups of one registry apart.
    pub version: u64,
    /// Seats of a committee; zero where the rollup runs without one.
    pub committee_size: u64,
    /// How many epochs before its epoch a committee's validators are looked up.
    pub validator_set_lag_epochs: u64,
    /// How many epochs before its epoch a committee's randomness is looked up.
    pub randao_lag_epochs: u64,
    /// Mana a checkpoint may use.
    pub mana_limit: u64,
    /// Mana a checkpoint should use; zero while the rollup runs without transactions.
    pub mana_target: u64,
    /// Full epochs after an epoch within which its proof may land.
    pub proof_submission_epochs: u64,
}

impl RollupConstants {
    /// The L1 time at which the epoch's validators are looked up.
    #[must_use]
    pub const fn validator_set_time(&self, epoch: Epoch) -> L1Timestamp {
        self.before_epoch(epoch, self.validator_set_lag_epochs)
    }

    /// The L1 time at which the epoch's randomness is looked up.
    #[must_use]
    pub const fn randao_time(&self, epoch: Epoch) -> L1Timestamp {
        self.before_epoch(epoch, self.randao_lag_epochs)
    }

    /// Whether the epoch's committee is settled at this L1 time. The contract tells it earlier; but until the epoch whose
    /// randomness it takes is over, the first checkpoint that lands there still changes the draw.
    #[must_use]
    pub const fn is_settled(&self, epoch: Epoch, now: L1Timestamp) -> bool {
        let settled = self.randao_time(Epoch(epoch.0.saturating_add(1)));
        self.validator_set_time(epoch).0 <= now.0 && settled.0 <= now.0
    }

    /// The epoch from which on the checkpoints of `epoch` are pruned where they are not proven.
    #[must_use]
    pub const fn prune_epoch(&self, epoch: Epoch) -> Epoch {
        Epoch(epoch.0.saturating_add(self.proof_submission_epochs).saturating_add(1))
    }

    /// Whether the rollup takes transactions: then fees are charged and messages from L1 consumed.
    #[must_use]
    pub const fn takes_transactions(&self) -> bool {
        self.mana_target > 0
    }

    const fn before_epoch(&self, epoch: Epoch, epochs: u64) -> L1Timestamp {
        self.times.epoch_start(epoch).minus_secs(self.times.epoch_secs().saturating_mul(epochs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constants() -> RollupConstants {
        RollupConstants {
            times: SlotTimes::new(L1Timestamp(10_000), 12, 4, 4).expect("a valid model"),
            version: 1,
            committee_size: 4,
            validator_set_lag_epochs: 2,
            randao_lag_epochs: 1,
            mana_limit: 200,
            mana_target: 100,
            proof_submission_epochs: 1,
        }
    }

    #[test]
    fn a_committee_is_settled_once_the_epoch_of_its_randomness_is_over() {
        let constants = constants();
        assert_eq!(constants.validator_set_time(Epoch(5)), L1Timestamp(10_000 + 3 * 48));
        assert_eq!(constants.randao_time(Epoch(5)), L1Timestamp(10_000 + 4 * 48));
        assert!(!constants.is_settled(Epoch(5), L1Timestamp(10_000 + 5 * 48 - 1)));
        assert!(constants.is_settled(Epoch(5), L1Timestamp(10_000 + 5 * 48)));
    }

    #[test]
    fn an_epoch_is_pruned_after_the_window_of_its_proof() {
        assert_eq!(constants().prune_epoch(Epoch(7)), Epoch(9));
    }

    #[test]
    fn without_a_mana_target_no_transactions_are_taken() {
        assert!(constants().takes_transactions());
        assert!(!RollupConstants { mana_target: 0, ..constants() }.takes_transactions());
    }
}
