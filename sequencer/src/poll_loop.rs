//! Waits in one place, and a tick that has begun always ends.
//!
//! The first tick runs at once. Ticks never overlap. `trigger` asks for one more run that begins after the call; several
//! triggers coalesce. A tick that fails is reported and polling goes on; a tick that panics ends the loop.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::SharedClock;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::inside::inside_run;
use crate::requests_tracker::RequestsTracker;

/// What a tick is given: its run's interrupt and where to leave requests that outlive it.
#[derive(Clone, Debug)]
pub struct TickContext {
    /// Cancelled when the run is to end now: every wait of the tick must end with it.
    pub interrupt: CancellationToken,
    /// Sends that go on after the tick.
    pub requests: RequestsTracker,
}

/// A tick that failed; polling goes on.
pub type TickError = Box<dyn std::error::Error + Send + Sync>;

/// What is polled.
pub trait Tick: Send + Sync + 'static {
    /// One iteration. It ends by itself, or early when interrupted; it is never cut.
    fn tick(&self, context: TickContext) -> BoxFuture<'_, Result<(), TickError>>;
}

/// Why a loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoopEnd {
    /// It was halted.
    Halted,
    /// A tick panicked.
    Panicked,
}

/// Asks a loop for one more tick.
#[derive(Clone, Debug, Default)]
pub struct Trigger(Arc<Notify>);

impl Trigger {
    /// A tick will begin after this call; several calls before it begins are one.
    pub fn trigger(&self) {
        self.0.notify_one();
    }
}

/// A loop that polls `tick` every `every` until `halt` is cancelled.
#[derive(Clone)]
pub struct PollLoop {
    /// What is polled.
    pub tick: Arc<dyn Tick>,
    /// Time from the end of a tick to the next.
    pub every: Duration,
    /// Ends the loop: the tick in flight ends by itself, the sleep is cut.
    pub halt: CancellationToken,
    /// Wakes the sleep.
    pub trigger: Trigger,
    /// What sleeps are measured on.
    pub clock: SharedClock,
}

impl std::fmt::Debug for PollLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollLoop").field("every", &self.every).finish_non_exhaustive()
    }
}

impl PollLoop {
    /// Polls until halted.
    pub async fn run(self, context: TickContext) -> LoopEnd {
        while !self.halt.is_cancelled() {
            // Whoever has triggered until here is served by this tick.
            let _ = self.trigger.0.notified().now_or_never();
            let tick = AssertUnwindSafe(inside_run(self.tick.tick(context.clone())));
            match tick.catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = %chain(&*error), "tick failed; polling goes on"),
                Err(_) => {
                    tracing::error!("a tick panicked; the run ends");
                    return LoopEnd::Panicked;
                }
            }
            tokio::select! {
                () = self.halt.cancelled() => {}
                () = self.trigger.0.notified() => {}
                () = self.clock.sleep(self.every) => {}
            }
        }
        LoopEnd::Halted
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use fermata_primitives::{Clock, ManualClock, UnixTime};
    use tokio::sync::mpsc;
    use tokio_util::task::TaskTracker;

    use super::*;

    /// Reports each tick and does what it is told in it.
    struct Scripted {
        ticks: mpsc::UnboundedSender<u64>,
        count: std::sync::atomic::AtomicU64,
        script: fn(u64) -> Result<(), TickError>,
    }

    impl Tick for Scripted {
        fn tick(&self, _: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
            let nth = self.count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            self.ticks.send(nth).expect("the test listens");
            Box::pin(async move { (self.script)(nth) })
        }
    }

    struct Bench {
        clock: Arc<ManualClock>,
        halt: CancellationToken,
        trigger: Trigger,
        ticks: mpsc::UnboundedReceiver<u64>,
        end: tokio::task::JoinHandle<LoopEnd>,
    }

    fn bench(script: fn(u64) -> Result<(), TickError>) -> Bench {
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(0)));
        let (sender, ticks) = mpsc::unbounded_channel();
        let tick = Arc::new(Scripted { ticks: sender, count: 0.into(), script });
        let (halt, trigger) = (CancellationToken::new(), Trigger::default());
        let every = Duration::from_secs(1);
        let shared: SharedClock = clock.clone();
        let poll = PollLoop { tick, every, halt: halt.clone(), trigger: trigger.clone(), clock: shared.clone() };
        let interrupt = CancellationToken::new();
        let context = TickContext { interrupt: interrupt.clone(), requests: RequestsTracker::new(interrupt, shared) };
        let end = TaskTracker::new().spawn(poll.run(context));
        Bench { clock, halt, trigger, ticks, end }
    }

    #[tokio::test]
    async fn the_first_tick_runs_at_once_and_the_next_after_the_interval() {
        let mut bench = bench(|_| Ok(()));
        assert_eq!(bench.ticks.recv().await, Some(1));
        tokio::task::yield_now().await;
        assert!(bench.ticks.try_recv().is_err());
        while bench.ticks.is_empty() {
            bench.clock.advance(Duration::from_millis(250));
            tokio::task::yield_now().await;
        }
        assert!(bench.clock.now() >= UnixTime::from_millis(1_000));
    }

    #[tokio::test]
    async fn a_halt_wakes_the_sleep() {
        let mut bench = bench(|_| Ok(()));
        bench.ticks.recv().await;
        bench.halt.cancel();
        assert_eq!(bench.end.await.expect("the loop ends"), LoopEnd::Halted);
    }

    #[tokio::test]
    async fn a_failed_tick_is_followed_by_another() {
        let mut bench = bench(|nth| if nth == 1 { Err("on purpose".into()) } else { Ok(()) });
        bench.ticks.recv().await;
        bench.trigger.trigger();
        assert_eq!(bench.ticks.recv().await, Some(2));
    }

    #[tokio::test]
    async fn triggers_coalesce() {
        let mut bench = bench(|_| Ok(()));
        bench.ticks.recv().await;
        for _ in 0..10 {
            bench.trigger.trigger();
        }
        assert_eq!(bench.ticks.recv().await, Some(2));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(bench.ticks.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_panic_in_a_tick_ends_the_loop_and_nothing_else() {
        let bench = bench(|_| panic!("on purpose"));
        assert_eq!(bench.end.await.expect("the panic is contained"), LoopEnd::Panicked);
    }
}
