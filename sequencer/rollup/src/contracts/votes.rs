//! The contracts in which proposers vote: for what governance shall decide, and on whom to slash.
#![allow(missing_docs, reason = "the names are the contract's; sol! gives its generated items no place for more")]

use crate::L1Signature;

alloy::sol! {
    #![sol(all_derives)]

    /// A vote's signature; the rollup's own type of the same shape belongs to its bindings.
    struct VoteSignature {
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// What was signalled in a round.
    struct RoundAccounting {
        uint256 lastSignalSlot;
        address payloadWithMostSignals;
        bool executed;
    }

    struct ProposalConfiguration {
        uint256 votingDelay;
        uint256 votingDuration;
        uint256 executionDelay;
        uint256 gracePeriod;
        uint256 quorum;
        uint256 requiredYeaMargin;
        uint256 minimumVotes;
    }

    struct Ballot {
        uint256 yea;
        uint256 nay;
    }

    /// `cachedState` is stale until the proposal has ended: ask `getProposalState`.
    struct Proposal {
        ProposalConfiguration config;
        uint8 cachedState;
        address payload;
        address proposer;
        uint256 creation;
        Ballot summedBallot;
    }

    /// Where the proposers of the canonical rollup signal for payloads.
    #[sol(rpc)]
    interface IGovernanceProposer {
        event SignalCast(address indexed payload, uint256 indexed round, address indexed signaler);

        function signalWithSig(address _payload, VoteSignature memory _sig) external returns (bool);
        function getInstance() external view returns (address);
        function getGovernance() external view returns (address);
        function signalCount(address _instance, uint256 _round, address _payload) external view returns (uint256);
        function getRoundData(address _instance, uint256 _round) external view returns (RoundAccounting memory);
        function getSignalSignatureDigest(address _payload, uint256 _slot) external view returns (bytes32);
        function QUORUM_SIZE() external view returns (uint256);
        function ROUND_SIZE() external view returns (uint256);
        function submitRoundWinner(uint256 _roundNumber) external returns (bool);
    }

    /// Where stakers decide on what was signalled.
    #[sol(rpc)]
    interface IGovernance {
        function governanceProposer() external view returns (address);
        function proposalCount() external view returns (uint256);
        function getProposal(uint256 _proposalId) external view returns (Proposal memory);
        function getProposalState(uint256 _proposalId) external view returns (uint8);
    }

    /// A proposal's payload: what was signalled, wrapped.
    #[sol(rpc)]
    interface IProposerPayload {
        function getOriginalPayload() external view returns (address);
    }

    /// What a round's tally says of one validator.
    struct SlashAction {
        address validator;
        uint256 slashAmount;
    }

    /// Counts the proposers' votes, round by round.
    #[sol(rpc)]
    interface ISlashingProposer {
        event VoteCast(uint256 indexed round, uint256 indexed slot, address indexed proposer);
        event RoundExecuted(uint256 indexed round, uint256 slashCount);

        function vote(bytes calldata _votes, VoteSignature calldata _sig) external;
        function executeRound(uint256 _round, address[][] calldata _committees) external;
        function getSlashTargetCommittees(uint256 _round) external returns (address[][] memory committees);
        function getTally(uint256 _round, address[][] calldata _committees)
            external view returns (SlashAction[] memory);
        function getPayloadAddress(uint256 _round, SlashAction[] memory _actions) external view returns (address);
        function getRound(uint256 _round) external view returns (bool isExecuted, uint256 voteCount);
        function getVotes(uint256 _round, uint256 _index) external view returns (bytes memory);
        function getSlashTargetEpoch(uint256 _round, uint256 _epochIndex) external view returns (uint256);
        function getVoteSignatureDigest(bytes calldata _votes, uint256 _slot) external view returns (bytes32);
        function SLASHING_PROPOSER_TYPE() external view returns (uint8);
        function QUORUM() external view returns (uint256);
        function ROUND_SIZE() external view returns (uint256);
        function COMMITTEE_SIZE() external view returns (uint256);
        function ROUND_SIZE_IN_EPOCHS() external view returns (uint256);
        function LIFETIME_IN_ROUNDS() external view returns (uint256);
        function EXECUTION_DELAY_IN_ROUNDS() external view returns (uint256);
        function SLASH_OFFSET_IN_ROUNDS() external view returns (uint256);
    }

    /// Carries out what a round decided, unless it was vetoed.
    #[sol(rpc)]
    interface ISlasher {
        function PROPOSER() external view returns (address);
        function vetoedPayloads(address payload) external view returns (bool);
        function isSlashingEnabled() external view returns (bool);
    }
}

impl From<L1Signature> for VoteSignature {
    fn from(signature: L1Signature) -> Self {
        Self { v: signature.v, r: signature.r, s: signature.s }
    }
}

impl From<VoteSignature> for L1Signature {
    fn from(signature: VoteSignature) -> Self {
        Self { v: signature.v, r: signature.r, s: signature.s }
    }
}
