//! Random sequences of verbs, ticks, failures, slow parts and clock jumps, from several callers at once.
//!
//! Whatever happens: at most one loop polls, every caller gets an answer that its own request can have, no stop
//! outlives its deadline by more than the patience with what heeds nothing, and afterwards the engine starts and
//! publishes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fermata_primitives::{Clock as _, Slot, UnixTime};
use proptest::prelude::*;
use proptest::test_runner::Config;
use tokio::task::JoinHandle;

use super::bench::{Act, Behaviour, Bench, Part, graceful, interrupt};
use crate::engine::{Engine, PARTS_PATIENCE};
use crate::lifecycle::Lifecycle;
use crate::requests_tracker::RequestKind;
use crate::run::INTERRUPT_PATIENCE;
use crate::verbs::{Author, StartRequest, StopAnswer, StopAt, StopRequest, VerbError};

/// All that a stop may have to give up waiting for, one after the other: a tick, a request, a part's stop, the head,
/// the record of a wish, and a start that is in the way.
const PATIENCE: Duration = Duration::from_secs(2 * INTERRUPT_PATIENCE.as_secs() + 6 * PARTS_PATIENCE.as_secs());

#[derive(Clone, Debug)]
enum Step {
    Start,
    Stop(StopRequest),
    Close,
    /// The caller of the verb before goes away.
    GoAway,
    Behave(Behaviour),
    Tell(Part, Act),
    Release,
    Pass(u64),
    Jump(u64),
    Yield(usize),
}

fn request() -> impl Strategy<Value = StopRequest> {
    let at = prop_oneof![Just(StopAt::Slot(Slot(3))), Just(StopAt::Block(9))];
    let request = prop_oneof![
        3 => Just(graceful()),
        3 => Just(interrupt()),
        2 => (1_u64..5_000).prop_map(|ms| graceful().within(Duration::from_millis(ms))),
        1 => at.prop_map(|at| graceful().at(at).within(Duration::from_secs(4))),
    ];
    (request, any::<bool>()).prop_map(
        |(request, by_someone)| {
            if by_someone { request.by(Author::new("alice")) } else { request }
        },
    )
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        4 => Just(Behaviour::Return),
        2 => Just(Behaviour::UntilReleased),
        1 => Just(Behaviour::Fail),
        1 => Just(Behaviour::Panic),
        1 => Just(Behaviour::Hang),
        1 => Just(Behaviour::StopFromInside),
        1 => Just(Behaviour::HeedLimit),
        1 => Just(Behaviour::Track(RequestKind::Checkpoint)),
        1 => Just(Behaviour::Track(RequestKind::Fallback)),
        1 => Just(Behaviour::TrackUntilReleased),
        1 => Just(Behaviour::TrackHang),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![Just(Part::Start), Just(Part::Stop), Just(Part::Rest), Just(Part::Record)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Work),
        1 => Just(Act::Refuse),
        1 => Just(Act::Panic),
        1 => Just(Act::Hang),
        1 => Just(Act::Hold),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => Just(Step::Start),
        20 => request().prop_map(Step::Stop),
        1 => Just(Step::Close),
        3 => Just(Step::GoAway),
        10 => behaviour().prop_map(Step::Behave),
        8 => (part(), act()).prop_map(|(part, act)| Step::Tell(part, act)),
        6 => Just(Step::Release),
        8 => (1_u64..8_000).prop_map(Step::Pass),
        3 => (0_u64..4_000_000_000).prop_map(Step::Jump),
        12 => (0_usize..12).prop_map(Step::Yield),
    ]
}

struct Model {
    bench: Bench,
    /// Verbs whose callers wait.
    asked: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Model {
    fn new() -> Self {
        let bench = Bench::new(Behaviour::Return);
        *bench.fake.engine.lock().unwrap() = Some(bench.engine.clone());
        Self { bench, asked: Vec::new(), closed: false }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Start => self.asked.push(self.call(|engine| async move {
                let request = StartRequest::by(Author::new("bob"));
                check_start(&engine.start(request).await);
            })),
            Step::Stop(request) => self.stop(request),
            Step::Close => {
                self.closed = true;
                self.asked.push(self.call(|engine| async move {
                    engine.close().await.expect("a close is never refused");
                }));
            }
            Step::GoAway => {
                // It has asked by then.
                tokio::task::yield_now().await;
                if let Some(call) = self.asked.pop() {
                    call.abort();
                }
            }
            Step::Behave(behaviour) => self.bench.fake.behave(behaviour),
            Step::Tell(part, act) => self.bench.fake.tell(part, act),
            Step::Release => self.bench.fake.release.notify_waiters(),
            Step::Pass(ms) => self.bench.clock.advance(Duration::from_millis(ms)),
            Step::Jump(ms) => self.bench.clock.set(UnixTime::from_millis(ms)),
            Step::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
        }
        self.bench.fake.assert_one_loop();
    }

    fn stop(&mut self, request: StopRequest) {
        let clock = self.bench.clock.clone();
        let asked_at = clock.monotonic();
        self.asked.push(self.call(|engine| async move {
            let answer = engine.stop(request.clone()).await;
            check_stop(&request, &answer);
            if let Some(deadline) = request.deadline {
                let took = clock.monotonic().saturating_sub(asked_at);
                // Time goes in steps here, of eight seconds at most.
                assert!(took <= deadline + PATIENCE + Duration::from_secs(8), "{request:?} took {took:?}");
            }
        }));
    }

    #[expect(clippy::disallowed_methods, reason = "a caller of its own, which the test waits for")]
    fn call<F: Future<Output = ()> + Send + 'static>(&self, verb: impl FnOnce(Engine) -> F) -> JoinHandle<()> {
        tokio::spawn(verb(self.bench.engine.clone()))
    }

    /// Everything works again and time passes: each caller has its answer, and the engine publishes.
    async fn end(mut self) {
        for part in [Part::Start, Part::Stop, Part::Rest, Part::Record] {
            self.bench.fake.tell(part, Act::Work);
        }
        self.bench.fake.behave(Behaviour::HeedLimit);
        // A graceful drain without a deadline takes as long as its work does, until somebody interrupts it.
        self.stop(interrupt());
        for _ in 0..12 {
            if self.asked.iter().all(JoinHandle::is_finished) {
                break;
            }
            self.bench.fake.release.notify_waiters();
            self.bench.pass(PARTS_PATIENCE).await;
        }
        for call in self.asked.drain(..) {
            assert!(call.is_finished(), "a caller has no answer: wedged in {:?}", self.bench.engine.status().borrow());
            if let Err(error) = call.await {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        self.bench.fake.behave(Behaviour::Return);
        self.assert_publishes().await;
        self.bench.fake.assert_one_loop();
        *self.bench.fake.engine.lock().unwrap() = None;
    }

    async fn assert_publishes(&self) {
        if self.closed {
            assert_eq!(self.bench.state(), Lifecycle::Closed);
            return;
        }
        self.bench.engine.stop(interrupt()).await.expect("stops");
        assert_eq!(self.bench.engine.tasks_alive(), 1, "nothing of any run is left");
        assert_eq!(self.bench.engine.live_requests().await, []);
        let before = self.bench.fake.published.load(Ordering::SeqCst);
        self.bench.start().await;
        self.bench.settle().await;
        assert!(self.bench.fake.published.load(Ordering::SeqCst) > before, "a restart publishes");
    }
}

fn check_start(answer: &Result<crate::verbs::StartAnswer, VerbError>) {
    match answer {
        Ok(answer) => assert_eq!(answer.state, Lifecycle::Running),
        Err(VerbError::Refused(_) | VerbError::Start(_) | VerbError::Interrupted | VerbError::NotRecorded(_)) => {}
        Err(other) => panic!("no answer to a start: {other:?}"),
    }
}

fn check_stop(request: &StopRequest, answer: &Result<StopAnswer, VerbError>) {
    match answer {
        Ok(StopAnswer { changed, state, drain }) => {
            assert_eq!(*changed, drain.is_some());
            assert!(matches!(state, Lifecycle::Idle | Lifecycle::Stopped | Lifecycle::Closed), "{state:?}");
        }
        Err(VerbError::NotRecorded(_)) => assert!(request.author.is_some(), "nobody's wish was to be recorded"),
        Err(VerbError::CalledOff) => assert!(request.at.is_some(), "only a planned stop can be called off"),
        Err(other) => panic!("no answer to a stop: {other:?}"),
    }
}

proptest! {
    #![proptest_config(Config { cases: 10_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_is_asked_in_whatever_order_the_engine_is_never_wedged_and_publishes_afterwards(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut model = Model::new();
            for step in steps {
                model.take(step).await;
            }
            model.end().await;
        });
    }
}
