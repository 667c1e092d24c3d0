//! Arguments of the larger constructors.

use alloy::primitives::{Address, B256, U256, aliases::U96, keccak256, uint};
use alloy::sol_types::SolValue;

use super::Foundations;
use super::bindings::{
    GenesisState, GovernanceConfiguration, ProposeWithLockConfiguration, RewardBoostConfig, RewardConfig,
    RollupConfigHead, RollupConfigTail, StakingQueueInput,
};
use super::config::{DeployConfig, EscapeHatchConfig};

/// What a checkpoint earns, in the fee asset's smallest unit: upstream's 500 tokens.
pub(super) const CHECKPOINT_REWARD: U256 = uint!(500_000_000_000_000_000_000_U256);
/// The flavour of slasher that counts votes validator by validator.
const TALLY: u8 = 1;
/// The flavour of a rollup without a committee.
const NO_SLASHER: u8 = 0;

/// Governance as upstream configures it for local networks.
pub(super) fn governance(staking_asset: Address, governance_proposer: Address) -> Vec<u8> {
    const MINUTE: U256 = uint!(60_U256);
    const HOUR: U256 = uint!(3_600_U256);
    const DAY: U256 = uint!(86_400_U256);
    let configuration = GovernanceConfiguration {
        proposeConfig: ProposeWithLockConfiguration {
            lockDelay: DAY * U256::from(30),
            lockAmount: uint!(1_000_000_000_000_000_000_000_000_U256),
        },
        votingDelay: MINUTE,
        votingDuration: HOUR,
        executionDelay: MINUTE,
        gracePeriod: DAY * U256::from(7),
        quorum: uint!(100_000_000_000_000_000_U256),
        requiredYeaMargin: uint!(40_000_000_000_000_000_U256),
        minimumVotes: uint!(400_000_000_000_000_000_000_U256),
    };
    // The beneficiary zero lets anybody deposit.
    (staking_asset, governance_proposer, Address::ZERO, configuration).abi_encode_params()
}

/// The rollup, owned by `owner` until it is handed over.
pub(super) fn rollup(config: &DeployConfig, on: &Foundations, owner: Address) -> Vec<u8> {
    // There is no circuit behind the mock verifier, so its keys and protocol contracts are none.
    let genesis = GenesisState {
        vkTreeRoot: B256::ZERO,
        protocolContractsHash: B256::ZERO,
        genesisArchiveRoot: config.genesis_archive,
    };
    let (head, mut tail) = (head(config), tail(config, on.reward_distributor()));
    tail.version = config.version.unwrap_or_else(|| version_of(&head, &tail, &genesis));
    (on.fee_asset, on.staking_asset, on.gse, on.verifier, owner, genesis, head, tail).abi_encode_params()
}

/// The escape hatch of `rollup`, bonded in `bond_token`.
pub(super) fn escape_hatch(config: &EscapeHatchConfig, rollup: Address, bond_token: Address) -> Vec<u8> {
    let number = |value: u64| U256::from(value);
    let bond = (rollup, bond_token, config.bond, config.withdrawal_tax, config.failure_punishment);
    let time = [config.frequency_epochs, config.active_epochs, config.lag_hatches, config.exit_delay_secs].map(number);
    // All are of fixed size, so that two halves in a row are encoded as the whole.
    [bond.abi_encode_params(), time.abi_encode_params()].concat()
}

/// The first four bytes of the hash of what is deployed.
fn version_of(head: &RollupConfigHead, tail: &RollupConfigTail, genesis: &GenesisState) -> u32 {
    let hash = keccak256((head.clone(), tail.clone(), genesis.clone()).abi_encode_params());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Time, committee and slashing.
fn head(config: &DeployConfig) -> RollupConfigHead {
    let number = |value: u64| U256::from(value);
    let slashing = &config.slashing;
    let round_slots = config.slashing_round_slots();
    RollupConfigHead {
        aztecSlotDuration: number(config.slot_secs),
        aztecEpochDuration: number(config.epoch_slots),
        targetCommitteeSize: number(config.committee_size),
        lagInEpochsForValidatorSet: number(config.validator_set_lag_epochs),
        lagInEpochsForRandao: number(config.randao_lag_epochs),
        aztecProofSubmissionEpochs: number(config.proof_submission_epochs),
        slashingQuorum: number(slashing.quorum_of(round_slots)),
        slashingRoundSize: number(round_slots),
        slashingLifetimeInRounds: number(slashing.lifetime_rounds),
        slashingExecutionDelayInRounds: number(slashing.execution_delay_rounds),
        slashAmounts: slashing.amounts,
        slashingOffsetInRounds: number(slashing.offset_rounds),
        slasherFlavor: if config.committee_size == 0 { NO_SLASHER } else { TALLY },
        slashingVetoer: slashing.vetoer,
        slashingDisableDuration: number(slashing.disable_secs),
    }
}

/// Fees, rewards and staking.
fn tail(config: &DeployConfig, reward_distributor: Address) -> RollupConfigTail {
    let number = |value: u64| U256::from(value);
    let queue = &config.staking_queue;
    RollupConfigTail {
        manaTarget: number(config.mana_target),
        exitDelaySeconds: number(config.exit_delay_secs),
        version: 0,
        provingCostPerMana: number(config.proving_cost_per_mana),
        initialEthPerFeeAsset: number(config.initial_eth_per_fee_asset),
        // The booster zero lets the rollup deploy one.
        rewardConfig: RewardConfig {
            rewardDistributor: reward_distributor,
            sequencerBps: 7_000,
            booster: Address::ZERO,
            checkpointReward: U96::from(CHECKPOINT_REWARD),
        },
        rewardBoostConfig: RewardBoostConfig {
            increment: 125_000,
            maxScore: 15_000_000,
            a: 1_000,
            minimum: 100_000,
            k: 1_000_000,
        },
        stakingQueueConfig: StakingQueueInput {
            bootstrapValidatorSetSize: U256::from(queue.bootstrap_validator_set_size),
            bootstrapFlushSize: U256::from(queue.bootstrap_flush_size),
            normalFlushSizeMin: U256::from(queue.normal_flush_size_min),
            normalFlushSizeQuotient: U256::from(queue.normal_flush_size_quotient),
            maxQueueFlushSize: U256::from(queue.max_queue_flush_size),
        },
        localEjectionThreshold: config.local_ejection_threshold,
        earliestRewardsClaimableTimestamp: U256::ZERO,
        inboxLag: number(config.inbox_lag),
    }
}
