//! Stops at a slot or a block to come.

use std::time::Duration;

use fermata_primitives::Slot;
use futures::FutureExt;

use super::bench::{Behaviour, Bench, graceful, interrupt};
use crate::drain::DrainOutcome;
use crate::lifecycle::Lifecycle;
use crate::verbs::{Author, StartRequest, StopAt, VerbError};

const AT: StopAt = StopAt::Slot(Slot(9));

#[tokio::test]
async fn a_planned_stop_waits_until_the_run_has_come_there_and_the_status_shows_it() {
    let bench = Bench::running(Behaviour::Return).await;
    let stop = bench.engine.stop(graceful().at(AT).by(Author::new("alice")));
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.pass(Duration::from_secs(30)).await;
    assert_eq!((bench.state(), bench.engine.status().borrow().stop_at), (Lifecycle::Running, Some(AT)));
    assert!(!bench.fake.wishes.lock().unwrap()[0].running, "a process that dies before comes back stopped");
    bench.fake.behave(Behaviour::HeedLimit);
    bench.pass(Duration::from_secs(1)).await;
    let answer = stop.await.expect("stops");
    assert_eq!(answer.drain.expect("drained").outcome, DrainOutcome::Drained);
    assert_eq!((bench.state(), bench.engine.status().borrow().stop_at), (Lifecycle::Stopped, None));
}

#[tokio::test]
async fn a_planned_stop_that_lies_behind_takes_effect_without_waiting_for_the_next_tick() {
    let bench = Bench::running(Behaviour::HeedLimit).await;
    bench.settle().await;
    bench.engine.stop(graceful().at(AT)).await.expect("no time has to pass");
    assert_eq!(bench.state(), Lifecycle::Stopped);
}

#[tokio::test]
async fn a_start_calls_a_planned_stop_off_and_the_run_goes_on() {
    let bench = Bench::running(Behaviour::Return).await;
    let stop = bench.engine.stop(graceful().at(AT));
    let start = async {
        bench.settle().await;
        let answer = bench.engine.start(StartRequest::by(Author::new("bob"))).await.expect("runs");
        assert!(!answer.changed);
    };
    let (stop, ()) = futures::join!(stop, start);
    assert!(matches!(stop, Err(VerbError::CalledOff)), "{stop:?}");
    bench.fake.behave(Behaviour::HeedLimit);
    bench.pass(Duration::from_secs(5)).await;
    assert_eq!((bench.state(), bench.engine.status().borrow().stop_at), (Lifecycle::Running, None));
    assert!(bench.fake.wishes.lock().unwrap().last().expect("recorded").running);
}

#[tokio::test]
async fn a_stop_before_the_planned_one_serves_both() {
    let bench = Bench::running(Behaviour::Return).await;
    let planned = bench.engine.stop(graceful().at(AT));
    let now = async {
        bench.settle().await;
        bench.engine.stop(interrupt()).await
    };
    let (planned, now) = futures::join!(planned, now);
    assert_eq!(planned.expect("stops"), now.expect("stops"));
}

#[tokio::test]
async fn a_planned_stop_has_its_deadline_too() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let stop = bench.engine.stop(graceful().at(AT).within(Duration::from_secs(8)));
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.settle().await;
    bench.pass(Duration::from_secs(8)).await;
    assert_eq!(stop.await.expect("stops").drain.expect("drained").outcome, DrainOutcome::Deadline);
}

#[tokio::test]
async fn a_planned_stop_of_a_node_that_stands_still_changes_nothing() {
    let bench = Bench::new(Behaviour::Return);
    assert!(!bench.engine.stop(graceful().at(AT)).await.expect("a no-op").changed);
    bench.start().await;
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(bench.state(), Lifecycle::Running, "the next run knows nothing of it");
}
