//! What a slot does on L1.

use alloy::primitives::{Address, Bytes};
use fermata_primitives::Slot;
use fermata_publisher::SuccessRule;

/// What an action does on L1, in the order a bundle carries them out (declaration order = priority).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ActionKind {
    /// Drops a checkpoint with an attestation that is not its member's.
    InvalidateBadAttestation,
    /// Drops a checkpoint with fewer attestations than the quorum.
    InvalidateTooFewAttestations,
    /// Drops the checkpoints whose proof did not come in time.
    Prune,
    /// Proposes the slot's checkpoint.
    Propose,
    /// Signals for a governance payload.
    GovernanceSignal,
    /// Votes on whom to slash.
    SlashingVote,
    /// Carries out what a round of slashing votes decided.
    ExecuteSlash,
}

/// One call of a slot's bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct L1Action {
    /// What it does.
    pub kind: ActionKind,
    /// The slot it is for; in another it is of no use.
    pub slot: Slot,
    /// The contract it calls.
    pub to: Address,
    /// The call.
    pub calldata: Bytes,
    /// How the receipt tells whether it did what it was meant to do.
    pub success: SuccessRule,
}
