//! What may be asked of the engine, and what it answers.

use std::time::Duration;

use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, Slot};
use serde::{Deserialize, Serialize};

use crate::lifecycle::{Drain, Lifecycle, Refused};
use crate::requests_tracker::RequestCounts;

/// Who asks, and why: kept with the desired state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Author {
    /// A person or a program, as it names itself.
    pub by: String,
    /// Free text for the next person who wonders.
    pub reason: Option<String>,
}

impl Author {
    /// An author without a reason.
    #[must_use]
    pub fn new(by: impl Into<String>) -> Self {
        Self { by: by.into(), reason: None }
    }
}

/// How a run is to be stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopRequest {
    /// Let the slot in flight end, or cut it.
    pub drain: Drain,
    /// After this a graceful stop becomes an interrupt.
    pub deadline: Option<Duration>,
    /// Whose wish it is that the node be stopped. `None`, as for a signal, leaves the desired state as it is.
    pub author: Option<Author>,
}

impl StopRequest {
    /// A stop that is not an operator's wish: the process ends, or a test goes on.
    #[must_use]
    pub const fn of(drain: Drain) -> Self {
        Self { drain, deadline: None, author: None }
    }

    /// With a deadline, after which it interrupts.
    #[must_use]
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// How a drain ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainOutcome {
    /// All that was in flight ended by itself.
    Drained,
    /// It was asked to end early.
    Interrupted,
    /// The deadline of a graceful stop came first.
    Deadline,
}

/// The L2 head when the drain had ended: the parent of the next block.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
}

/// A checkpoint as far as this node knows it landed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LandedCheckpoint {
    /// Its number.
    pub number: CheckpointNumber,
    /// Its slot.
    pub slot: Slot,
    /// The L1 transaction that carried it.
    pub l1_tx: B256,
    /// The L1 block that holds it.
    pub l1_block: u64,
}

/// What a drain did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainReport {
    /// How it ended.
    pub outcome: DrainOutcome,
    /// The head the node came to rest at.
    pub head: Head,
    /// The newest checkpoint of ours that L1 confirmed.
    pub last_checkpoint: Option<LandedCheckpoint>,
    /// How the run's tracked requests ended.
    pub requests: RequestCounts,
    /// From the verb to the end of the drain, in milliseconds.
    pub took_ms: u64,
}

/// The answer to a start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartAnswer {
    /// False when the node was running already.
    pub changed: bool,
    /// The state now.
    #[serde(flatten)]
    pub state: Lifecycle,
}

/// The answer to a stop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopAnswer {
    /// False when nothing was running.
    pub changed: bool,
    /// The state now. `Stopping` only for a verb from inside the run, which is answered before the drain.
    #[serde(flatten)]
    pub state: Lifecycle,
    /// What the drain did, where there was one.
    pub drain: Option<DrainReport>,
}

/// The answer to a close.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloseAnswer {
    /// What was released by this close; empty when it was closed before.
    pub closed: Vec<String>,
    /// What the drain did, where there was one.
    pub drain: Option<DrainReport>,
}

/// Why the parts of a run did not come up, or a wish could not be recorded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PartsError {
    /// The catalogue's reason, such as `L1_DOWN`.
    pub reason: &'static str,
    /// What went wrong and what to do.
    pub message: String,
}

/// Why a verb was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerbError {
    /// This state refuses it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A part of the run did not come up; what had come up was taken down again. Mend the cause and start again.
    #[error("start failed, and what had started was stopped again")]
    Start(#[source] PartsError),
    /// A stop came while the start was under way.
    #[error("the start was interrupted by a stop")]
    Interrupted,
    /// The wish could not be recorded, so it would not survive a restart. It was carried out all the same if it was a stop.
    #[error("the wish could not be recorded and would not survive a restart")]
    NotRecorded(#[source] PartsError),
    /// The engine's owner is gone: the process is ending.
    #[error("the engine has ended")]
    Gone,
}
