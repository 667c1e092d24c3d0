//! The other nodes, as this one sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::Equivocation;
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
    /// Who has signed two things for one duty, also before the process began. Anybody can check it: each signature is its
    /// digest's.
    pub equivocations: Vec<Equivocation>,
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
            equivocations: peers.evidence.all(),
        }
    }
}
