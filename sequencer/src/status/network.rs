//! The other nodes, as this one sees them.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};

use crate::evidence::{Equivocation, Proof};
use crate::peers::Peers;

/// Who the other nodes are, and what was heard of them since the process began.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    /// The other nodes.
    pub peers: Vec<String>,
    /// Messages handed to the links.
    pub sent: u64,
    /// Messages that reached this node.
    pub received: u64,
    /// Messages that were dropped on either way, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Messages that counted for nothing, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Who has signed two things for one duty.
    pub equivocations: Vec<EquivocationStatus>,
}

/// Two proposals of one proposer for one duty. Anybody can check them: each signature is its digest's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EquivocationStatus {
    /// The slot.
    pub slot: Slot,
    /// The proposer.
    pub proposer: Address,
    /// What it proposed twice.
    pub duty: String,
    /// The digest it signed first, and its signature as `v || r || s`.
    pub first: (B256, String),
    /// The digest it signed then, and its signature.
    pub second: (B256, String),
}

impl NetworkStatus {
    /// What `peers` has seen.
    #[must_use]
    pub fn of(peers: &Peers) -> Self {
        let traffic = peers.network.traffic();
        Self {
            peers: peers.network.peers().iter().map(ToString::to_string).collect(),
            sent: traffic.sent.messages,
            received: traffic.received.messages,
            dropped: traffic.dropped.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
            refused: peers.refusals.all().into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
            equivocations: peers.evidence.all().iter().map(EquivocationStatus::from).collect(),
        }
    }
}

impl From<&Equivocation> for EquivocationStatus {
    fn from(seen: &Equivocation) -> Self {
        let told = |proof: Proof| (proof.digest, alloy::hex::encode_prefixed(proof.signature.to_bytes()));
        Self {
            slot: seen.duty.slot,
            proposer: seen.duty.validator,
            duty: seen.duty.kind.to_string(),
            first: told(seen.first),
            second: told(seen.second),
        }
    }
}
