//! What a rollup is deployed with.

use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

/// One whole token: the assets have 18 decimals.
const TOKEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// What a rollup is deployed with. The defaults are a development chain's: short slots, a committee of four, and a window
/// for proofs of a week, so that nothing is pruned while one looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeployConfig {
    /// The L1 it must be.
    pub l1_chain_id: u64,
    /// Seconds of a slot; a whole number of Ethereum slots.
    pub slot_secs: u64,
    /// Seconds between two L1 blocks. The contracts do not know it; the node does.
    pub ethereum_slot_secs: u64,
    /// Slots of an epoch.
    pub epoch_slots: u64,
    /// Validators in a committee; 0 deploys without committees and slasher.
    pub committee_size: u64,
    /// Epochs by which the validator set that a committee is drawn from is older than the epoch.
    pub validator_set_lag_epochs: u64,
    /// Epochs by which the randomness of the draw is older than the epoch.
    pub randao_lag_epochs: u64,
    /// Full epochs after an epoch in which its proof may come, before its checkpoints are pruned.
    pub proof_submission_epochs: u64,
    /// Mana a checkpoint aims at; it may use twice as much. 0 deploys a rollup that takes no transactions.
    pub mana_target: u64,
    /// Wei a unit of mana costs to prove.
    pub proving_cost_per_mana: u64,
    /// Ether a unit of the fee asset costs, in 1e-12.
    pub initial_eth_per_fee_asset: u64,
    /// What a validator stakes.
    pub activation_threshold: U256,
    /// Below this the stake registry lets a validator go.
    pub ejection_threshold: U256,
    /// Below this the rollup lets a validator go after a slash.
    pub local_ejection_threshold: U256,
    /// How many validators may enter at a time.
    pub staking_queue: StakingQueue,
    /// Seconds until stake that left can be taken.
    pub exit_delay_secs: u64,
    /// Epochs by which messages from L1 lag.
    pub inbox_lag: u64,
    /// How validators are punished.
    pub slashing: SlashingConfig,
    /// How proposers signal for governance.
    pub governance_proposer: GovernanceProposerConfig,
    /// Epochs in which a bonded candidate proposes alone; `None` deploys without an escape hatch.
    pub escape_hatch: Option<EscapeHatchConfig>,
    /// The rollup's version; `None` is the first four bytes of the hash of all this, as upstream has it.
    pub version: Option<u32>,
    /// Archive of checkpoint 0: hash of the L2 genesis block.
    pub genesis_archive: B256,
}

/// How many validators may enter in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StakingQueue {
    /// Nobody enters until so many wait; 0 is no such phase.
    pub bootstrap_validator_set_size: u32,
    /// How many enter at once in that phase.
    pub bootstrap_flush_size: u32,
    /// At least so many enter in an epoch afterwards.
    pub normal_flush_size_min: u32,
    /// The active set divided by this enters in an epoch.
    pub normal_flush_size_quotient: u32,
    /// At most so many enter in an epoch.
    pub max_queue_flush_size: u32,
}

/// How validators are punished, by tally of the proposers' votes. Rounds are counted in epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlashingConfig {
    /// Epochs of a voting round.
    pub round_epochs: u64,
    /// Votes needed in a round; `None` is more than half of its slots.
    pub quorum: Option<u64>,
    /// Rounds for which a result can be executed.
    pub lifetime_rounds: u64,
    /// Rounds that a result waits before it can be executed.
    pub execution_delay_rounds: u64,
    /// Rounds by which the offences voted on are older than the votes.
    pub offset_rounds: u64,
    /// What one, two and three units cost.
    pub amounts: [U256; 3],
    /// Who may veto; zero is nobody.
    pub vetoer: Address,
    /// Seconds for which the vetoer may switch slashing off.
    pub disable_secs: u64,
}

/// How proposers signal for governance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GovernanceProposerConfig {
    /// Slots of a round.
    pub round_slots: u64,
    /// Signals needed in a round; `None` is more than half.
    pub quorum: Option<u64>,
}

/// Epochs in which a bonded candidate proposes alone. Epochs are counted off in hatches of `frequency_epochs` each, of which
/// the first `active_epochs` are open where a candidate was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EscapeHatchConfig {
    /// What a candidate puts down, of the staking asset.
    pub bond: U256,
    /// What leaving costs it.
    pub withdrawal_tax: U256,
    /// What failing to propose or to prove costs it.
    pub failure_punishment: U256,
    /// Epochs from one hatch to the next.
    pub frequency_epochs: u64,
    /// Epochs for which a hatch is open: more than proofs may take.
    pub active_epochs: u64,
    /// Hatches by which the draw goes before its hatch.
    pub lag_hatches: u64,
    /// Seconds for which a candidate that proposed must stay beyond the time of its proofs.
    pub exit_delay_secs: u64,
}

impl Default for DeployConfig {
    fn default() -> Self {
        Self {
            l1_chain_id: 31_337,
            slot_secs: 4,
            ethereum_slot_secs: 1,
            epoch_slots: 32,
            committee_size: 4,
            validator_set_lag_epochs: 2,
            randao_lag_epochs: 1,
            proof_submission_epochs: 5_000,
            mana_target: 200_000_000,
            proving_cost_per_mana: 100,
            initial_eth_per_fee_asset: 10_000_000,
            activation_threshold: TOKEN * U256::from(100),
            ejection_threshold: TOKEN * U256::from(50),
            local_ejection_threshold: TOKEN * U256::from(98),
            staking_queue: StakingQueue::default(),
            exit_delay_secs: 2 * 24 * 3_600,
            inbox_lag: 1,
            slashing: SlashingConfig::default(),
            governance_proposer: GovernanceProposerConfig::default(),
            escape_hatch: None,
            version: None,
            genesis_archive: B256::ZERO,
        }
    }
}

impl Default for StakingQueue {
    fn default() -> Self {
        Self {
            bootstrap_validator_set_size: 0,
            bootstrap_flush_size: 0,
            normal_flush_size_min: 48,
            normal_flush_size_quotient: 2,
            max_queue_flush_size: 48,
        }
    }
}

impl Default for SlashingConfig {
    fn default() -> Self {
        Self {
            round_epochs: 4,
            quorum: None,
            lifetime_rounds: 5,
            execution_delay_rounds: 0,
            offset_rounds: 2,
            amounts: [TOKEN, TOKEN * U256::from(2), TOKEN * U256::from(5)],
            vetoer: Address::ZERO,
            disable_secs: 5 * 24 * 3_600,
        }
    }
}

/// Fits a window for proofs of one epoch; no larger one.
impl Default for EscapeHatchConfig {
    fn default() -> Self {
        Self {
            bond: TOKEN * U256::from(10),
            withdrawal_tax: TOKEN,
            failure_punishment: TOKEN * U256::from(5),
            frequency_epochs: 3,
            active_epochs: 2,
            lag_hatches: 1,
            exit_delay_secs: 0,
        }
    }
}

impl Default for GovernanceProposerConfig {
    fn default() -> Self {
        Self { round_slots: 300, quorum: None }
    }
}

impl SlashingConfig {
    /// Votes needed in a round of `round_slots` slots.
    pub(super) fn quorum_of(&self, round_slots: u64) -> u64 {
        self.quorum.unwrap_or(round_slots / 2 + 1)
    }
}

impl GovernanceProposerConfig {
    /// Signals needed in a round.
    pub(super) fn quorum(&self) -> u64 {
        self.quorum.unwrap_or(self.round_slots / 2 + 1)
    }
}
