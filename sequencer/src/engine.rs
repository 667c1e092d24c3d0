//! The owner of the lifecycle: verbs come from anywhere, one task carries them out in order.
//!
//! Each caller gets the outcome of its own verb. A caller that goes away aborts nothing: the owner has the verb already.
//! A verb from inside the run (a tick, a tracked request) is accepted and answered before the drain, which waits for it.

mod contained;
mod draining;
mod owner;
mod starting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, UnixTime};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

pub use contained::PARTS_PATIENCE;

use crate::inside::is_inside_run;
use crate::lifecycle::{Drain, Lifecycle, Then};
use crate::poll_loop::{Beat, Polling, Tick};
use crate::requests_tracker::{LiveRequest, RequestsTracker};
use crate::run::RunTokens;
use crate::tasks::Tasks;
use crate::verbs::{
    Author, CloseAnswer, Head, LandedCheckpoint, PartsError, StartAnswer, StartRequest, StopAnswer, StopAt,
    StopRequest, VerbError,
};

/// What a run is made of, and what outlives it. The engine decides when; the parts know how.
///
/// A part that panics, or does not return within [`PARTS_PATIENCE`], is given up and reported; the engine goes on.
pub trait Parts: Send + Sync + fmt::Debug + 'static {
    /// Brings up what a run needs, in order, and gives what is to be polled; where `request` names a head, only at that
    /// head. Ends early when `tokens.interrupt` is cancelled. However it ends, [`Parts::stop`] follows.
    fn start(&self, tokens: RunTokens, request: StartRequest) -> BoxFuture<'_, Result<Arc<dyn Tick>, PartsError>>;

    /// A graceful stop was asked for: tracks among `requests` what others still need of this node for what is in flight now.
    /// It is called before the poll loop is halted, and must not wait.
    fn see_through(&self, requests: &RequestsTracker);

    /// Takes down what [`Parts::start`] brought up, also where that came only part of the way. The poll loop and all
    /// tracked requests have ended. Stores stay open.
    fn stop(&self) -> BoxFuture<'_, ()>;

    /// Where the node has come to rest.
    fn rest(&self) -> BoxFuture<'_, Result<Rest, PartsError>>;

    /// Makes the wish survive the process, durably, before it returns.
    fn record(&self, wish: Wish) -> BoxFuture<'_, Result<(), PartsError>>;

    /// Releases every store and lock this node owns, and names them.
    fn close(&self) -> BoxFuture<'_, Vec<String>>;
}

/// Where a node is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rest {
    /// The L2 head.
    pub head: Head,
    /// The newest checkpoint of ours that L1 confirmed.
    pub last_checkpoint: Option<LandedCheckpoint>,
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

impl Wish {
    /// That the node run.
    #[must_use]
    pub const fn running(author: Author, since: UnixTime) -> Self {
        Self { running: true, author, since }
    }

    /// That it stand still.
    #[must_use]
    pub const fn stopped(author: Author, since: UnixTime) -> Self {
        Self { running: false, author, since }
    }
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
    /// Where a planned stop takes effect.
    pub stop_at: Option<StopAt>,
    /// The drain under way.
    pub drain: Option<DrainProgress>,
    /// Why the last run ended, where nobody asked it to.
    pub failure: Option<String>,
}

impl EngineStatus {
    /// An engine that has never run.
    #[must_use]
    pub const fn at_rest(since: UnixTime) -> Self {
        let lifecycle = Lifecycle::Idle;
        Self { lifecycle, since, starting: false, runs: 0, stop_at: None, drain: None, failure: None }
    }
}

/// A drain under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainProgress {
    /// How hard.
    pub mode: Drain,
    /// Since when.
    pub since: UnixTime,
    /// When it becomes an interrupt, where it does.
    pub deadline: Option<UnixTime>,
}

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Time from the end of a tick to the next.
    pub poll_interval: Duration,
}

enum Verb {
    Start { request: StartRequest, answer: oneshot::Sender<Result<StartAnswer, VerbError>> },
    Stop { request: StopRequest, answer: oneshot::Sender<Result<StopAnswer, VerbError>> },
    Close { answer: oneshot::Sender<Result<CloseAnswer, VerbError>> },
    Trigger { done: oneshot::Sender<()> },
    LiveRequests { answer: oneshot::Sender<Vec<LiveRequest>> },
}

/// A handle on the engine. Clones speak to the same owner; it ends when it is closed and the last handle is gone.
#[derive(Clone)]
pub struct Engine {
    verbs: mpsc::UnboundedSender<Verb>,
    status: watch::Receiver<EngineStatus>,
    pulse: watch::Receiver<Beat>,
    tasks: Tasks,
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
        let tasks = Tasks::default();
        let pulse = watch::Sender::new(Beat::default());
        let heard = pulse.subscribe();
        let polling = Polling { every: config.poll_interval, clock, pulse };
        let (owner, status) = owner::Owner::new(parts, polling, tasks.clone());
        tasks.spawn(owner.own(inbox));
        Self { verbs, status, pulse: heard, tasks }
    }

    /// Starts a run; a node that runs already answers `changed: false`, and a planned stop is called off.
    ///
    /// # Errors
    /// [`VerbError::Refused`] while a stop is under way and after a close; [`VerbError::Start`] when a part did not come
    /// up, or the head is not the one that was asked for; [`VerbError::Interrupted`] when a stop came in between;
    /// [`VerbError::NotRecorded`] when somebody's wish could not be stored: then nothing was started.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the start.
    pub async fn start(&self, request: StartRequest) -> Result<StartAnswer, VerbError> {
        self.ask(|answer| Verb::Start { request, answer }).await
    }

    /// Stops the run and waits until nothing of it is left. A stop during a stop joins it, or escalates it. One that names
    /// a slot or a block waits until the run has come there.
    ///
    /// # Errors
    /// [`VerbError::Invalid`] where the request contradicts itself; [`VerbError::CalledOff`] where a start came before the
    /// slot or block; [`VerbError::NotRecorded`] when somebody's wish could not be stored: the node is stopped all the
    /// same.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the stop; a later stop joins it.
    pub async fn stop(&self, request: StopRequest) -> Result<StopAnswer, VerbError> {
        request.check()?;
        if is_inside_run() {
            let state = match request.at {
                None => Lifecycle::Stopping { drain: request.drain, then: Then::Stopped },
                Some(_) => Lifecycle::Running,
            };
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

    /// Asks the run for one more tick and waits until it has ended; several callers may be served by the same. From
    /// inside the run it does not wait.
    ///
    /// # Errors
    /// [`VerbError::NotRunning`] where there is no run, or it ends first.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the tick back.
    pub async fn trigger(&self) -> Result<(), VerbError> {
        let (done, heard) = oneshot::channel();
        self.verbs.send(Verb::Trigger { done }).map_err(|_| VerbError::Gone)?;
        if is_inside_run() {
            return Ok(());
        }
        heard.await.map_err(|_| VerbError::NotRunning)
    }

    /// What the poll loop has done last.
    #[must_use]
    pub fn pulse(&self) -> watch::Receiver<Beat> {
        self.pulse.clone()
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

#[cfg(test)]
mod tests;
