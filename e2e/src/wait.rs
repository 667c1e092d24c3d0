//! Waits for a condition of the net, with a deadline in slots.

mod conditions;

use std::future::IntoFuture;
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

pub use self::conditions::{Block, Checkpoint, Condition, Happens, InState, L1Block, Pruned, Seen, SlotBegins};
use crate::Net;
use crate::timeline::Mark;

/// A wait that was given no deadline ends after this many slots.
const USUAL_DEADLINE: u32 = 40;

/// A wait came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no {what} within {slots} slots ({} s); {nodes}; all that happened is in {}", after.as_secs(), timeline.display())]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// How many slots long.
    pub slots: u32,
    /// How long that was.
    pub after: Duration,
    /// What each node was at in the end.
    pub nodes: String,
    /// The file with everything that happened.
    pub timeline: PathBuf,
}

/// A wait that has not begun: await it, or give it another deadline first.
#[derive(Debug)]
#[must_use = "await it"]
pub struct Wait<'a, C> {
    net: &'a Net,
    condition: C,
    slots: u32,
    since: Mark,
}

impl<'a, C: Condition> Wait<'a, C> {
    pub(crate) fn new(net: &'a Net, condition: C) -> Self {
        Self { net, condition, slots: USUAL_DEADLINE, since: net.mark() }
    }

    /// Gives up after this many slots.
    pub const fn within_slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Takes what has happened since `mark` as well, not only what happens from now on.
    pub const fn since(mut self, mark: Mark) -> Self {
        self.since = mark;
        self
    }

    async fn found(self) -> Result<C::Found, WaitError> {
        let (after, patience) = (self.slots * self.net.times().slot(), self.net.patience());
        let mut grown = self.net.timeline().grown();
        let looking = async {
            loop {
                grown.mark_unchanged();
                if let Some(found) = self.look() {
                    return found;
                }
                // The net has the other end.
                let _ = grown.changed().await;
            }
        };
        tokio::select! {
            biased;
            found = looking => Ok(found),
            () = patience.of_slots(self.slots) => Err(self.given_up(after).await),
        }
    }

    fn look(&self) -> Option<C::Found> {
        let record = self.net.timeline().read();
        let seen = Seen { record: &record, times: self.net.times(), since: self.since };
        self.condition.find(&seen)
    }

    async fn given_up(self, after: Duration) -> WaitError {
        let timeline = self.net.write_timeline().await;
        let nodes = self.net.timeline().read().nodes_in_words();
        WaitError { what: self.condition.what(), slots: self.slots, after, nodes, timeline }
    }
}

impl<'a, C: Condition + 'a> IntoFuture for Wait<'a, C> {
    type Output = Result<C::Found, WaitError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.found().boxed()
    }
}
