//! The engine against parts and a tick that do as a test tells them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fermata_primitives::{ManualClock, Slot};
use futures::FutureExt;
use tokio::sync::Notify;

use super::*;
use crate::catalogue::Reason;
use crate::drain::Ending;
use crate::lifecycle::Refused;
use crate::poll_loop::{TickContext, TickError};
use crate::requests_tracker::RequestKind;
use crate::verbs::DrainOutcome;

/// What the tick does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Behaviour {
    Return,
    UntilReleased,
    Track,
    Panic,
    StopFromInside,
}

#[derive(Debug)]
struct Fake {
    behaviour: Mutex<Behaviour>,
    ticks: AtomicU64,
    ticking: AtomicUsize,
    most_at_once: AtomicUsize,
    began: Notify,
    release: Notify,
    starts: AtomicU64,
    stops: AtomicU64,
    closes: AtomicU64,
    refuse_start: Mutex<Option<PartsError>>,
    hold_start: Mutex<Option<Arc<Notify>>>,
    wishes: Mutex<Vec<Wish>>,
    engine: Mutex<Option<Engine>>,
}

impl Fake {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self {
            behaviour: Mutex::new(behaviour),
            ticks: AtomicU64::new(0),
            ticking: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            began: Notify::new(),
            release: Notify::new(),
            starts: AtomicU64::new(0),
            stops: AtomicU64::new(0),
            closes: AtomicU64::new(0),
            refuse_start: Mutex::default(),
            hold_start: Mutex::default(),
            wishes: Mutex::default(),
            engine: Mutex::default(),
        })
    }

    async fn work(&self, context: TickContext) {
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Return => {}
            Behaviour::UntilReleased => tokio::select! {
                () = self.release.notified() => {}
                () = context.interrupt.cancelled() => {}
            },
            Behaviour::Track => {
                context.requests.track(RequestKind::Checkpoint, Slot(1), |token| async move {
                    token.cancelled().await;
                    Ending::Cut
                });
            }
            Behaviour::Panic => panic!("on purpose"),
            Behaviour::StopFromInside => {
                let engine = self.engine.lock().unwrap().clone().expect("the test left it here");
                engine.stop(StopRequest::of(Drain::Graceful)).await.expect("accepted");
            }
        }
    }
}

struct FakeTick(Arc<Fake>);

impl Tick for FakeTick {
    fn tick(&self, context: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
        async move {
            let at_once = self.0.ticking.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            self.0.ticks.fetch_add(1, Ordering::SeqCst);
            self.0.began.notify_one();
            self.0.work(context).await;
            self.0.ticking.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
        .boxed()
    }
}

#[derive(Debug)]
struct FakeParts(Arc<Fake>);

impl Parts for FakeParts {
    fn start(&self, tokens: RunTokens, _: StartRequest) -> BoxFuture<'_, Result<Arc<dyn Tick>, PartsError>> {
        async move {
            self.0.starts.fetch_add(1, Ordering::SeqCst);
            let hold = self.0.hold_start.lock().unwrap().clone();
            if let Some(hold) = hold {
                tokio::select! {
                    () = hold.notified() => {}
                    () = tokens.interrupt.cancelled() => {
                        return Err(PartsError::new(Reason::Interrupted, "interrupted".into()));
                    }
                }
            }
            if let Some(error) = self.0.refuse_start.lock().unwrap().take() {
                return Err(error);
            }
            Ok(Arc::new(FakeTick(Arc::clone(&self.0))) as Arc<dyn Tick>)
        }
        .boxed()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.0.stops.fetch_add(1, Ordering::SeqCst);
        async {}.boxed()
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, PartsError>> {
        async { Ok(Rest { head: Head { number: 7, ..Head::default() }, last_checkpoint: None }) }.boxed()
    }

    fn record(&self, wish: Wish) -> BoxFuture<'_, Result<(), PartsError>> {
        self.0.wishes.lock().unwrap().push(wish);
        async { Ok(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Vec<String>> {
        self.0.closes.fetch_add(1, Ordering::SeqCst);
        async { vec!["store".to_owned()] }.boxed()
    }
}

fn engine(behaviour: Behaviour) -> (Engine, Arc<Fake>, Arc<ManualClock>) {
    let fake = Fake::new(behaviour);
    let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_000_000)));
    let config = EngineConfig { poll_interval: Duration::from_millis(500) };
    let engine = Engine::new(Arc::new(FakeParts(Arc::clone(&fake))), config, clock.clone());
    *fake.engine.lock().unwrap() = None;
    (engine, fake, clock)
}

fn graceful() -> StopRequest {
    StopRequest::of(Drain::Graceful)
}

fn interrupt() -> StopRequest {
    StopRequest::of(Drain::Interrupt)
}

fn lifecycle(engine: &Engine) -> Lifecycle {
    engine.status().borrow().lifecycle
}

#[tokio::test]
async fn many_starts_at_once_make_one_loop() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    let starts = (0..20).map(|_| engine.start(StartRequest::default()));
    let answers = futures::future::join_all(starts).await;
    assert!(answers.iter().all(Result::is_ok));
    fake.began.notified().await;
    assert_eq!(fake.starts.load(Ordering::SeqCst), 1);
    assert_eq!(engine.tasks_alive(), 2, "the owner and one poll loop");
    assert!(!engine.start(StartRequest::default()).await.expect("a no-op").changed);
}

#[tokio::test]
async fn a_stop_before_any_start_changes_nothing() {
    let (engine, fake, _) = engine(Behaviour::Return);
    let answer = engine.stop(graceful()).await.expect("a no-op");
    assert_eq!((answer.changed, answer.state, answer.drain), (false, Lifecycle::Idle, None));
    assert_eq!(fake.stops.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_graceful_stop_lets_the_tick_end_by_itself() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    let stop = engine.stop(graceful());
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    fake.release.notify_one();
    let report = stop.await.expect("stops").drain.expect("there was a run");
    assert_eq!((report.outcome, report.head.number), (DrainOutcome::Drained, 7));
    assert_eq!(lifecycle(&engine), Lifecycle::Stopped);
    assert_eq!(engine.tasks_alive(), 1, "only the owner is left");
}

#[tokio::test]
async fn a_stop_during_a_drain_joins_it() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    let both = futures::future::join(engine.stop(graceful()), engine.stop(graceful()));
    futures::pin_mut!(both);
    assert!(both.as_mut().now_or_never().is_none());
    fake.release.notify_one();
    let (first, second) = both.await;
    assert_eq!(first.expect("stops"), second.expect("joins"));
    assert_eq!(fake.stops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_interrupt_during_a_graceful_drain_escalates_it() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    let both = futures::future::join(engine.stop(graceful()), engine.stop(interrupt()));
    let (first, second) = both.await;
    assert_eq!(first.expect("stops").drain.expect("drained").outcome, DrainOutcome::Interrupted);
    assert_eq!(second.expect("stops").drain.expect("drained").outcome, DrainOutcome::Interrupted);
}

#[tokio::test]
async fn a_graceful_stop_past_its_deadline_interrupts_and_says_so() {
    let (engine, fake, clock) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    let stop = engine.stop(graceful().within(Duration::from_secs(3)));
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    while !matches!(lifecycle(&engine), Lifecycle::Stopping { .. }) {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(3));
    let report = stop.await.expect("stops").drain.expect("drained");
    assert_eq!(report.outcome, DrainOutcome::Deadline);
}

#[tokio::test]
async fn a_start_during_a_stop_is_refused_and_works_afterwards() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    let stop = engine.stop(graceful());
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    assert!(matches!(engine.start(StartRequest::default()).await, Err(VerbError::Refused(Refused::Stopping))));
    fake.release.notify_one();
    stop.await.expect("stops");
    assert!(engine.start(StartRequest::default()).await.expect("starts again").changed);
    fake.began.notified().await;
    assert_eq!(engine.status().borrow().runs, 2);
}

#[tokio::test]
async fn a_failed_start_can_be_retried() {
    let (engine, fake, _) = engine(Behaviour::Return);
    *fake.refuse_start.lock().unwrap() = Some(PartsError::new(Reason::L1Down, "no L1".into()));
    assert!(matches!(engine.start(StartRequest::default()).await, Err(VerbError::Start(_))));
    assert_eq!(lifecycle(&engine), Lifecycle::Idle);
    assert!(engine.start(StartRequest::default()).await.expect("starts").changed);
    assert_eq!(fake.starts.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stop_during_a_start_gives_the_start_up() {
    let (engine, fake, _) = engine(Behaviour::Return);
    *fake.hold_start.lock().unwrap() = Some(Arc::default());
    let both = futures::future::join(engine.start(StartRequest::default()), engine.stop(interrupt()));
    let (start, stop) = both.await;
    assert!(matches!(start, Err(VerbError::Interrupted)));
    assert!(!stop.expect("nothing runs").changed);
    assert_eq!(fake.ticks.load(Ordering::SeqCst), 0);
    assert_eq!(engine.tasks_alive(), 1);
}

#[tokio::test]
async fn a_panic_in_a_tick_stops_the_run_and_a_start_begins_a_new_one() {
    let (engine, fake, _) = engine(Behaviour::Panic);
    engine.start(StartRequest::default()).await.expect("starts");
    let mut status = engine.status();
    status.wait_for(|s| s.lifecycle == Lifecycle::Stopped).await.expect("the owner lives");
    assert!(status.borrow().failure.is_some());
    *fake.behaviour.lock().unwrap() = Behaviour::UntilReleased;
    engine.start(StartRequest::default()).await.expect("starts again");
    fake.began.notified().await;
    assert_eq!(engine.status().borrow().failure, None);
}

#[tokio::test]
async fn a_stop_from_inside_a_tick_does_not_deadlock() {
    let (engine, fake, _) = engine(Behaviour::StopFromInside);
    *fake.engine.lock().unwrap() = Some(engine.clone());
    engine.start(StartRequest::default()).await.expect("starts");
    engine.status().wait_for(|s| s.lifecycle == Lifecycle::Stopped).await.expect("the owner lives");
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_abort_its_stop() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    assert!(engine.stop(graceful()).now_or_never().is_none(), "polled once, then dropped");
    fake.release.notify_one();
    engine.status().wait_for(|s| s.lifecycle == Lifecycle::Stopped).await.expect("the owner lives");
}

#[tokio::test]
async fn tracked_requests_are_drained_and_counted() {
    let (engine, fake, _) = engine(Behaviour::Track);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    while engine.live_requests().await.is_empty() {
        tokio::task::yield_now().await;
    }
    let report = engine.stop(interrupt()).await.expect("stops").drain.expect("drained");
    assert!(report.work.iter().any(|work| work.ending == Ending::Cut));
    assert_eq!(engine.live_requests().await, []);
}

#[tokio::test]
async fn a_close_while_running_stops_first_and_nothing_starts_after_it() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    let answer = engine.close().await.expect("closes");
    assert_eq!(answer.closed, ["store"]);
    assert!(answer.drain.is_some());
    assert!(matches!(engine.start(StartRequest::default()).await, Err(VerbError::Refused(Refused::Closed))));
    assert!(engine.close().await.expect("a no-op").closed.is_empty());
    assert_eq!(fake.closes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_operators_wish_is_recorded_and_a_signals_is_not() {
    let (engine, fake, _) = engine(Behaviour::Return);
    engine.start(StartRequest::by(Author::new("alice"))).await.expect("starts");
    engine.stop(graceful()).await.expect("stops");
    engine.start(StartRequest::default()).await.expect("starts");
    engine.stop(StopRequest { author: Some(Author::new("bob")), ..graceful() }).await.expect("stops");
    let wishes: Vec<_> = fake.wishes.lock().unwrap().iter().map(|w| (w.running, w.author.by.clone())).collect();
    assert_eq!(wishes, [(true, "alice".to_owned()), (false, "bob".to_owned())]);
}

#[tokio::test]
async fn when_the_last_handle_goes_the_run_is_drained() {
    let (engine, fake, _) = engine(Behaviour::UntilReleased);
    engine.start(StartRequest::default()).await.expect("starts");
    fake.began.notified().await;
    let tasks = engine.tasks.clone();
    drop(engine);
    tasks.close();
    tasks.wait().await;
    assert_eq!(fake.stops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_thousand_starts_and_stops_leave_only_the_owner() {
    let (engine, fake, _) = engine(Behaviour::Return);
    for _ in 0..1_000 {
        engine.start(StartRequest::default()).await.expect("starts");
        engine.stop(interrupt()).await.expect("stops");
    }
    assert_eq!(engine.tasks_alive(), 1);
    assert_eq!(fake.most_at_once.load(Ordering::SeqCst).max(1), 1, "ticks never overlap");
    assert_eq!(fake.starts.load(Ordering::SeqCst), fake.stops.load(Ordering::SeqCst));
}
