//! What a warp came to, and the sequencers it may have left stopped.

use fermata_anvil::Warp;
use fermata_sequencer::verbs::DrainReport;

use super::{SharedSequencer, WarpError, start_all};

/// What the drain of one sequencer did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Its node.
    pub node: String,
    /// What its drain did.
    pub report: DrainReport,
}

/// A warp that is over. After [`Restart::Later`](super::Restart::Later) the sequencers it stopped still stand: say with
/// [`Warped::restart`] or [`Warped::leave_stopped`] what is to become of them.
///
/// # Panics
/// When it is dropped without a word while sequencers stand, unless the thread panics already.
#[derive(Debug)]
#[must_use = "sequencers may be left stopped; call `restart` or `leave_stopped`"]
pub struct Warped {
    pub(super) l1: Warp,
    pub(super) drains: Vec<Drained>,
    pub(super) standing: Vec<SharedSequencer>,
}

impl Warped {
    /// Whether L1 was warped, or was at or past the target already; either way with its head.
    #[must_use]
    pub const fn l1(&self) -> Warp {
        self.l1
    }

    /// What each drain did, in the order the sequencers were given; one that did not run has none.
    #[must_use]
    pub fn drains(&self) -> &[Drained] {
        &self.drains
    }

    /// Starts the sequencers that the warp stopped. A no-op where they run.
    ///
    /// # Errors
    /// [`WarpError::NotStarted`] names those that did not start; the others run.
    pub async fn restart(mut self) -> Result<(), WarpError> {
        start_all(std::mem::take(&mut self.standing)).await
    }

    /// Leaves them stopped, on purpose, and gives them back.
    pub fn leave_stopped(mut self) -> Vec<SharedSequencer> {
        std::mem::take(&mut self.standing)
    }
}

impl Drop for Warped {
    fn drop(&mut self) {
        let names: Vec<_> = self.standing.iter().map(|sequencer| sequencer.name()).collect();
        let is_forgotten = !names.is_empty() && !std::thread::panicking();
        assert!(!is_forgotten, "a warp left {names:?} stopped: call `restart` or `leave_stopped`");
    }
}
