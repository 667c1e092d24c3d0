//! Verbs of several callers under thousands of interleavings of all the engine's tasks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bench::{Behaviour, Bench, graceful, interrupt};
use crate::lifecycle::Lifecycle;
use crate::requests_tracker::RequestKind;
use crate::tasks::explored::explore;
use crate::tasks::{Task, Tasks};
use crate::verbs::{StartRequest, VerbError};

const SCHEDULES: usize = 2_000;

/// Nothing of any run is left, and the next one publishes.
async fn assert_publishes(bench: &Bench) {
    bench.engine.stop(interrupt()).await.expect("stops");
    assert_eq!(bench.engine.live_requests().await, []);
    bench.fake.behave(Behaviour::Return);
    let before = bench.fake.published.load(Ordering::SeqCst);
    bench.start().await;
    bench.engine.trigger().await.expect("it ticks");
    assert!(bench.fake.published.load(Ordering::SeqCst) > before, "a restart publishes");
    bench.fake.assert_one_loop();
    bench.engine.close().await.expect("closes");
    assert_eq!(bench.fake.closes.load(Ordering::SeqCst), 1);
}

async fn start(bench: &Bench) {
    match bench.engine.start(StartRequest::default()).await {
        Ok(answer) => assert_eq!(answer.state, Lifecycle::Running),
        Err(VerbError::Refused(_) | VerbError::Interrupted) => {}
        Err(other) => panic!("no answer to a start: {other:?}"),
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Start,
    Stop,
}

/// A task that asks for one after the other.
fn caller(bench: &Arc<Bench>, verbs: [Verb; 2]) -> Task<()> {
    let bench = Arc::clone(bench);
    Tasks::default().spawn(async move {
        for verb in verbs {
            match verb {
                Verb::Start => start(&bench).await,
                Verb::Stop => stop_hard(&bench).await,
            }
        }
    })
}

async fn stop_hard(bench: &Bench) {
    let answer = bench.engine.stop(interrupt()).await.expect("stops");
    assert!(matches!(answer.state, Lifecycle::Idle | Lifecycle::Stopped), "{answer:?}");
}

#[test]
fn starts_and_stops_of_three_callers_leave_one_loop_that_publishes() {
    explore(SCHEDULES, || async {
        let bench = Arc::new(Bench::new(Behaviour::Track(RequestKind::Checkpoint)));
        let callers = [[Verb::Start, Verb::Stop], [Verb::Start, Verb::Start], [Verb::Stop, Verb::Start]];
        let callers = callers.map(|verbs| caller(&bench, verbs));
        futures::future::join_all(callers).await;
        assert_publishes(&bench).await;
    });
}

#[test]
fn an_interrupt_always_escalates_a_graceful_stop_that_would_wait_for_ever() {
    explore(SCHEDULES, || async {
        let bench = Bench::new(Behaviour::UntilReleased);
        start(&bench).await;
        let patient = async { bench.engine.stop(graceful()).await.expect("stops") };
        let (patient, ()) = futures::join!(patient, stop_hard(&bench));
        assert!(matches!(patient.state, Lifecycle::Stopped), "{patient:?}");
        assert_publishes(&bench).await;
    });
}

#[test]
fn a_stop_from_inside_a_tick_and_one_from_outside_never_deadlock() {
    explore(SCHEDULES, || async {
        let bench = Bench::new(Behaviour::StopFromInside);
        *bench.fake.engine.lock().unwrap() = Some(bench.engine.clone());
        let (_, ()) = futures::join!(bench.engine.start(StartRequest::default()), stop_hard(&bench));
        assert_publishes(&bench).await;
        *bench.fake.engine.lock().unwrap() = None;
    });
}

#[test]
fn a_close_wins_over_every_other_verb() {
    explore(SCHEDULES, || async {
        let bench = Bench::new(Behaviour::Track(RequestKind::Fallback));
        let close = async { bench.engine.close().await.expect("closes") };
        futures::join!(start(&bench), close, stop_hard_or_closed(&bench));
        assert_eq!((bench.state(), bench.fake.closes.load(Ordering::SeqCst)), (Lifecycle::Closed, 1));
        bench.fake.assert_one_loop();
    });
}

async fn stop_hard_or_closed(bench: &Bench) {
    let answer = bench.engine.stop(interrupt()).await.expect("stops");
    assert!(!matches!(answer.state, Lifecycle::Running | Lifecycle::Stopping { .. }), "{answer:?}");
}
