//! What may be asked of the engine, and what it answers.

use std::time::Duration;

use alloy::primitives::B256;
use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};

use crate::catalogue::Reason;
pub use crate::drain::{DrainOutcome, DrainReport, DrainedWork, Ending, Head, LandedCheckpoint, WorkKind};
use crate::lifecycle::{Drain, Lifecycle, Refused};

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

/// How a run is to be started.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct StartRequest {
    /// Whose wish it is. `None`, as for a process that comes up, leaves the desired state as it is.
    pub author: Option<Author>,
    /// Start only where this block is the L2 head: the next block is built on it.
    pub at: Option<B256>,
    /// How long to wait until the node has synced to that head. At most this; zero looks once.
    pub wait: Duration,
}

impl StartRequest {
    /// A start that is somebody's wish.
    #[must_use]
    pub const fn by(author: Author) -> Self {
        Self { author: Some(author), at: None, wait: Duration::ZERO }
    }

    /// Only at this head.
    #[must_use]
    pub const fn at(mut self, head: B256) -> Self {
        self.at = Some(head);
        self
    }

    /// Waiting this long for that head.
    #[must_use]
    pub const fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

/// Where a planned stop takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopAt {
    /// This slot is the last that is worked on.
    Slot(Slot),
    /// This block is the last that is built; the checkpoint it belongs to ends with it.
    Block(u64),
}

/// How a run is to be stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopRequest {
    /// Let the slot in flight end, or cut it.
    pub drain: Drain,
    /// After this, counted from the call, a graceful stop becomes an interrupt. Not zero.
    pub deadline: Option<Duration>,
    /// Work on until here, then drain. With a graceful stop alone; a start meanwhile calls it off.
    pub at: Option<StopAt>,
    /// Whose wish it is that the node be stopped. `None`, as for a signal, leaves the desired state as it is.
    pub author: Option<Author>,
}

impl StopRequest {
    /// A stop that is not an operator's wish: the process ends, or a test goes on.
    #[must_use]
    pub const fn of(drain: Drain) -> Self {
        Self { drain, deadline: None, at: None, author: None }
    }

    /// With a deadline, after which it interrupts.
    #[must_use]
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Not now, but there.
    #[must_use]
    pub const fn at(mut self, at: StopAt) -> Self {
        self.at = Some(at);
        self
    }

    /// As somebody's wish.
    #[must_use]
    pub fn by(mut self, author: Author) -> Self {
        self.author = Some(author);
        self
    }

    /// Whether the parts of the request fit together.
    ///
    /// # Errors
    /// [`VerbError::Invalid`] names those that do not.
    pub const fn check(&self) -> Result<(), VerbError> {
        let what = match (self.drain, self.deadline, self.at) {
            (_, Some(Duration::ZERO), _) => "a deadline of zero is an interrupt: ask for that, or give it some time",
            (Drain::Interrupt, Some(_), _) => "a deadline goes with a graceful stop alone: an interrupt ends at once",
            (Drain::Interrupt, None, Some(_)) => "a slot or block goes with a graceful stop alone",
            (Drain::Graceful, _, _) | (Drain::Interrupt, None, None) => return Ok(()),
        };
        Err(VerbError::Invalid { what })
    }
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
    /// The L2 head the run began at.
    pub head: Head,
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
    /// The catalogue's row.
    pub reason: Reason,
    /// What went wrong and what to do.
    pub message: String,
    /// The head there is and the head that was asked for, where that was the matter.
    pub heads: Option<HeadGap>,
}

/// A head that is not the one a start asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadGap {
    /// Where the node is.
    pub have: Head,
    /// Where the start was to begin.
    pub want: B256,
}

impl PartsError {
    /// The head is another than the one that was asked for.
    #[must_use]
    pub fn elsewhere(have: Head, want: B256) -> Self {
        let Head { number, hash } = have;
        let message = format!(
            "the L2 head is block {number} {hash}, a start at {want} was asked for; start without a head to go on from here"
        );
        Self { heads: Some(HeadGap { have, want }), ..Self::new(Reason::HeadMismatch, message) }
    }

    /// An error that is not about heads.
    #[must_use]
    pub const fn new(reason: Reason, message: String) -> Self {
        Self { reason, message, heads: None }
    }
}

/// Why a verb was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerbError {
    /// The request contradicts itself; nothing was done.
    #[error("{what}")]
    Invalid {
        /// What does not fit, and what would.
        what: &'static str,
    },
    /// This state refuses it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A part of the run did not come up; what had come up was taken down again. Mend the cause and start again.
    #[error("start failed, and what had started was stopped again")]
    Start(#[source] PartsError),
    /// A stop came while the start was under way.
    #[error("the start was interrupted by a stop")]
    Interrupted,
    /// A start came before the slot or block of a planned stop: the node runs on.
    #[error("the planned stop was called off by a start")]
    CalledOff,
    /// There is no run, or it ended first.
    #[error("the node is not running; start it first")]
    NotRunning,
    /// The wish could not be recorded, so it would not survive a restart. A stop was carried out all the same; a start was not.
    #[error("the wish could not be recorded and would not survive a restart")]
    NotRecorded(#[source] PartsError),
    /// The engine's owner is gone: the process is ending.
    #[error("the engine has ended")]
    Gone,
}
