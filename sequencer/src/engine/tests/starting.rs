//! Starts: once, at once, again after a failure, and never beside a stop.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fermata_primitives::Slot;

use super::bench::{Act, Behaviour, Bench, HEAD, Part, graceful, interrupt};
use crate::catalogue::Reason;
use crate::lifecycle::{Lifecycle, Refused};
use crate::verbs::{Author, StartRequest, StopAt, VerbError};

#[tokio::test]
async fn a_start_runs_the_first_tick_at_once_and_tells_the_head() {
    let bench = Bench::new(Behaviour::UntilReleased);
    let answer = bench.engine.start(StartRequest::default()).await.expect("starts");
    assert_eq!((answer.changed, answer.state, answer.head), (true, Lifecycle::Running, HEAD));
    bench.fake.began.notified().await;
    assert_eq!(bench.state(), Lifecycle::Running);
}

#[tokio::test]
async fn a_second_start_changes_nothing_and_the_same_loop_polls_on() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let answer = bench.engine.start(StartRequest::default()).await.expect("a no-op");
    assert!(!answer.changed);
    assert_eq!(bench.fake.starts.load(Ordering::SeqCst), 1);
    assert_eq!(bench.engine.status().borrow().runs, 1);
    assert_eq!(bench.engine.tasks_alive(), 2, "the owner and one poll loop");
}

#[tokio::test]
async fn many_starts_at_once_make_one_loop() {
    let bench = Bench::new(Behaviour::UntilReleased);
    let starts = (0..20).map(|_| bench.engine.start(StartRequest::default()));
    let answers = futures::future::join_all(starts).await;
    assert!(answers.iter().all(Result::is_ok));
    bench.fake.began.notified().await;
    assert_eq!(bench.fake.starts.load(Ordering::SeqCst), 1);
    assert_eq!(bench.engine.tasks_alive(), 2, "the owner and one poll loop");
}

#[tokio::test]
async fn a_start_during_a_stop_is_refused_and_works_afterwards() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let stop = async {
        let stopped = bench.engine.stop(graceful()).await.expect("stops");
        assert_eq!(stopped.state, Lifecycle::Stopped);
    };
    let meddle = async {
        let refused = bench.engine.start(StartRequest::default()).await;
        assert!(matches!(refused, Err(VerbError::Refused(Refused::Stopping))), "{refused:?}");
        assert_eq!(bench.engine.tasks_alive(), 2, "no second loop beside the draining tick");
        bench.fake.release.notify_one();
    };
    futures::join!(stop, meddle);
    bench.start().await;
    bench.fake.began.notified().await;
    assert_eq!(bench.engine.status().borrow().runs, 2);
    bench.fake.assert_one_loop();
}

#[tokio::test]
async fn a_start_that_fails_is_rolled_back_and_can_be_retried() {
    let bench = Bench::new(Behaviour::Return);
    bench.fake.tell(Part::Start, Act::Refuse);
    let failed = bench.engine.start(StartRequest::by(Author::new("alice"))).await;
    assert!(matches!(failed, Err(VerbError::Start(error)) if error.reason == Reason::L1Down));
    assert_eq!(bench.state(), Lifecycle::Idle);
    assert_eq!(*bench.fake.done(), ["parts start", "parts stop"], "and nobody's wish");
    bench.fake.tell(Part::Start, Act::Work);
    bench.start().await;
    bench.fake.began.notified().await;
    assert_eq!(bench.engine.tasks_alive(), 2, "one loop");
}

#[tokio::test]
async fn a_start_whose_wish_cannot_be_recorded_starts_nothing() {
    let bench = Bench::new(Behaviour::Return);
    bench.fake.tell(Part::Record, Act::Refuse);
    let failed = bench.engine.start(StartRequest::by(Author::new("alice"))).await;
    assert!(matches!(failed, Err(VerbError::NotRecorded(_))), "{failed:?}");
    assert_eq!((bench.state(), bench.fake.ticks.load(Ordering::SeqCst)), (Lifecycle::Idle, 0));
    assert_eq!(*bench.fake.done(), ["parts start", "parts stop"]);
}

#[tokio::test]
async fn a_stop_during_a_start_gives_the_start_up_and_no_loop_appears() {
    let bench = Bench::new(Behaviour::Return);
    bench.fake.tell(Part::Start, Act::Hold);
    let (start, stop) = futures::join!(bench.engine.start(StartRequest::default()), bench.engine.stop(interrupt()));
    assert!(matches!(start, Err(VerbError::Interrupted)), "{start:?}");
    assert!(!stop.expect("nothing runs").changed);
    bench.settle().await;
    assert_eq!((bench.fake.ticks.load(Ordering::SeqCst), bench.engine.tasks_alive()), (0, 1));
}

#[tokio::test]
async fn a_start_while_another_is_under_way_joins_it() {
    let bench = Bench::new(Behaviour::UntilReleased);
    bench.fake.tell(Part::Start, Act::Hold);
    let first = bench.engine.start(StartRequest::default());
    let second = bench.engine.start(StartRequest::by(Author::new("alice")));
    let release = async {
        bench.settle().await;
        bench.fake.release.notify_one();
    };
    let (first, second, ()) = futures::join!(first, second, release);
    assert!(first.expect("starts").changed && second.expect("joins").changed);
    assert_eq!(bench.fake.starts.load(Ordering::SeqCst), 1);
    assert_eq!(bench.fake.wishes.lock().unwrap()[0].author.by, "alice");
}

#[tokio::test]
async fn a_start_at_another_head_than_the_one_under_way_waits_for_its_own_turn() {
    let bench = Bench::new(Behaviour::UntilReleased);
    bench.fake.tell(Part::Start, Act::Hold);
    let first = bench.engine.start(StartRequest::default());
    let second = bench.engine.start(StartRequest::default().at(HEAD.hash));
    let release = async {
        bench.settle().await;
        bench.fake.release.notify_one();
    };
    let (first, second, ()) = futures::join!(first, second, release);
    assert!(first.expect("starts").changed);
    assert!(!second.expect("it runs by then").changed);
}

#[tokio::test]
async fn a_start_of_what_runs_at_another_head_is_refused_and_changes_nothing() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let elsewhere = StartRequest::by(Author::new("alice")).at(alloy::primitives::B256::ZERO);
    let refused = bench.engine.start(elsewhere).await;
    assert!(matches!(refused, Err(VerbError::Start(error)) if error.reason == Reason::HeadMismatch));
    assert!(bench.fake.wishes.lock().unwrap().is_empty());
    assert!(!bench.engine.start(StartRequest::default().at(HEAD.hash)).await.expect("it is there").changed);
}

#[tokio::test]
async fn a_stop_planned_during_a_start_lets_the_start_succeed_and_takes_effect_in_its_run() {
    let bench = Bench::new(Behaviour::Return);
    bench.fake.tell(Part::Start, Act::Hold);
    let start = bench.engine.start(StartRequest::default());
    let stop = bench.engine.stop(graceful().at(StopAt::Slot(Slot(9))));
    let release = async {
        bench.settle().await;
        bench.fake.release.notify_one();
        bench.settle().await;
        assert_eq!(bench.state(), Lifecycle::Running);
        bench.fake.behave(Behaviour::HeedLimit);
        bench.pass(Duration::from_secs(1)).await;
    };
    let (start, stop, ()) = futures::join!(start, stop, release);
    assert!(start.expect("starts").changed && stop.expect("stops").changed);
}

#[tokio::test]
async fn the_first_tick_finds_every_part_up() {
    let bench = Bench::running(Behaviour::Return).await;
    bench.settle().await;
    assert_eq!(*bench.fake.done(), ["parts start", "tick ended"]);
}

#[tokio::test]
async fn a_trigger_resolves_after_a_tick_and_fails_where_nothing_runs() {
    let bench = Bench::new(Behaviour::Return);
    assert!(matches!(bench.engine.trigger().await, Err(VerbError::NotRunning)));
    bench.start().await;
    bench.settle().await;
    let before = bench.fake.ticks.load(Ordering::SeqCst);
    bench.engine.trigger().await.expect("served");
    assert_eq!(bench.fake.ticks.load(Ordering::SeqCst), before + 1);
    bench.fake.behave(Behaviour::UntilReleased);
    let (triggered, stopped) = futures::join!(bench.engine.trigger(), bench.engine.stop(interrupt()));
    stopped.expect("stops");
    // The stop may come before the tick or cut it; a tick that ended served the caller.
    assert!(matches!(triggered, Ok(()) | Err(VerbError::NotRunning)), "{triggered:?}");
}
