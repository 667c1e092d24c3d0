//! A drain under way, or planned, and who waits for its end.

use std::time::Duration;

use fermata_primitives::SharedClock;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use tokio::sync::oneshot;

use crate::drain::{DrainOutcome, DrainReport};
use crate::lifecycle::{Drain, Lifecycle};
use crate::requests_tracker::RequestsTracker;
use crate::run::{RunTokens, Settled};
use crate::verbs::{CloseAnswer, PartsError, StopAnswer, VerbError};

pub(super) type Answer<T> = oneshot::Sender<Result<T, VerbError>>;

/// A drain under way.
pub(super) struct Draining {
    pub(super) tokens: RunTokens,
    pub(super) drain: Drain,
    /// A deadline, and not a caller, made it an interrupt.
    pub(super) by_deadline: bool,
    /// When it began; monotonic.
    pub(super) began: Duration,
    pub(super) requests: RequestsTracker,
    pub(super) settled: BoxFuture<'static, Settled>,
    pub(super) deadline: Deadline,
    pub(super) waiters: Vec<Waiter>,
}

/// A stop that takes effect at a slot or a block to come.
#[derive(Default)]
pub(super) struct Planned {
    pub(super) deadline: Deadline,
    pub(super) waiters: Vec<Waiter>,
}

/// When a graceful drain becomes an interrupt: the soonest of all that were asked for.
#[derive(Default)]
pub(super) struct Deadline(Option<(Duration, BoxFuture<'static, ()>)>);

impl Deadline {
    /// No later than `span` from now.
    pub(super) fn within(&mut self, clock: &SharedClock, span: Duration) {
        let at = clock.monotonic() + span;
        if self.0.as_ref().is_none_or(|(sooner, _)| at < *sooner) {
            let clock = clock.clone();
            self.0 = Some((at, async move { clock.sleep(span).await }.boxed()));
        }
    }

    /// Time left; `None` where there is no deadline.
    pub(super) fn left(&self, clock: &SharedClock) -> Option<Duration> {
        self.0.as_ref().map(|(at, _)| at.saturating_sub(clock.monotonic()))
    }

    /// Resolves when it has passed.
    pub(super) async fn passed(&mut self) {
        match &mut self.0 {
            Some((_, passed)) => passed.await,
            None => pending().await,
        }
    }
}

/// Who waits for the end of a drain.
pub(super) enum Waiter {
    Stop { answer: Answer<StopAnswer>, unrecorded: Option<PartsError> },
    Close(Answer<CloseAnswer>),
}

impl Draining {
    /// Interrupts what is left.
    pub(super) fn escalate(&mut self) {
        self.drain = Drain::Interrupt;
        self.tokens.end(Drain::Interrupt);
    }

    pub(super) const fn outcome(&self) -> DrainOutcome {
        match (self.by_deadline, self.drain) {
            (true, _) => DrainOutcome::Deadline,
            (false, Drain::Interrupt) => DrainOutcome::Interrupted,
            (false, Drain::Graceful) => DrainOutcome::Drained,
        }
    }
}

impl Waiter {
    /// Something has changed exactly where there was a run to drain.
    pub(super) fn answer(self, state: Lifecycle, drain: Option<&DrainReport>, closed: &[String]) {
        let (changed, drain) = (drain.is_some(), drain.cloned());
        match self {
            Self::Stop { answer, unrecorded: None } => drop(answer.send(Ok(StopAnswer { changed, state, drain }))),
            Self::Stop { answer, unrecorded: Some(error) } => drop(answer.send(Err(VerbError::NotRecorded(error)))),
            Self::Close(answer) => drop(answer.send(Ok(CloseAnswer { closed: closed.to_vec(), drain }))),
        }
    }

    /// The planned stop it waited for will not be.
    pub(super) fn call_off(self) {
        match self {
            Self::Stop { answer, .. } => drop(answer.send(Err(VerbError::CalledOff))),
            Self::Close(answer) => drop(answer.send(Err(VerbError::CalledOff))),
        }
    }
}
