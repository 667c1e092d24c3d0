//! Closing, and handles that are dropped.

use std::sync::atomic::Ordering;

use futures::FutureExt;

use super::bench::{Behaviour, Bench, graceful, interrupt};
use crate::drain::DrainOutcome;
use crate::lifecycle::{Lifecycle, Refused};
use crate::verbs::{StartRequest, VerbError};

#[tokio::test]
async fn a_close_while_running_stops_first_and_nothing_starts_after_it() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let answer = bench.engine.close().await.expect("closes");
    assert_eq!(answer.closed, ["store"]);
    assert_eq!(answer.drain.expect("there was a run").outcome, DrainOutcome::Interrupted);
    assert_eq!(*bench.fake.done(), ["parts start", "tick ended", "parts stop", "parts close"]);
    let refused = bench.engine.start(StartRequest::default()).await;
    assert!(matches!(refused, Err(VerbError::Refused(Refused::Closed))), "{refused:?}");
    assert!(!bench.engine.stop(graceful()).await.expect("a no-op").changed);
    assert!(bench.engine.close().await.expect("a no-op").closed.is_empty());
    assert_eq!(bench.fake.closes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_close_during_a_graceful_drain_escalates_it_and_both_are_answered() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let (stop, close) = futures::join!(bench.engine.stop(graceful()), bench.engine.close());
    let stop = stop.expect("stops");
    assert_eq!(stop.state, Lifecycle::Closed);
    assert_eq!(stop.drain.expect("drained").outcome, DrainOutcome::Interrupted);
    assert_eq!(close.expect("closes").closed, ["store"]);
}

#[tokio::test]
async fn of_two_closes_at_once_both_wait_and_the_stores_are_released_once() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let (first, second) = futures::join!(bench.engine.close(), bench.engine.close());
    assert_eq!(first.expect("closes"), second.expect("joins"));
    assert_eq!(bench.fake.closes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_close_during_a_start_gives_the_start_up() {
    let bench = Bench::new(Behaviour::Return);
    bench.fake.tell(super::bench::Part::Start, super::bench::Act::Hold);
    let (start, close) = futures::join!(bench.engine.start(StartRequest::default()), bench.engine.close());
    assert!(matches!(start, Err(VerbError::Interrupted)), "{start:?}");
    assert_eq!(close.expect("closes").closed, ["store"]);
    assert_eq!(bench.fake.ticks.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_close_from_inside_a_tick_does_not_deadlock() {
    let bench = Bench::new(Behaviour::CloseFromInside);
    *bench.fake.engine.lock().unwrap() = Some(bench.engine.clone());
    bench.start().await;
    bench.until(Lifecycle::Closed).await;
    assert_eq!(bench.fake.closes.load(Ordering::SeqCst), 1);
    *bench.fake.engine.lock().unwrap() = None;
}

#[tokio::test]
async fn a_close_of_an_engine_that_never_ran_releases_and_a_second_finds_nothing() {
    let bench = Bench::new(Behaviour::Return);
    assert_eq!(bench.engine.close().await.expect("closes").closed, ["store"]);
    assert!(bench.engine.close().await.expect("a no-op").closed.is_empty());
}

#[tokio::test]
async fn dropping_the_last_handle_blocks_nobody_and_the_run_is_drained() {
    let Bench { engine, fake, .. } = Bench::running(Behaviour::UntilReleased).await;
    let tasks = engine.tasks.clone();
    drop(engine);
    tasks.settle().await;
    assert_eq!(fake.stops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn dropping_the_last_handle_during_a_start_leaves_nothing_running() {
    let Bench { engine, fake, .. } = Bench::new(Behaviour::Return);
    fake.tell(super::bench::Part::Start, super::bench::Act::Hold);
    assert!(engine.start(StartRequest::default()).now_or_never().is_none());
    let tasks = engine.tasks.clone();
    drop(engine);
    tasks.settle().await;
    assert_eq!((fake.starts.load(Ordering::SeqCst), fake.stops.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn ten_thousand_starts_and_stops_leave_only_the_owner() {
    let bench = Bench::new(Behaviour::Return);
    for round in 0..10_000 {
        bench.start().await;
        bench.engine.stop(if round % 2 == 0 { graceful() } else { interrupt() }).await.expect("stops");
    }
    assert_eq!(bench.engine.tasks_alive(), 1);
    bench.fake.assert_one_loop();
    assert_eq!(bench.fake.starts.load(Ordering::SeqCst), bench.fake.stops.load(Ordering::SeqCst));
}
