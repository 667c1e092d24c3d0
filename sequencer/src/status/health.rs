//! The verdicts on a node: whether it makes progress, and whether it can do its work.

use serde::{Deserialize, Serialize};

use super::{Desired, NodeStatus};
use crate::lifecycle::Lifecycle;

/// Whether the node makes progress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Why it is not well, a sentence each.
    pub reasons: Vec<String>,
}

/// The verdict on a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It does what it is asked to; also when it is asked to stand still.
    Ok,
    /// It does not make the progress it should.
    Failing,
}

impl Health {
    /// Well where there is no reason to say otherwise.
    #[must_use]
    pub const fn from_reasons(reasons: Vec<String>) -> Self {
        let status = if reasons.is_empty() { HealthStatus::Ok } else { HealthStatus::Failing };
        Self { status, reasons }
    }
}

impl NodeStatus {
    /// Whether the node can do its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.unready.is_empty()
    }

    /// Why the node is not at work, a sentence each: its state, and whose wish that is.
    fn not_running(&self) -> Option<String> {
        let state = self.actual.lifecycle;
        // Who neither proposes nor attests does its work without a start.
        let needs_start = self.roles.has_a_start();
        if state == Lifecycle::Running || !needs_start && state != Lifecycle::Closed {
            return None;
        }
        let wish = self.desired.as_ref().filter(|wish| wish.state == Desired::Stopped);
        let why = wish.map_or_else(String::new, |wish| {
            let reason = wish.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            format!(", as {} asked{reason}", wish.by)
        });
        Some(format!("the node is {state}{why}"))
    }

    /// With the reasons why it cannot do its work: its state, what is not well, and `others`.
    #[must_use]
    pub fn judged(mut self, others: impl IntoIterator<Item = String>) -> Self {
        self.unready = self.not_running().into_iter().chain(self.health.reasons.clone()).chain(others).collect();
        self
    }
}
