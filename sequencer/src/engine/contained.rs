//! Parts that cannot take the engine down: a panic is caught, a part that hangs is given up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, crash_point};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Parts, Rest, Wish};
use crate::catalogue::Reason;
use crate::poll_loop::Tick;
use crate::requests_tracker::RequestsTracker;
use crate::run::RunTokens;
use crate::verbs::{PartsError, StartRequest};

/// A part that has not returned after this is given up; monotonic time. A start has all the time it needs, until it is
/// interrupted.
pub const PARTS_PATIENCE: Duration = Duration::from_secs(10);

/// The parts of a node, contained.
#[derive(Clone)]
pub(super) struct Contained {
    parts: Arc<dyn Parts>,
    clock: SharedClock,
}

impl Contained {
    pub(super) const fn new(parts: Arc<dyn Parts>, clock: SharedClock) -> Self {
        Self { parts, clock }
    }

    /// Brings the parts up; on an error, what had come up has been taken down again.
    pub(super) fn start(
        &self,
        tokens: RunTokens,
        request: StartRequest,
    ) -> BoxFuture<'static, Result<Arc<dyn Tick>, PartsError>> {
        let this = self.clone();
        async move {
            let started = this.bring_up(tokens, request).await;
            if started.is_err() {
                this.roll_back().await;
            }
            started
        }
        .boxed()
    }

    async fn bring_up(&self, tokens: RunTokens, request: StartRequest) -> Result<Arc<dyn Tick>, PartsError> {
        let interrupt = tokens.interrupt.clone();
        let given_up = async {
            interrupt.cancelled().await;
            self.clock.sleep(PARTS_PATIENCE).await;
        };
        tokio::select! {
            biased;
            started = AssertUnwindSafe(self.parts.start(tokens, request)).catch_unwind() => {
                started.unwrap_or_else(|_| Err(internal("a part panicked while it started")))
            }
            () = given_up => Err(internal("a part did not give its start up when it was interrupted")),
        }
    }

    /// Takes down what a start that failed had brought up; what does not come down is logged.
    pub(super) async fn roll_back(&self) {
        if let Err(failure) = self.stop().await {
            tracing::error!(failure, "a start that failed could not be rolled back");
        }
    }

    /// What others still need is tracked; a panic is logged, and costs nobody but them.
    pub(super) fn see_through(&self, requests: &RequestsTracker) {
        if std::panic::catch_unwind(AssertUnwindSafe(|| self.parts.see_through(requests))).is_err() {
            tracing::error!("a part panicked when it was to see what is in flight through for others");
        }
    }

    pub(super) async fn stop(&self) -> Result<(), String> {
        self.within("stop", self.parts.stop()).await
    }

    pub(super) async fn rest(&self) -> Result<Rest, String> {
        let rest = self.within("tell where the node is", self.parts.rest()).await?;
        rest.map_err(|error| error.message)
    }

    /// Makes the wish survive the process.
    pub(super) async fn record(&self, wish: Wish) -> Result<(), PartsError> {
        let recorded = self.within("record the desired state", self.parts.record(wish)).await;
        recorded.unwrap_or_else(|failure| Err(PartsError::new(Reason::NotRecorded, failure)))?;
        crash_point!("sequencer.after_desired_state");
        Ok(())
    }

    /// What was released; what could not be is logged.
    pub(super) async fn close(&self) -> Vec<String> {
        self.within("close", self.parts.close()).await.unwrap_or_else(|failure| {
            tracing::error!(failure, "not everything was released; it is when the process ends");
            Vec::new()
        })
    }

    async fn within<T>(&self, what: &str, part: BoxFuture<'_, T>) -> Result<T, String> {
        tokio::select! {
            biased;
            done = AssertUnwindSafe(part).catch_unwind() => done.map_err(|_| format!("a part panicked when it was to {what}")),
            () = self.clock.sleep(PARTS_PATIENCE) => Err(format!("a part did not {what} within {PARTS_PATIENCE:?}")),
        }
    }
}

fn internal(message: &str) -> PartsError {
    PartsError::new(Reason::Internal, message.to_owned())
}
