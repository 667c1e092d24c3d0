//! Bindings of the L1 contracts: what Fermata calls, reads and may be refused with, written as Solidity interfaces.
//!
//! Each interface names a part of the deployed contract's ABI; slots, epochs and timestamps are plain `uint256` there.
//! With a provider the interfaces can be called (`IRollup::new(address, provider)` and the like); the call and event types alone do no I/O.
//! Functions that sample the committee are not `view` on L1, since they use transient storage: `call` them, never `send`.

mod erc20;
mod errors;
mod escape_hatch;
mod gse;
mod inbox;
mod multicall3;
mod rollup;
mod votes;

pub use erc20::IErc20;
pub use errors::{L1Errors, Revert, decode_revert};
pub use escape_hatch::IEscapeHatch;
pub use gse::{IGse, IRegistry};
pub use inbox::{IInbox, InboxState};
pub use multicall3::{Call3, CallResult, IMulticall3};
pub use rollup::{
    AttesterConfig, AttesterView, ChainTips, CheckpointHeaderValidationFlags, CheckpointLog, CommitteeAttestations,
    Exit, FeeHeader, G1Point, G2Point, GasFees, IRollup, IVerifier, L1FeeData, ManaMinFeeComponents, OracleInput,
    ProposeArgs, ProposedHeader, PublicInputArgs, Signature, StakingQueueConfig, SubmitEpochRootProofArgs,
};
pub use votes::{
    Ballot, IGovernance, IGovernanceProposer, IProposerPayload, ISlasher, ISlashingProposer, Proposal,
    ProposalConfiguration, RoundAccounting, SlashAction, VoteSignature,
};
