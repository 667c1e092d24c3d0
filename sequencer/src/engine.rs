//! The owner of the lifecycle: verbs come from anywhere, one task carries them out in order.
//!
//! Each caller gets the outcome of its own verb. A caller that goes away aborts nothing: the owner has the verb already.
//! A verb from inside the run (a tick, a tracked request) is accepted and answered before the drain, which waits for it.

mod owner;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, UnixTime};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::inside::is_inside_run;
use crate::lifecycle::{Drain, Lifecycle, Then};
use crate::poll_loop::Tick;
use crate::requests_tracker::LiveRequest;
use crate::run::RunTokens;
use crate::verbs::{
    Author, CloseAnswer, Head, LandedCheckpoint, PartsError, StartAnswer, StopAnswer, StopRequest, VerbError,
};

/// What a run is made of, and what outlives it. The engine decides when; the parts know how.
pub trait Parts: Send + Sync + fmt::Debug + 'static {
    /// Brings up what a run needs, in order, and gives what is to be polled. On an error, or when `tokens.interrupt` is
    /// cancelled, what had come up is taken down again before this returns.
    fn start(&self, tokens: RunTokens) -> BoxFuture<'_, Result<Arc<dyn Tick>, PartsError>>;

    /// Takes down what [`Parts::start`] brought up. The poll loop and all tracked requests have ended. Stores stay open.
    fn stop(&self) -> BoxFuture<'_, ()>;

    /// Where the node has come to rest: the head and the newest confirmed checkpoint.
    fn rest(&self) -> BoxFuture<'_, (Head, Option<LandedCheckpoint>)>;

    /// Makes the wish survive the process, durably, before it returns.
    fn record(&self, wish: Wish) -> BoxFuture<'_, Result<(), PartsError>>;

    /// Releases every store and lock this node owns, and names them.
    fn close(&self) -> BoxFuture<'_, Vec<String>>;
}

/// The state an operator wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// Whether the node is to run.
    pub running: bool,
    /// Whose wish it is.
    pub author: Author,
    /// When it was made.
    pub since: UnixTime,
}

/// What the engine tells about itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineStatus {
    /// The state.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Since when.
    pub since: UnixTime,
    /// Whether a start is under way.
    pub starting: bool,
    /// How many runs there have been.
    pub runs: u64,
    /// Why the last run ended, where nobody asked it to.
    pub failure: Option<String>,
}

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Time from the end of a tick to the next.
    pub poll_interval: Duration,
}

enum Verb {
    Start { author: Option<Author>, answer: oneshot::Sender<Result<StartAnswer, VerbError>> },
    Stop { request: StopRequest, answer: oneshot::Sender<Result<StopAnswer, VerbError>> },
    Close { answer: oneshot::Sender<Result<CloseAnswer, VerbError>> },
    Trigger,
    LiveRequests { answer: oneshot::Sender<Vec<LiveRequest>> },
}

/// A handle on the engine. Clones speak to the same owner; it ends when it is closed and the last handle is gone.
#[derive(Clone)]
pub struct Engine {
    verbs: mpsc::UnboundedSender<Verb>,
    status: watch::Receiver<EngineStatus>,
    tasks: TaskTracker,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine at rest. Its owner, and the poll loop of every run, are tasks of the engine's tracker.
    #[must_use]
    pub fn new(parts: Arc<dyn Parts>, config: EngineConfig, clock: SharedClock) -> Self {
        let (verbs, inbox) = mpsc::unbounded_channel();
        let tasks = TaskTracker::new();
        let (owner, status) = owner::Owner::new(parts, config, clock, tasks.clone());
        tasks.spawn(owner.own(inbox));
        Self { verbs, status, tasks }
    }

    /// Starts a run; a node that runs already answers `changed: false`.
    ///
    /// # Errors
    /// [`VerbError::Refused`] while a stop is under way and after a close; [`VerbError::Start`] when a part did not come
    /// up; [`VerbError::Interrupted`] when a stop came in between.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the start.
    pub async fn start(&self, author: Option<Author>) -> Result<StartAnswer, VerbError> {
        self.ask(|answer| Verb::Start { author, answer }).await
    }

    /// Stops the run and waits until nothing of it is left. A stop during a stop joins it, or escalates it.
    ///
    /// # Errors
    /// [`VerbError::NotRecorded`] when an operator's wish could not be stored; the node is stopped all the same.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the stop; a later stop joins it.
    pub async fn stop(&self, request: StopRequest) -> Result<StopAnswer, VerbError> {
        if is_inside_run() {
            let state = Lifecycle::Stopping { drain: request.drain, then: Then::Stopped };
            let (answer, _) = oneshot::channel();
            self.verbs.send(Verb::Stop { request, answer }).map_err(|_| VerbError::Gone)?;
            return Ok(StopAnswer { changed: true, state, drain: None });
        }
        self.ask(|answer| Verb::Stop { request, answer }).await
    }

    /// Interrupts the run, if there is one, and releases every store.
    ///
    /// # Errors
    /// [`VerbError::Gone`] when the process is ending.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the close.
    pub async fn close(&self) -> Result<CloseAnswer, VerbError> {
        if is_inside_run() {
            let (answer, _) = oneshot::channel();
            self.verbs.send(Verb::Close { answer }).map_err(|_| VerbError::Gone)?;
            return Ok(CloseAnswer { closed: Vec::new(), drain: None });
        }
        self.ask(|answer| Verb::Close { answer }).await
    }

    /// Asks the run, if there is one, for one more tick.
    pub fn trigger(&self) {
        let _ = self.verbs.send(Verb::Trigger);
    }

    /// The run's tracked requests.
    pub async fn live_requests(&self) -> Vec<LiveRequest> {
        let (answer, reply) = oneshot::channel();
        let _ = self.verbs.send(Verb::LiveRequests { answer });
        reply.await.unwrap_or_default()
    }

    /// The state, and a way to wait for the next.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<EngineStatus> {
        self.status.clone()
    }

    /// How many tasks of the engine are alive: its owner, and the poll loop of a run.
    #[must_use]
    pub fn tasks_alive(&self) -> usize {
        self.tasks.len()
    }

    async fn ask<T>(&self, verb: impl FnOnce(oneshot::Sender<Result<T, VerbError>>) -> Verb) -> Result<T, VerbError> {
        let (answer, reply) = oneshot::channel();
        self.verbs.send(verb(answer)).map_err(|_| VerbError::Gone)?;
        reply.await.map_err(|_| VerbError::Gone)?
    }
}

/// How hard the more insistent of two drains is.
const fn harder(a: Drain, b: Drain) -> Drain {
    match (a, b) {
        (Drain::Graceful, Drain::Graceful) => Drain::Graceful,
        (Drain::Interrupt, _) | (_, Drain::Interrupt) => Drain::Interrupt,
    }
}

#[cfg(test)]
mod tests;
