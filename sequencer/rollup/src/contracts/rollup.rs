//! The rollup contract: checkpoints, time, committee, fees and staking.
#![allow(
    missing_docs,
    clippy::too_many_arguments,
    reason = "names and arguments are the contract's; sol! gives its generated items no place for more"
)]

alloy::sol! {
    #![sol(all_derives)]

    /// L1 and L2 fees of a checkpoint, in wei of the fee asset for one unit of mana; the data fee must be zero.
    struct GasFees {
        uint128 feePerDaGas;
        uint128 feePerL2Gas;
    }

    /// A checkpoint's header as `propose` takes it; `fermata_rollup::CheckpointHeader` is its typed form.
    struct ProposedHeader {
        bytes32 lastArchiveRoot;
        bytes32 blockHeadersHash;
        bytes32 blobsHash;
        bytes32 inHash;
        bytes32 outHash;
        uint256 slotNumber;
        uint256 timestamp;
        address coinbase;
        bytes32 feeRecipient;
        GasFees gasFees;
        uint256 totalManaUsed;
    }

    /// The proposer's vote on the fee asset's price, in basis points; the contract takes at most 100 either way.
    struct OracleInput {
        int256 feeAssetPriceModifier;
    }

    struct ProposeArgs {
        bytes32 archive;
        OracleInput oracleInput;
        ProposedHeader header;
    }

    /// One bit a member (most significant first), then 65 bytes `v || r || s` or the 20 bytes of an address each.
    struct CommitteeAttestations {
        bytes signatureIndices;
        bytes signaturesOrAddresses;
    }

    struct Signature {
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    struct CheckpointHeaderValidationFlags {
        bool ignoreDA;
    }

    struct ChainTips {
        uint256 pending;
        uint256 proven;
    }

    struct FeeHeader {
        uint256 excessMana;
        uint256 manaUsed;
        uint256 ethPerFeeAsset;
        uint256 congestionCost;
        uint256 proverCost;
    }

    struct CheckpointLog {
        bytes32 archive;
        bytes32 headerHash;
        bytes32 blobCommitmentsHash;
        bytes32 outHash;
        bytes32 attestationsHash;
        bytes32 payloadDigest;
        uint256 slotNumber;
        FeeHeader feeHeader;
    }

    struct L1FeeData {
        uint256 baseFee;
        uint256 blobFee;
    }

    struct ManaMinFeeComponents {
        uint256 congestionCost;
        uint256 congestionMultiplier;
        uint256 sequencerCost;
        uint256 proverCost;
    }

    /// A point of BN254's first group.
    struct G1Point {
        uint256 x;
        uint256 y;
    }

    /// A point of BN254's second group; the imaginary part of each coordinate comes first.
    struct G2Point {
        uint256 x0;
        uint256 x1;
        uint256 y0;
        uint256 y1;
    }

    struct AttesterConfig {
        G1Point publicKey;
        address withdrawer;
    }

    struct Exit {
        uint256 withdrawalId;
        uint256 amount;
        uint256 exitableAt;
        address recipientOrWithdrawer;
        bool isRecipient;
        bool exists;
    }

    /// `status`: 0 none, 1 validating, 2 zombie, 3 exiting.
    struct AttesterView {
        uint8 status;
        uint256 effectiveBalance;
        Exit exit;
        AttesterConfig config;
    }

    struct StakingQueueConfig {
        uint256 bootstrapValidatorSetSize;
        uint256 bootstrapFlushSize;
        uint256 normalFlushSizeMin;
        uint256 normalFlushSizeQuotient;
        uint256 maxQueueFlushSize;
    }

    /// What an epoch's proof is about, as far as the contract does not know it.
    struct PublicInputArgs {
        bytes32 previousArchive;
        bytes32 endArchive;
        bytes32 outHash;
        address proverId;
    }

    /// An epoch's proof; `fermata_rollup::EpochProofSubmission` is its typed form.
    struct SubmitEpochRootProofArgs {
        uint256 start;
        uint256 end;
        PublicInputArgs args;
        bytes32[] fees;
        CommitteeAttestations attestations;
        bytes blobInputs;
        bytes proof;
    }

    /// Checks the proofs of epochs for the rollup.
    #[sol(rpc)]
    interface IVerifier {
        function verify(bytes calldata _proof, bytes32[] calldata _publicInputs) external view returns (bool);
    }

    /// The rollup on L1.
    #[sol(rpc)]
    interface IRollup {
        // The chain of checkpoints.
        event CheckpointProposed(
            uint256 indexed checkpointNumber,
            bytes32 indexed archive,
            bytes32[] versionedBlobHashes,
            bytes32 payloadDigest,
            bytes32 attestationsHash
        );
        event CheckpointInvalidated(uint256 indexed checkpointNumber);
        event PrunedPending(uint256 provenCheckpointNumber, uint256 pendingCheckpointNumber);
        event L2ProofVerified(uint256 indexed checkpointNumber, address indexed proverId);

        function propose(
            ProposeArgs calldata _args,
            CommitteeAttestations memory _attestations,
            address[] memory _signers,
            Signature memory _attestationsAndSignersSignature,
            bytes calldata _blobInput
        ) external;
        function validateHeaderWithAttestations(
            ProposedHeader calldata _header,
            CommitteeAttestations memory _attestations,
            address[] memory _signers,
            Signature memory _attestationsAndSignersSignature,
            bytes32 _digest,
            bytes32 _blobsHash,
            CheckpointHeaderValidationFlags memory _flags
        ) external;
        function validateBlobs(bytes calldata _blobsInput)
            external view returns (bytes32[] memory, bytes32, bytes[] memory);
        function canProposeAtTime(uint256 _ts, bytes32 _archive, address _who) external returns (uint256, uint256);
        function invalidateBadAttestation(
            uint256 _checkpointNumber,
            CommitteeAttestations memory _attestations,
            address[] memory _committee,
            uint256 _invalidIndex
        ) external;
        function invalidateInsufficientAttestations(
            uint256 _checkpointNumber,
            CommitteeAttestations memory _attestations,
            address[] memory _committee
        ) external;
        function prune() external;
        function canPruneAtTime(uint256 _ts) external view returns (bool);
        function getTips() external view returns (ChainTips memory);
        function archive() external view returns (bytes32);
        function archiveAt(uint256 _checkpointNumber) external view returns (bytes32);
        function getPendingCheckpointNumber() external view returns (uint256);
        function getProvenCheckpointNumber() external view returns (uint256);
        function getCheckpoint(uint256 _checkpointNumber) external view returns (CheckpointLog memory);
        function getEpochForCheckpoint(uint256 _checkpointNumber) external view returns (uint256);
        function status(uint256 _myHeaderCheckpointNumber) external view returns (
            uint256 provenCheckpointNumber,
            bytes32 provenArchive,
            uint256 pendingCheckpointNumber,
            bytes32 pendingArchive,
            bytes32 archiveOfMyCheckpoint,
            uint256 provenEpochNumber
        );
        function submitEpochRootProof(SubmitEpochRootProofArgs calldata _args) external;
        function getEpochProofPublicInputs(
            uint256 _start,
            uint256 _end,
            PublicInputArgs calldata _args,
            bytes32[] calldata _fees,
            bytes calldata _blobPublicInputs
        ) external view returns (bytes32[] memory);
        function checkBlob() external view returns (bool);
        function getVersion() external view returns (uint256);
        function owner() external view returns (address);
        function L1_BLOCK_AT_GENESIS() external view returns (uint256);

        // Time.
        function getGenesisTime() external view returns (uint256);
        function getSlotDuration() external view returns (uint256);
        function getEpochDuration() external view returns (uint256);
        function getProofSubmissionEpochs() external view returns (uint256);
        function getCurrentSlot() external view returns (uint256);
        function getCurrentEpoch() external view returns (uint256);
        function getSlotAt(uint256 _ts) external view returns (uint256);
        function getEpochAt(uint256 _ts) external view returns (uint256);
        function getTimestampForSlot(uint256 _slotNumber) external view returns (uint256);
        function getTimestampForEpoch(uint256 _epoch) external view returns (uint256);

        // Committee and proposer.
        function setupEpoch() external;
        function getCurrentProposer() external returns (address);
        function getProposerAt(uint256 _ts) external returns (address);
        function getCommitteeAt(uint256 _ts) external returns (address[] memory);
        function getEpochCommittee(uint256 _epoch) external returns (address[] memory);
        function getCurrentEpochCommittee() external returns (address[] memory);
        function getEpochCommitteeCommitment(uint256 _epoch) external returns (bytes32, uint256);
        function getSampleSeedAt(uint256 _ts) external view returns (uint256);
        function getSamplingSizeAt(uint256 _ts) external view returns (uint256);
        function getTargetCommitteeSize() external view returns (uint256);
        function getLagInEpochsForValidatorSet() external view returns (uint256);
        function getLagInEpochsForRandao() external view returns (uint256);
        function getEscapeHatch() external view returns (address);
        function getEscapeHatchForEpoch(uint256 _epoch) external view returns (address);
        function updateEscapeHatch(address _escapeHatch) external;

        // Fees.
        function getManaMinFeeAt(uint256 _timestamp, bool _inFeeAsset) external view returns (uint256);
        function getManaMinFeeComponentsAt(uint256 _timestamp, bool _inFeeAsset)
            external view returns (ManaMinFeeComponents memory);
        function getManaLimit() external view returns (uint256);
        function getManaTarget() external view returns (uint256);
        function getL1FeesAt(uint256 _timestamp) external view returns (L1FeeData memory);
        function getFeeHeader(uint256 _checkpointNumber) external view returns (FeeHeader memory);

        // The contracts beside it.
        function getInbox() external view returns (address);
        function getOutbox() external view returns (address);
        function getGSE() external view returns (address);
        function getFeeAsset() external view returns (address);
        function getStakingAsset() external view returns (address);
        function getSlasher() external view returns (address);
        function getRewardDistributor() external view returns (address);

        // Staking.
        event Deposit(
            address indexed attester,
            address indexed withdrawer,
            G1Point publicKeyInG1,
            G2Point publicKeyInG2,
            G1Point proofOfPossession,
            uint256 amount
        );
        event FailedDeposit(
            address indexed attester,
            address indexed withdrawer,
            G1Point publicKeyInG1,
            G2Point publicKeyInG2,
            G1Point proofOfPossession
        );
        event ValidatorQueued(address indexed attester, address indexed withdrawer);

        function deposit(
            address _attester,
            address _withdrawer,
            G1Point memory _publicKeyInG1,
            G2Point memory _publicKeyInG2,
            G1Point memory _proofOfPossession,
            bool _moveWithLatestRollup
        ) external;
        function flushEntryQueue() external;
        function updateStakingQueueConfig(StakingQueueConfig memory _config) external;
        function getActivationThreshold() external view returns (uint256);
        function getActiveAttesterCount() external view returns (uint256);
        function getAttesterAtIndex(uint256 _index) external view returns (address);
        function getAttesterView(address _attester) external view returns (AttesterView memory);
        function getStatus(address _attester) external view returns (uint8);
        function getEntryQueueLength() external view returns (uint256);
        function getEntryQueueFlushSize() external view returns (uint256);
        function getNextFlushableEpoch() external view returns (uint256);
        function getAvailableValidatorFlushes() external view returns (uint256);
        function getIsBootstrapped() external view returns (bool);
    }
}
