//! One start-to-drain of the poll loop. A restart is a new [`Run`], never an old one with flags cleared.

use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::SharedClock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lifecycle::Drain;
use crate::poll_loop::{LoopEnd, PollLoop, Tick, TickContext, Trigger};
use crate::requests_tracker::RequestsTracker;

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
    trigger: Trigger,
    poll_loop: JoinHandle<LoopEnd>,
    requests: RequestsTracker,
}

impl Run {
    /// Starts polling. The loop is a task of `tasks`, whose owner drains it.
    #[must_use]
    pub fn begin(
        tokens: RunTokens,
        tick: Arc<dyn Tick>,
        every: Duration,
        clock: SharedClock,
        tasks: &TaskTracker,
    ) -> Self {
        let requests = RequestsTracker::new(tokens.interrupt.clone(), clock.clone());
        let trigger = Trigger::default();
        let poll = PollLoop { tick, every, halt: tokens.halt.clone(), trigger: trigger.clone(), clock };
        let context = TickContext { interrupt: tokens.interrupt.clone(), requests: requests.clone() };
        let poll_loop = tasks.spawn(poll.run(context));
        Self { tokens, trigger, poll_loop, requests }
    }

    /// The run's tokens.
    #[must_use]
    pub const fn tokens(&self) -> &RunTokens {
        &self.tokens
    }

    /// Asks for one more tick.
    #[must_use]
    pub const fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// The run's tracked requests.
    #[must_use]
    pub const fn requests(&self) -> &RequestsTracker {
        &self.requests
    }

    /// Resolves when the poll loop has ended without being asked to.
    pub async fn ended_by_itself(&mut self) -> LoopEnd {
        (&mut self.poll_loop).await.unwrap_or(LoopEnd::Panicked)
    }

    /// Waits until the loop and every request have ended. End the tokens first.
    pub async fn settle(self) -> RequestsTracker {
        if !self.poll_loop.is_finished() {
            // From here on nobody can track a new send. A loop that panicked has ended as well.
            let _ = self.poll_loop.await;
        }
        self.requests.interrupt_fallbacks();
        self.requests.settle().await;
        self.requests
    }
}
