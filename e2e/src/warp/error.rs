//! Why a warp did not come about.

use std::time::Duration;

use fermata_anvil::AnvilError;
use fermata_sequencer::verbs::DrainReport;

/// Why a warp did not come about, or left a sequencer stopped that it should have started. Whatever it says, mining goes
/// on, and every sequencer that the warp stopped was started again, but those that [`WarpError::NotStarted`] names.
#[derive(Debug, thiserror::Error)]
pub enum WarpError {
    /// One at a time.
    #[error("another warp of this net is under way; await it, then warp again")]
    UnderWay,
    /// A node cannot be warped; nothing was stopped.
    #[error("node {node} cannot take part in a warp, and nothing was stopped")]
    CannotTakePart {
        /// The node.
        node: String,
        /// Why not.
        #[source]
        source: anyhow::Error,
    },
    /// A sequencer did not stop.
    #[error("the sequencer of node {node} did not stop; L1 time has not moved")]
    NotStopped {
        /// The node.
        node: String,
        /// What it said.
        #[source]
        source: anyhow::Error,
    },
    /// A sequencer had to be interrupted.
    #[error("the sequencer of node {node} did not drain within {within:?} and was interrupted; L1 time has not moved")]
    NotDrained {
        /// The node.
        node: String,
        /// The deadline.
        within: Duration,
        /// What its drain came to.
        report: Box<DrainReport>,
    },
    /// L1 did not do it.
    #[error("L1 was not warped")]
    L1(#[from] AnvilError),
    /// L1 did not answer.
    #[error("L1 did not answer within {0:?}; check that anvil is alive and not frozen")]
    L1Silent(Duration),
    /// L1 was warped and a node has not seen it.
    #[error("node {node} does not follow the L1 clock; give it the setting clock = l1")]
    NotFollowing {
        /// The node.
        node: String,
        /// What it said.
        #[source]
        source: anyhow::Error,
    },
    /// Sequencers stay stopped that should run.
    #[error("these sequencers could not be started again: {}", nodes.join(", "))]
    NotStarted {
        /// Their nodes.
        nodes: Vec<String>,
        /// Why the warp failed before that, or what the first of them said.
        #[source]
        source: anyhow::Error,
    },
}
