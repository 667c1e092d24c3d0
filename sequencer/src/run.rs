//! One start-to-drain of the poll loop. A restart is a new [`Run`], never an old one with flags cleared.

use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::SharedClock;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::drain::DrainedWork;
use crate::lifecycle::Drain;
use crate::limit::Limit;
use crate::poll_loop::{LoopEnd, PollLoop, Polling, Tick, TickContext, Trigger};
use crate::requests_tracker::RequestsTracker;
use crate::tasks::{Task, Tasks};

/// The tokens of one run. They are fresh with every run, so what an older run left behind stays interrupted for ever.
#[derive(Clone, Debug, Default)]
pub struct RunTokens {
    /// Ends the poll loop after the tick in flight.
    pub halt: CancellationToken,
    /// Asks the tick in flight and every tracked request to end now.
    pub interrupt: CancellationToken,
}

impl RunTokens {
    /// Ends the run as hard as `drain` says. May be called again, harder.
    pub fn end(&self, drain: Drain) {
        match drain {
            Drain::Graceful => {}
            Drain::Interrupt => self.interrupt.cancel(),
        }
        self.halt.cancel();
    }
}

/// A poll loop that runs, and the sends it leaves behind.
#[derive(Debug)]
pub struct Run {
    tokens: RunTokens,
    limit: Limit,
    trigger: Trigger,
    poll_loop: Task<LoopEnd>,
    requests: RequestsTracker,
    clock: SharedClock,
}

/// What was left of a run when it had ended.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Settled {
    /// The work that was in flight when the drain began, or came up during it.
    pub work: Vec<DrainedWork>,
    /// What did not end as it should, a sentence each.
    pub failures: Vec<String>,
}

/// What does not end when it is interrupted is aborted after this; monotonic time.
pub const INTERRUPT_PATIENCE: Duration = Duration::from_secs(5);

impl Run {
    /// Starts polling. The loop is a task of `tasks`, whose owner drains it.
    #[must_use]
    pub fn begin(tokens: RunTokens, tick: Arc<dyn Tick>, polling: Polling, tasks: &Tasks) -> Self {
        let clock = polling.clock.clone();
        let requests = RequestsTracker::new(tokens.interrupt.clone(), clock.clone());
        let (limit, trigger) = (Limit::default(), Trigger::default());
        let poll = PollLoop { tick, polling, halt: tokens.halt.clone(), trigger: trigger.clone() };
        let context =
            TickContext { interrupt: tokens.interrupt.clone(), requests: requests.clone(), limit: limit.clone() };
        let poll_loop = tasks.spawn(poll.run(context));
        Self { tokens, limit, trigger, poll_loop, requests, clock }
    }

    /// The run's tokens.
    #[must_use]
    pub const fn tokens(&self) -> &RunTokens {
        &self.tokens
    }

    /// How far it goes.
    #[must_use]
    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Asks for one more tick; `done` hears when one that began after this has ended.
    pub fn trigger(&self, done: oneshot::Sender<()>) {
        self.trigger.trigger(done);
    }

    /// The run's tracked requests.
    #[must_use]
    pub const fn requests(&self) -> &RequestsTracker {
        &self.requests
    }

    /// Resolves when the poll loop has ended without being asked to.
    ///
    /// # Cancel safety
    /// May be dropped and called again, until it has resolved.
    pub async fn ended_by_itself(&mut self) -> LoopEnd {
        (&mut self.poll_loop).await.unwrap_or(LoopEnd::Panicked)
    }

    /// Waits until the loop and every request have ended. What an interrupt does not end is aborted. End the tokens first.
    pub async fn settle(mut self) -> Settled {
        let mut failures = Vec::new();
        if !self.settle_loop().await {
            failures.push("the tick did not end when it was interrupted, and was aborted".to_owned());
        }
        // From here on nobody can track a new send.
        self.requests.interrupt_fallbacks();
        if !self.settle_requests().await {
            failures.push("a tracked request did not end when it was interrupted, and was aborted".to_owned());
        }
        Settled { work: self.requests.drained(), failures }
    }

    /// True when the loop ended by itself. One that has been waited for already, as after a panic, has ended.
    async fn settle_loop(&mut self) -> bool {
        if self.poll_loop.is_finished() {
            return true;
        }
        let patience = patience(&self.tokens, &self.clock);
        tokio::select! {
            biased;
            _ = &mut self.poll_loop => return true,
            () = patience => self.poll_loop.abort(),
        }
        let _ = (&mut self.poll_loop).await;
        false
    }

    /// True when all requests ended by themselves.
    async fn settle_requests(&self) -> bool {
        tokio::select! {
            biased;
            () = self.requests.settle() => return true,
            () = patience(&self.tokens, &self.clock) => self.requests.abort(),
        }
        self.requests.settle().await;
        false
    }
}

/// Resolves a while after the interrupt.
async fn patience(tokens: &RunTokens, clock: &SharedClock) {
    tokens.interrupt.cancelled().await;
    clock.sleep(INTERRUPT_PATIENCE).await;
}
