//! Waits in one place, and a tick that has begun always ends.
//!
//! The first tick runs at once. Ticks never overlap. `trigger` asks for one more run that begins after the call; several
//! triggers coalesce. A tick that fails is reported and polling goes on; a tick that panics ends the loop.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fermata_primitives::{SharedClock, UnixTime};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::inside::inside_run;
use crate::limit::Limit;
use crate::requests_tracker::RequestsTracker;

/// What a tick is given.
#[derive(Clone, Debug)]
pub struct TickContext {
    /// Cancelled when the run is to end now: every wait of the tick must end with it.
    pub interrupt: CancellationToken,
    /// Sends that go on after the tick.
    pub requests: RequestsTracker,
    /// How far the run goes.
    pub limit: Limit,
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

/// Asks a loop for one more tick. Clones ask the same loop.
#[derive(Clone, Debug, Default)]
pub struct Trigger {
    wake: Arc<Notify>,
    asked: Arc<Mutex<Asked>>,
}

/// Who waits for a tick that has not begun.
#[derive(Debug, Default)]
enum Asked {
    #[default]
    Nobody,
    Some(Vec<oneshot::Sender<()>>),
    /// The loop has ended: there will be no tick.
    TooLate,
}

impl Trigger {
    /// A tick will begin after this call; several calls before it begins are one. `done` hears when it has ended, and is
    /// dropped where the loop ends first.
    pub fn trigger(&self, done: oneshot::Sender<()>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *asked {
            Asked::Nobody => *asked = Asked::Some(vec![done]),
            Asked::Some(waiting) => waiting.push(done),
            Asked::TooLate => {}
        }
        self.wake.notify_one();
    }

    /// Those whom the tick that begins now serves.
    fn served(&self) -> Vec<oneshot::Sender<()>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *asked) {
            Asked::Some(waiting) => waiting,
            Asked::Nobody | Asked::TooLate => Vec::new(),
        }
    }
}

/// What the poll loop has done last.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Beat {
    /// Ticks that began, over all runs.
    pub ticks: u64,
    /// When the last one began.
    pub began: UnixTime,
    /// When it ended; `None` while it goes on.
    pub ended: Option<UnixTime>,
}

/// How a loop polls, the same in every run.
#[derive(Clone, Debug)]
pub struct Polling {
    /// Time from the end of a tick to the next.
    pub every: Duration,
    /// What sleeps are measured on.
    pub clock: SharedClock,
    /// Shows that it ticks.
    pub pulse: watch::Sender<Beat>,
}

/// A loop that polls `tick` until `halt` is cancelled.
#[derive(Clone)]
pub struct PollLoop {
    /// What is polled.
    pub tick: Arc<dyn Tick>,
    /// How.
    pub polling: Polling,
    /// Ends the loop: the tick in flight ends by itself, the sleep is cut.
    pub halt: CancellationToken,
    /// Wakes the sleep.
    pub trigger: Trigger,
}

impl std::fmt::Debug for PollLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollLoop").field("polling", &self.polling).finish_non_exhaustive()
    }
}

impl PollLoop {
    /// Polls until halted.
    pub async fn run(self, context: TickContext) -> LoopEnd {
        let _end = NoMoreTicks(self.trigger.clone());
        while !self.halt.is_cancelled() {
            // Whoever has triggered until here is served by this tick.
            let _ = self.trigger.wake.notified().now_or_never();
            let served = self.trigger.served();
            match self.one_tick(context.clone()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = %chain(&*error), "tick failed; polling goes on"),
                Err(_) => {
                    tracing::error!("a tick panicked; the run ends");
                    return LoopEnd::Panicked;
                }
            }
            for done in served {
                let _ = done.send(());
            }
            tokio::select! {
                biased;
                () = self.halt.cancelled() => {}
                () = self.trigger.wake.notified() => {}
                () = self.rest() => {}
            }
        }
        LoopEnd::Halted
    }

    async fn one_tick(&self, context: TickContext) -> std::thread::Result<Result<(), TickError>> {
        let Polling { clock, pulse, .. } = &self.polling;
        let began = clock.now();
        pulse.send_modify(|beat| *beat = Beat { ticks: beat.ticks + 1, began, ended: None });
        let tick = AssertUnwindSafe(inside_run(self.tick.tick(context)));
        let ended = tick.catch_unwind().await;
        let now = clock.now();
        pulse.send_modify(|beat| beat.ended = Some(now));
        ended
    }

    /// Resolves after the interval, or when the clock has jumped past its end.
    async fn rest(&self) {
        let Polling { every, clock, .. } = &self.polling;
        tokio::select! {
            biased;
            () = clock.sleep(*every) => {}
            () = clock.sleep_until(clock.now() + *every) => {}
        }
    }
}

/// When the loop has ended, whoever asks for a tick is told at once.
struct NoMoreTicks(Trigger);

impl Drop for NoMoreTicks {
    fn drop(&mut self) {
        *self.0.asked.lock().unwrap_or_else(PoisonError::into_inner) = Asked::TooLate;
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

    /// What a tick is to do.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Script {
        Return,
        FailFirst,
        Panic,
        UntilHalted,
    }

    /// Reports each tick and does what it is told in it.
    struct Scripted {
        ticks: mpsc::UnboundedSender<u64>,
        count: std::sync::atomic::AtomicU64,
        script: Script,
        release: Arc<Notify>,
    }

    impl Tick for Scripted {
        fn tick(&self, _: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
            let nth = self.count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            self.ticks.send(nth).expect("the test listens");
            Box::pin(async move {
                match self.script {
                    Script::Return => Ok(()),
                    Script::FailFirst => {
                        if nth == 1 {
                            Err("on purpose".into())
                        } else {
                            Ok(())
                        }
                    }
                    Script::Panic => panic!("on purpose"),
                    Script::UntilHalted => {
                        self.release.notified().await;
                        Ok(())
                    }
                }
            })
        }
    }

    struct Bench {
        clock: Arc<ManualClock>,
        halt: CancellationToken,
        trigger: Trigger,
        ticks: mpsc::UnboundedReceiver<u64>,
        pulse: watch::Receiver<Beat>,
        release: Arc<Notify>,
        end: tokio::task::JoinHandle<LoopEnd>,
    }

    impl Bench {
        fn trigger(&self) -> oneshot::Receiver<()> {
            let (done, heard) = oneshot::channel();
            self.trigger.trigger(done);
            heard
        }

        async fn settle(&self) {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }

        async fn resting(&mut self) {
            self.pulse.wait_for(|beat| beat.ended.is_some()).await.expect("the loop lives");
            self.settle().await;
        }
    }

    fn bench(script: Script) -> Bench {
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(3_600_000)));
        let (sender, ticks) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        let tick = Arc::new(Scripted { ticks: sender, count: 0.into(), script, release: Arc::clone(&release) });
        let (halt, trigger) = (CancellationToken::new(), Trigger::default());
        let shared: SharedClock = clock.clone();
        let (pulse, beat) = watch::channel(Beat::default());
        let polling = Polling { every: Duration::from_secs(1), clock: shared.clone(), pulse };
        let poll = PollLoop { tick, polling, halt: halt.clone(), trigger: trigger.clone() };
        let interrupt = CancellationToken::new();
        let requests = RequestsTracker::new(interrupt.clone(), shared);
        let context = TickContext { interrupt, requests, limit: Limit::default() };
        let end = TaskTracker::new().spawn(poll.run(context));
        Bench { clock, halt, trigger, ticks, pulse: beat, release, end }
    }

    #[tokio::test]
    async fn the_first_tick_runs_at_once_and_the_next_after_the_interval() {
        let mut bench = bench(Script::Return);
        assert_eq!(bench.ticks.recv().await, Some(1));
        bench.resting().await;
        bench.clock.advance(Duration::from_millis(999));
        bench.settle().await;
        assert!(bench.ticks.try_recv().is_err());
        bench.clock.advance(Duration::from_millis(1));
        assert_eq!(bench.ticks.recv().await, Some(2));
    }

    #[tokio::test]
    async fn a_halt_wakes_the_sleep() {
        let mut bench = bench(Script::Return);
        bench.ticks.recv().await;
        bench.halt.cancel();
        assert_eq!(bench.end.await.expect("the loop ends"), LoopEnd::Halted);
    }

    #[tokio::test]
    async fn a_halt_during_a_tick_waits_for_that_tick() {
        let mut bench = bench(Script::UntilHalted);
        bench.ticks.recv().await;
        bench.halt.cancel();
        bench.settle().await;
        assert!(!bench.end.is_finished());
        bench.release.notify_one();
        assert_eq!(bench.end.await.expect("the loop ends"), LoopEnd::Halted);
        assert!(bench.ticks.try_recv().is_err(), "no tick begins after a halt");
    }

    #[tokio::test]
    async fn a_clock_that_jumps_forwards_wakes_the_sleep_and_one_that_jumps_back_does_not_draw_it_out() {
        let mut bench = bench(Script::Return);
        bench.ticks.recv().await;
        bench.resting().await;
        bench.clock.set(bench.clock.now() + Duration::from_secs(86_400));
        assert_eq!(bench.ticks.recv().await, Some(2));
        bench.resting().await;
        bench.clock.set(UnixTime::from_millis(0));
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(bench.ticks.recv().await, Some(3));
    }

    #[tokio::test]
    async fn a_failed_tick_is_followed_by_another() {
        let mut bench = bench(Script::FailFirst);
        bench.ticks.recv().await;
        bench.trigger().await.expect("served");
        assert_eq!(bench.ticks.recv().await, Some(2));
    }

    #[tokio::test]
    async fn triggers_coalesce_and_resolve_after_a_tick_that_began_after_them() {
        let mut bench = bench(Script::UntilHalted);
        bench.ticks.recv().await;
        let mut served: Vec<_> = (0..10).map(|_| bench.trigger()).collect();
        bench.release.notify_one();
        assert_eq!(bench.ticks.recv().await, Some(2));
        assert!(served.iter_mut().all(|heard| heard.try_recv().is_err()), "the first tick began before them");
        bench.release.notify_one();
        futures::future::try_join_all(served).await.expect("the second serves all");
        bench.settle().await;
        assert!(bench.ticks.try_recv().is_err(), "one tick is enough for ten");
    }

    #[tokio::test]
    async fn a_trigger_fails_when_the_loop_ends_first() {
        let mut bench = bench(Script::UntilHalted);
        bench.ticks.recv().await;
        let heard = bench.trigger();
        bench.halt.cancel();
        bench.release.notify_one();
        heard.await.expect_err("no tick began after it");
        bench.trigger().await.expect_err("nor will one");
    }

    #[tokio::test]
    async fn a_panic_in_a_tick_ends_the_loop_and_nothing_else() {
        let bench = bench(Script::Panic);
        assert_eq!(bench.end.await.expect("the panic is contained"), LoopEnd::Panicked);
    }

    #[tokio::test]
    async fn the_pulse_shows_a_tick_that_goes_on() {
        let mut bench = bench(Script::UntilHalted);
        bench.ticks.recv().await;
        let beat = *bench.pulse.borrow();
        assert_eq!((beat.ticks, beat.ended), (1, None));
        bench.release.notify_one();
        bench.resting().await;
        assert!(bench.pulse.borrow().ended.is_some());
    }
}
