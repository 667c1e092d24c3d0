//! What only a deployment calls: constructors and the owners' functions.
#![allow(missing_docs, reason = "the names are the contracts'; sol! gives its generated items no place for more")]

alloy::sol! {
    #![sol(all_derives)]

    struct GenesisState {
        bytes32 vkTreeRoot;
        bytes32 protocolContractsHash;
        bytes32 genesisArchiveRoot;
    }

    struct RewardConfig {
        address rewardDistributor;
        uint32 sequencerBps;
        address booster;
        uint96 checkpointReward;
    }

    struct RewardBoostConfig {
        uint32 increment;
        uint32 maxScore;
        uint32 a;
        uint32 minimum;
        uint32 k;
    }

    struct StakingQueueInput {
        uint256 bootstrapValidatorSetSize;
        uint256 bootstrapFlushSize;
        uint256 normalFlushSizeMin;
        uint256 normalFlushSizeQuotient;
        uint256 maxQueueFlushSize;
    }

    // The contract's `RollupConfigInput`, in two halves: sol! encodes structs of up to 24 fields, and as all of them are of
    // fixed size, two halves in a row are encoded as the whole.
    struct RollupConfigHead {
        uint256 aztecSlotDuration;
        uint256 aztecEpochDuration;
        uint256 targetCommitteeSize;
        uint256 lagInEpochsForValidatorSet;
        uint256 lagInEpochsForRandao;
        uint256 aztecProofSubmissionEpochs;
        uint256 slashingQuorum;
        uint256 slashingRoundSize;
        uint256 slashingLifetimeInRounds;
        uint256 slashingExecutionDelayInRounds;
        uint256[3] slashAmounts;
        uint256 slashingOffsetInRounds;
        uint8 slasherFlavor;
        address slashingVetoer;
        uint256 slashingDisableDuration;
    }

    struct RollupConfigTail {
        uint256 manaTarget;
        uint256 exitDelaySeconds;
        uint32 version;
        uint256 provingCostPerMana;
        uint256 initialEthPerFeeAsset;
        RewardConfig rewardConfig;
        RewardBoostConfig rewardBoostConfig;
        StakingQueueInput stakingQueueConfig;
        uint256 localEjectionThreshold;
        uint256 earliestRewardsClaimableTimestamp;
        uint256 inboxLag;
    }

    struct ProposeWithLockConfiguration {
        uint256 lockDelay;
        uint256 lockAmount;
    }

    struct GovernanceConfiguration {
        ProposeWithLockConfiguration proposeConfig;
        uint256 votingDelay;
        uint256 votingDuration;
        uint256 executionDelay;
        uint256 gracePeriod;
        uint256 quorum;
        uint256 requiredYeaMargin;
        uint256 minimumVotes;
    }

    interface IOwners {
        function addRollup(address rollup) external;
        function setGovernance(address governance) external;
        function transferOwnership(address newOwner) external;
        function mint(address to, uint256 amount) external;
    }
}
