//! What an Ethereum validator's key may sign once.

use std::fmt;

use alloy::primitives::FixedBytes;
use fermata_primitives::{Epoch, Slot};
use serde::{Deserialize, Serialize};

/// A validator's compressed BLS public key.
pub type EthPublicKey = FixedBytes<48>;

/// A block of the beacon chain: one a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EthBlock {
    /// The slot, counted from Ethereum's genesis.
    pub slot: Slot,
}

/// A vote for a checkpoint of the beacon chain: one a target epoch, and none around another.
///
/// Sorted by target first, as the rules ask for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct EthAttestation {
    /// Epoch of the checkpoint that is taken for justified.
    pub source: Epoch,
    /// Epoch of the checkpoint that is voted for.
    pub target: Epoch,
}

impl Ord for EthAttestation {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.target, self.source).cmp(&(other.target, other.source))
    }
}

impl PartialOrd for EthAttestation {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl EthAttestation {
    /// True where `other` lies strictly within this one: both together are slashable.
    #[must_use]
    pub fn surrounds(self, other: Self) -> bool {
        self.source < other.source && other.target < self.target
    }
}

/// One thing an Ethereum validator's key may sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EthDuty {
    /// A block.
    Block(EthBlock),
    /// An attestation.
    Attestation(EthAttestation),
}

impl fmt::Display for EthBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block of slot {}", self.slot)
    }
}

impl fmt::Display for EthAttestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attestation from epoch {} to {}", self.source, self.target)
    }
}

impl fmt::Display for EthDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(block) => block.fmt(f),
            Self::Attestation(attestation) => attestation.fmt(f),
        }
    }
}
