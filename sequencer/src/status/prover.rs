//! The prover.

use alloy::primitives::Address;
use fermata_primitives::{CheckpointNumber, Epoch};
use serde::{Deserialize, Serialize};

use super::PublisherStatus;
use crate::prover::{EpochSpan, ProvenEpoch};

/// What the node's prover is at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProverStatus {
    /// Who makes the proofs, in words.
    pub proofs: String,
    /// Who gets the rewards.
    pub id: Address,
    /// The accounts that send the proofs.
    pub accounts: Vec<PublisherStatus>,
    /// The epoch it is to prove; `None` where every epoch that is over is proven.
    pub epoch: Option<EpochDue>,
    /// The newest that it has proven since the process began.
    pub last: Option<ProvenEpoch>,
    /// Why the epoch could not be proven yet.
    pub failure: Option<String>,
}

/// An epoch that is to be proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochDue {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first checkpoint.
    pub from: CheckpointNumber,
    /// Its last checkpoint.
    pub to: CheckpointNumber,
    /// The L1 time, in seconds, from which on the contract prunes it.
    pub deadline: u64,
}

impl From<EpochSpan> for EpochDue {
    fn from(span: EpochSpan) -> Self {
        let EpochSpan { epoch, from, to, deadline, .. } = span;
        Self { epoch, from, to, deadline: deadline.0 }
    }
}

impl ProverStatus {
    /// Why it does not prove, where it does not.
    #[must_use]
    pub fn amiss(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let what =
            self.epoch.map_or_else(|| "the prover".to_owned(), |due| format!("epoch {} is not proven", due.epoch));
        Some(format!("{what}: {failure}"))
    }
}
