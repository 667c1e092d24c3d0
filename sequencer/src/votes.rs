//! What a proposer votes for in its slot, besides its checkpoint.

mod governance;
mod slashing;

pub use governance::{GovernanceVoter, NoSignal};
pub use slashing::{SlashPolicy, SlashingVoter};

use alloy::primitives::Address;

/// What the operator wants voted for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteSettings {
    /// The payload that governance shall decide on; `None` signals for nothing.
    pub governance_payload: Option<Address>,
    /// Who shall be slashed for what.
    pub slash: SlashPolicy,
}
