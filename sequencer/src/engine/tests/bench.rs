//! Parts and a tick that do as a test tells them, and keep a record of what was done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use alloy::primitives::B256;
use fermata_primitives::{ManualClock, Slot, UnixTime};
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use tokio::sync::Notify;

use crate::catalogue::Reason;
use crate::drain::{Ending, Head};
use crate::engine::{Engine, EngineConfig, Parts, Rest, Wish};
use crate::lifecycle::{Drain, Lifecycle};
use crate::poll_loop::{Tick, TickContext, TickError};
use crate::requests_tracker::{RequestKind, RequestsTracker};
use crate::run::RunTokens;
use crate::verbs::{PartsError, StartRequest, StopRequest};

/// What a part does when it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Act {
    #[default]
    Work,
    Refuse,
    Panic,
    /// Heeds nothing.
    Hang,
    /// Until released, or interrupted.
    Hold,
}

/// A part that a test can tell what to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    Start,
    /// Told to hold, it tracks what lasts until released, or interrupted.
    SeeThrough,
    Stop,
    Rest,
    Record,
    Close,
}

/// What the tick does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Behaviour {
    #[default]
    Return,
    Fail,
    UntilReleased,
    Track(RequestKind),
    /// Tracks a request that ends when it is released, and heeds the interrupt.
    TrackUntilReleased,
    /// Tracks a request that heeds nothing.
    TrackHang,
    Panic,
    Hang,
    StopFromInside,
    CloseFromInside,
    TriggerFromInside,
    /// Says that the limit was reached, where there is one.
    HeedLimit,
}

#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) behaviour: Mutex<Behaviour>,
    acts: Mutex<BTreeMap<Part, Act>>,
    /// What was done, in order.
    pub(super) done: Mutex<Vec<&'static str>>,
    pub(super) ticks: AtomicU64,
    ticking: AtomicUsize,
    most_at_once: AtomicUsize,
    /// Runs begun; a tick of an older one is a second loop.
    pub(super) starts: AtomicU64,
    pub(super) stops: AtomicU64,
    pub(super) closes: AtomicU64,
    strays: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) began: Notify,
    pub(super) release: Notify,
    pub(super) wishes: Mutex<Vec<Wish>>,
    pub(super) engine: Mutex<Option<Engine>>,
}

impl Fake {
    pub(super) fn tell(&self, part: Part, act: Act) {
        self.acts.lock().unwrap().insert(part, act);
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    pub(super) fn done(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.done.lock().unwrap()
    }

    /// Ticks never overlapped, and none was of an older run.
    pub(super) fn assert_one_loop(&self) {
        assert!(self.most_at_once.load(Ordering::SeqCst) <= 1, "two ticks at once");
        assert_eq!(self.strays.load(Ordering::SeqCst), 0, "a tick of an older run");
    }

    /// Does as told; false where the part is to refuse.
    async fn act(&self, part: Part, tokens: Option<&RunTokens>) -> bool {
        let act = self.acts.lock().unwrap().get(&part).copied().unwrap_or_default();
        match act {
            Act::Work => true,
            Act::Refuse => false,
            Act::Panic => panic!("on purpose"),
            Act::Hang => pending().await,
            Act::Hold => {
                let interrupted = async {
                    match tokens {
                        Some(tokens) => tokens.interrupt.cancelled().await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = self.release.notified() => true,
                    () = interrupted => false,
                }
            }
        }
    }

    fn note(&self, what: &'static str) {
        self.done.lock().unwrap().push(what);
    }

    async fn work(self: &Arc<Self>, context: TickContext) -> Result<(), TickError> {
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Return => {}
            Behaviour::Fail => return Err("on purpose".into()),
            Behaviour::UntilReleased => tokio::select! {
                biased;
                () = self.release.notified() => {}
                () = context.interrupt.cancelled() => {}
            },
            Behaviour::Track(kind) => self.track(kind, &context),
            Behaviour::TrackUntilReleased => {
                let this = Arc::clone(self);
                context.requests.track(RequestKind::Checkpoint, Slot(1), |interrupt| async move {
                    tokio::select! {
                        biased;
                        () = this.release.notified() => Ending::Landed { l1_tx: B256::ZERO },
                        () = interrupt.cancelled() => Ending::Cut,
                    }
                });
            }
            Behaviour::TrackHang => context.requests.track(RequestKind::Checkpoint, Slot(1), |_| pending::<Ending>()),
            Behaviour::Panic => panic!("on purpose"),
            Behaviour::Hang => pending().await,
            Behaviour::StopFromInside => drop(self.engine().stop(graceful()).await.expect("accepted")),
            Behaviour::CloseFromInside => drop(self.engine().close().await.expect("accepted")),
            Behaviour::TriggerFromInside => self.engine().trigger().await.expect("accepted"),
            Behaviour::HeedLimit => {
                let bounds = context.limit.bounds();
                if !bounds.is_open() {
                    context.limit.reach(bounds);
                }
            }
        }
        Ok(())
    }

    /// A request that ends when it is interrupted.
    fn track(self: &Arc<Self>, kind: RequestKind, context: &TickContext) {
        let this = Arc::clone(self);
        context.requests.track(kind, Slot(1), |interrupt| async move {
            interrupt.cancelled().await;
            this.note("request ended");
            Ending::Cut
        });
    }

    /// A request for another's slot, that ends when it is released or interrupted.
    fn attest(self: &Arc<Self>, requests: &RequestsTracker) {
        let this = Arc::clone(self);
        requests.track(RequestKind::Attestation, Slot(2), |interrupt| async move {
            let ending = tokio::select! {
                biased;
                () = this.release.notified() => Ending::Attested { members: 1 },
                () = interrupt.cancelled() => Ending::Cut,
            };
            this.note("request ended");
            ending
        });
    }

    fn engine(&self) -> Engine {
        self.engine.lock().unwrap().clone().expect("the test left it here")
    }
}

/// The tick of one run.
struct FakeTick {
    fake: Arc<Fake>,
    run: u64,
}

impl Tick for FakeTick {
    fn tick(&self, context: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
        async move {
            let fake = &self.fake;
            let _ticking = Ticking::begin(fake);
            if fake.starts.load(Ordering::SeqCst) != self.run {
                fake.strays.fetch_add(1, Ordering::SeqCst);
            }
            fake.ticks.fetch_add(1, Ordering::SeqCst);
            fake.began.notify_one();
            // What a healthy tick is for: a send that ends well.
            let this = Arc::clone(fake);
            if *fake.behaviour.lock().unwrap() == Behaviour::Return && !context.interrupt.is_cancelled() {
                this.published.fetch_add(1, Ordering::SeqCst);
            }
            let worked = fake.work(context).await;
            fake.note("tick ended");
            worked
        }
        .boxed()
    }
}

struct Ticking<'a>(&'a Fake);

impl<'a> Ticking<'a> {
    fn begin(fake: &'a Fake) -> Self {
        let at_once = fake.ticking.fetch_add(1, Ordering::SeqCst) + 1;
        fake.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        Self(fake)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.ticking.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub(super) struct FakeParts(pub(super) Arc<Fake>);

pub(super) const HEAD: Head = Head { number: 7, hash: B256::repeat_byte(7) };

fn refused(reason: Reason) -> PartsError {
    PartsError::new(reason, "refused on purpose".to_owned())
}

impl Parts for FakeParts {
    fn start(&self, tokens: RunTokens, _: StartRequest) -> BoxFuture<'_, Result<Arc<dyn Tick>, PartsError>> {
        async move {
            let fake = &self.0;
            fake.note("parts start");
            let run = fake.starts.fetch_add(1, Ordering::SeqCst) + 1;
            if !fake.act(Part::Start, Some(&tokens)).await {
                return Err(refused(Reason::L1Down));
            }
            Ok(Arc::new(FakeTick { fake: Arc::clone(fake), run }) as Arc<dyn Tick>)
        }
        .boxed()
    }

    fn see_through(&self, requests: &RequestsTracker) {
        let fake = &self.0;
        fake.note("see through");
        let act = fake.acts.lock().unwrap().get(&Part::SeeThrough).copied().unwrap_or_default();
        match act {
            Act::Panic => panic!("on purpose"),
            Act::Hold => fake.attest(requests),
            Act::Work | Act::Refuse | Act::Hang => {}
        }
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        async {
            self.0.stops.fetch_add(1, Ordering::SeqCst);
            self.0.note("parts stop");
            self.0.act(Part::Stop, None).await;
        }
        .boxed()
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, PartsError>> {
        async {
            let known = self.0.act(Part::Rest, None).await;
            let rest = Rest { head: HEAD, last_checkpoint: None };
            known.then_some(rest).ok_or_else(|| refused(Reason::Internal))
        }
        .boxed()
    }

    fn record(&self, wish: Wish) -> BoxFuture<'_, Result<(), PartsError>> {
        async {
            let recorded = self.0.act(Part::Record, None).await;
            if recorded {
                self.0.wishes.lock().unwrap().push(wish);
                self.0.note("wish recorded");
            }
            recorded.then_some(()).ok_or_else(|| refused(Reason::NotRecorded))
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Vec<String>> {
        async {
            self.0.closes.fetch_add(1, Ordering::SeqCst);
            self.0.note("parts close");
            self.0.act(Part::Close, None).await;
            vec!["store".to_owned()]
        }
        .boxed()
    }
}

/// An engine on fake parts, and a clock wound by hand.
pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) fake: Arc<Fake>,
    pub(super) clock: Arc<ManualClock>,
}

impl Bench {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        let fake = Arc::new(Fake::default());
        fake.behave(behaviour);
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_000_000_000)));
        let config = EngineConfig { poll_interval: Duration::from_millis(500) };
        let engine = Engine::new(Arc::new(FakeParts(Arc::clone(&fake))), config, clock.clone());
        Self { engine, fake, clock }
    }

    /// An engine in the middle of its first tick, or after it.
    pub(super) async fn running(behaviour: Behaviour) -> Self {
        let bench = Self::new(behaviour);
        bench.start().await;
        bench.fake.began.notified().await;
        bench
    }

    pub(super) async fn start(&self) {
        self.engine.start(StartRequest::default()).await.expect("starts");
    }

    pub(super) fn state(&self) -> Lifecycle {
        self.engine.status().borrow().lifecycle
    }

    pub(super) async fn until(&self, state: Lifecycle) {
        self.engine.status().wait_for(|status| status.lifecycle == state).await.expect("the owner lives");
    }

    /// Lets every task do what it can without time passing.
    pub(super) async fn settle(&self) {
        for _ in 0..40 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass in steps, so that each wait that ends can begin the next.
    pub(super) async fn pass(&self, span: Duration) {
        for _ in 0..4 {
            self.clock.advance(span / 4);
            self.settle().await;
        }
    }
}

pub(super) fn graceful() -> StopRequest {
    StopRequest::of(Drain::Graceful)
}

pub(super) fn interrupt() -> StopRequest {
    StopRequest::of(Drain::Interrupt)
}
