//! Stops while nothing is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use fermata_e2e::Times;
use fermata_primitives::{Clock as _, SystemClock};
use fermata_sequencer::engine::{Engine, EngineConfig, Parts, Rest, Wish};
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::poll_loop::{Tick, TickContext, TickError};
use fermata_sequencer::requests_tracker::RequestsTracker;
use fermata_sequencer::run::RunTokens;
use fermata_sequencer::verbs::{PartsError, StartRequest, StopRequest};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::task::TaskTracker;

/// The interval of the reference's poll loop.
const POLL: Duration = Duration::from_millis(500);

/// Parts that need nothing, and the tick of a test.
pub(crate) struct OnlyTick(pub(crate) Arc<dyn Tick>);

impl std::fmt::Debug for OnlyTick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnlyTick")
    }
}

impl Parts for OnlyTick {
    fn start(&self, _: RunTokens, _: StartRequest) -> BoxFuture<'_, Result<Arc<dyn Tick>, PartsError>> {
        async { Ok(Arc::clone(&self.0)) }.boxed()
    }

    fn see_through(&self, _: &RequestsTracker) {}

    fn stop(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, PartsError>> {
        async { Ok(Rest::default()) }.boxed()
    }

    fn record(&self, _: Wish) -> BoxFuture<'_, Result<(), PartsError>> {
        async { Ok(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Vec<String>> {
        async { Vec::new() }.boxed()
    }
}

struct Nothing;

impl Tick for Nothing {
    fn tick(&self, _: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
        async { Ok(()) }.boxed()
    }
}

/// Moments all over the poll interval, without a generator of random numbers.
pub(crate) fn moment(nth: usize, span: Duration) -> Duration {
    span * u32::try_from(nth * 617 % 1_000).unwrap_or_default() / 1_000
}

/// Graceful stops of an engine that polls and finds nothing to do.
pub(crate) async fn graceful(stops: usize) -> Result<Times> {
    let config = EngineConfig { poll_interval: POLL };
    let engine = Engine::new(Arc::new(OnlyTick(Arc::new(Nothing))), config, Arc::new(SystemClock));
    let mut times = Times::default();
    for nth in 0..stops {
        engine.start(StartRequest::default()).await?;
        SystemClock.sleep(moment(nth, POLL / 10)).await;
        times.measure(engine.stop(StopRequest::of(Drain::Graceful))).await?;
    }
    Ok(times)
}

/// Stops of a loop that looks at a flag each time it wakes.
pub(crate) async fn flag_between_polls(stops: usize) -> Times {
    let (mut times, tasks) = (Times::default(), TaskTracker::new());
    for nth in 0..stops {
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        let polling = tasks.spawn(async move {
            while !flag.load(Ordering::SeqCst) {
                SystemClock.sleep(POLL).await;
            }
        });
        SystemClock.sleep(moment(nth, POLL)).await;
        stopped.store(true, Ordering::SeqCst);
        let _ = times.measure(polling).await;
    }
    times
}
