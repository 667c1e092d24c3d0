//! Stops: what they wait for, what they cut, and what they answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fermata_primitives::Slot;
use futures::FutureExt;

use super::bench::{Act, Behaviour, Bench, HEAD, Part, graceful, interrupt};
use crate::drain::{DrainOutcome, DrainedWork, Ending, WorkKind};
use crate::lifecycle::{Drain, Lifecycle, Then};
use crate::requests_tracker::RequestKind;
use crate::verbs::{Author, StartRequest, VerbError};

const GRACEFUL: Lifecycle = Lifecycle::Stopping { drain: Drain::Graceful, then: Then::Stopped };

#[tokio::test]
async fn a_stop_where_nothing_runs_changes_nothing_and_shows_nothing() {
    let bench = Bench::new(Behaviour::Return);
    let mut status = bench.engine.status();
    status.mark_unchanged();
    for request in [graceful(), interrupt()] {
        let answer = bench.engine.stop(request).await.expect("a no-op");
        assert_eq!((answer.changed, answer.state, answer.drain), (false, Lifecycle::Idle, None));
    }
    bench.start().await;
    bench.engine.stop(interrupt()).await.expect("stops");
    let stops = bench.fake.stops.load(Ordering::SeqCst);
    let since = status.borrow_and_update().since;
    bench.clock.advance(Duration::from_secs(9));
    assert!(!bench.engine.stop(graceful()).await.expect("a no-op").changed);
    assert_eq!((bench.state(), status.borrow().since), (Lifecycle::Stopped, since));
    assert_eq!(bench.fake.stops.load(Ordering::SeqCst), stops);
}

#[tokio::test]
async fn every_verb_after_a_stop_finds_it_under_way() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let stop = bench.engine.stop(graceful());
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.engine.start(StartRequest::default()).await.expect_err("a stop is under way");
    assert_eq!(bench.state(), GRACEFUL);
}

#[tokio::test]
async fn a_graceful_stop_lets_the_tick_end_by_itself_and_nothing_hinders_it() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let stop = bench.engine.stop(graceful());
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.settle().await;
    assert_eq!(bench.state(), GRACEFUL, "the lifecycle is a gate for starts, not for the tick");
    bench.fake.release.notify_one();
    let report = stop.await.expect("stops").drain.expect("there was a run");
    assert_eq!((report.outcome, report.head), (DrainOutcome::Drained, HEAD));
    assert_eq!((bench.state(), bench.engine.tasks_alive()), (Lifecycle::Stopped, 1));
}

#[tokio::test]
async fn no_tick_begins_once_a_stop_was_asked_for() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let stop = bench.engine.stop(graceful());
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.pass(Duration::from_secs(60)).await;
    bench.fake.release.notify_one();
    stop.await.expect("stops");
    bench.pass(Duration::from_secs(60)).await;
    assert_eq!(bench.fake.ticks.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_interrupt_reaches_the_tick_in_flight() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let report = bench.engine.stop(interrupt()).await.expect("stops").drain.expect("there was a run");
    assert_eq!(report.outcome, DrainOutcome::Interrupted);
}

#[tokio::test]
async fn a_stop_answers_after_the_tick_then_its_requests_then_the_parts_have_ended() {
    let bench = Bench::running(Behaviour::Track(RequestKind::Checkpoint)).await;
    bench.engine.stop(interrupt()).await.expect("stops");
    assert_eq!(*bench.fake.done(), ["parts start", "tick ended", "request ended", "parts stop"]);
    assert_eq!(bench.fake.closes.load(Ordering::SeqCst), 0, "a stop never closes");
}

#[tokio::test]
async fn a_graceful_stop_waits_for_the_sends_of_the_run_and_reports_them() {
    let bench = Bench::running(Behaviour::TrackUntilReleased).await;
    let stop = bench.engine.stop(graceful());
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.settle().await;
    assert_eq!(bench.engine.live_requests().await.len(), 1, "it is not cut");
    bench.fake.release.notify_one();
    let report = stop.await.expect("stops").drain.expect("there was a run");
    let landed = matches!(
        report.work[..],
        [DrainedWork { kind: WorkKind::Checkpoint, slot: Slot(1), ending: Ending::Landed { .. } }]
    );
    assert!(landed, "{report:?}");
    assert_eq!(bench.engine.live_requests().await, []);
}

#[tokio::test]
async fn a_graceful_stop_sees_through_what_others_have_in_flight_before_any_part_stops() {
    let bench = Bench::running(Behaviour::Return).await;
    bench.settle().await;
    bench.fake.tell(Part::SeeThrough, Act::Hold);
    let stop = bench.engine.stop(graceful());
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.settle().await;
    assert_eq!(bench.engine.live_requests().await[0].kind, RequestKind::Attestation);
    bench.fake.release.notify_one();
    let report = stop.await.expect("stops").drain.expect("there was a run");
    let ending = Ending::Attested { members: 1 };
    assert_eq!(report.work, [DrainedWork { kind: WorkKind::Attestation, slot: Slot(2), ending }]);
    let after = bench.fake.done().iter().skip_while(|what| **what != "see through").copied().collect::<Vec<_>>();
    assert_eq!(after, ["see through", "request ended", "parts stop"]);
}

#[tokio::test]
async fn an_interrupt_sees_nothing_through_and_cuts_what_a_graceful_stop_does() {
    let bench = Bench::running(Behaviour::Return).await;
    bench.fake.tell(Part::SeeThrough, Act::Hold);
    let report = bench.engine.stop(interrupt()).await.expect("stops").drain.expect("there was a run");
    assert_eq!(report.work, []);
    bench.start().await;
    let (first, second) = futures::join!(bench.engine.stop(graceful()), bench.engine.stop(interrupt()));
    for answer in [first, second] {
        let report = answer.expect("stops").drain.expect("there was a run");
        assert_eq!(report.work, [DrainedWork { kind: WorkKind::Attestation, slot: Slot(2), ending: Ending::Cut }]);
    }
}

#[tokio::test]
async fn a_part_that_panics_over_what_others_need_hinders_no_stop() {
    let bench = Bench::running(Behaviour::Return).await;
    bench.fake.tell(Part::SeeThrough, Act::Panic);
    let report = bench.engine.stop(graceful()).await.expect("stops").drain.expect("there was a run");
    assert_eq!((report.outcome, report.failures), (DrainOutcome::Drained, vec![]));
}

#[tokio::test]
async fn a_graceful_stop_wakes_the_fallback_that_only_sleeps_until_its_slot() {
    let bench = Bench::running(Behaviour::Track(RequestKind::Fallback)).await;
    let report = bench.engine.stop(graceful()).await.expect("stops").drain.expect("there was a run");
    assert_eq!(report.outcome, DrainOutcome::Drained);
    assert_eq!(report.work, [DrainedWork { kind: WorkKind::Fallback, slot: Slot(1), ending: Ending::Cut }]);
}

#[tokio::test]
async fn what_an_older_run_left_behind_stays_interrupted_after_a_restart() {
    let bench = Bench::running(Behaviour::Track(RequestKind::Fallback)).await;
    bench.engine.stop(graceful()).await.expect("stops");
    bench.fake.behave(Behaviour::Return);
    bench.start().await;
    bench.settle().await;
    assert_eq!(bench.fake.done().iter().filter(|what| **what == "request ended").count(), 1);
    assert_eq!(bench.engine.live_requests().await, [], "nothing of the older run lives in the new one");
}

#[tokio::test]
async fn a_stop_during_a_drain_joins_it() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let both = futures::future::join(bench.engine.stop(graceful()), bench.engine.stop(graceful()));
    futures::pin_mut!(both);
    assert!(both.as_mut().now_or_never().is_none());
    bench.fake.release.notify_one();
    let (first, second) = both.await;
    assert_eq!(first.expect("stops"), second.expect("joins"));
    assert_eq!(bench.fake.stops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_interrupt_during_a_graceful_drain_escalates_it_and_both_are_told() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let (first, second) = futures::join!(bench.engine.stop(graceful()), bench.engine.stop(interrupt()));
    for answer in [first, second] {
        assert_eq!(answer.expect("stops").drain.expect("drained").outcome, DrainOutcome::Interrupted);
    }
}

#[tokio::test]
async fn a_graceful_stop_during_an_interrupt_joins_it_and_softens_nothing() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let (first, second) = futures::join!(bench.engine.stop(interrupt()), bench.engine.stop(graceful()));
    for answer in [first, second] {
        assert_eq!(answer.expect("stops").drain.expect("drained").outcome, DrainOutcome::Interrupted);
    }
}

#[tokio::test]
async fn a_graceful_stop_past_its_deadline_interrupts_and_says_what_was_cut() {
    let bench = Bench::running(Behaviour::TrackUntilReleased).await;
    let stop = bench.engine.stop(graceful().within(Duration::from_secs(3)));
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.settle().await;
    let due = bench.engine.status().borrow().drain.expect("a drain is under way").deadline;
    assert!(due.is_some(), "the status shows the deadline");
    bench.pass(Duration::from_secs(3)).await;
    let report = stop.await.expect("stops").drain.expect("drained");
    assert_eq!(report.outcome, DrainOutcome::Deadline);
    assert_eq!(report.work[0].ending, Ending::Cut);
    assert_eq!(bench.engine.status().borrow().drain, None);
}

#[tokio::test]
async fn the_sooner_of_two_deadlines_counts_and_a_jump_of_the_clock_moves_neither() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let late = bench.engine.stop(graceful().within(Duration::from_secs(60)));
    let soon = bench.engine.stop(graceful().within(Duration::from_secs(3)));
    let clock = async {
        bench.settle().await;
        bench.clock.set(fermata_primitives::UnixTime::from_millis(9_000_000_000));
        bench.settle().await;
        assert_eq!(bench.state(), GRACEFUL, "a jump is not time that passed");
        bench.clock.set(fermata_primitives::UnixTime::from_millis(1_000));
        bench.pass(Duration::from_secs(3)).await;
    };
    let (late, soon, ()) = futures::join!(late, soon, clock);
    for answer in [late, soon] {
        assert_eq!(answer.expect("stops").drain.expect("drained").outcome, DrainOutcome::Deadline);
    }
}

#[tokio::test]
async fn a_graceful_stop_between_two_ticks_does_not_wait_for_the_next() {
    let bench = Bench::running(Behaviour::Return).await;
    bench.settle().await;
    let report = bench.engine.stop(graceful()).await.expect("no time has to pass").drain.expect("there was a run");
    assert_eq!((report.outcome, report.took_ms), (DrainOutcome::Drained, 0));
}

#[tokio::test]
async fn a_stop_from_inside_a_tick_does_not_deadlock() {
    let bench = Bench::new(Behaviour::StopFromInside);
    *bench.fake.engine.lock().unwrap() = Some(bench.engine.clone());
    bench.start().await;
    bench.until(Lifecycle::Stopped).await;
    *bench.fake.engine.lock().unwrap() = None;
}

#[tokio::test]
async fn a_trigger_from_inside_a_tick_does_not_deadlock_and_is_served() {
    let bench = Bench::new(Behaviour::TriggerFromInside);
    *bench.fake.engine.lock().unwrap() = Some(bench.engine.clone());
    bench.start().await;
    bench.fake.began.notified().await;
    bench.fake.began.notified().await;
    *bench.fake.engine.lock().unwrap() = None;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_abort_its_stop_and_a_later_one_joins_it() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    assert!(bench.engine.stop(graceful()).now_or_never().is_none(), "polled once, then dropped");
    let joined = bench.engine.stop(graceful());
    futures::pin_mut!(joined);
    assert!(joined.as_mut().now_or_never().is_none());
    bench.fake.release.notify_one();
    assert_eq!(joined.await.expect("joins").drain.expect("drained").outcome, DrainOutcome::Drained);
    assert_eq!(bench.fake.stops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stop_interrupts_before_its_wish_is_recorded_and_answers_after() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    bench.fake.tell(Part::Record, Act::Hold);
    let stop = bench.engine.stop(interrupt().by(Author::new("alice")));
    futures::pin_mut!(stop);
    assert!(stop.as_mut().now_or_never().is_none());
    bench.settle().await;
    assert!(bench.fake.done().contains(&"tick ended"), "a slow disk delays no interrupt");
    assert!(stop.as_mut().now_or_never().is_none(), "but the answer");
    bench.fake.release.notify_one();
    assert_eq!(stop.await.expect("stops").state, Lifecycle::Stopped);
    assert!(!bench.fake.wishes.lock().unwrap()[0].running);
}

#[tokio::test]
async fn a_wish_that_cannot_be_recorded_is_an_error_and_the_node_is_stopped_all_the_same() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    bench.fake.tell(Part::Record, Act::Refuse);
    let stop = bench.engine.stop(interrupt().by(Author::new("alice"))).await;
    assert!(matches!(stop, Err(VerbError::NotRecorded(_))), "{stop:?}");
    assert_eq!(bench.state(), Lifecycle::Stopped);
}

#[tokio::test]
async fn an_operators_wish_is_recorded_and_a_signals_is_not() {
    let bench = Bench::new(Behaviour::Return);
    bench.engine.start(StartRequest::by(Author::new("alice"))).await.expect("starts");
    bench.engine.start(StartRequest::by(Author::new("carol"))).await.expect("runs already");
    bench.engine.stop(graceful()).await.expect("stops");
    bench.start().await;
    bench.engine.stop(graceful().by(Author::new("bob"))).await.expect("stops");
    bench.engine.stop(graceful().by(Author::new("dave"))).await.expect("stands already");
    let wishes: Vec<_> =
        bench.fake.wishes.lock().unwrap().iter().map(|wish| (wish.running, wish.author.by.clone())).collect();
    let expected = [(true, "alice"), (true, "carol"), (false, "bob"), (false, "dave")];
    assert_eq!(wishes, expected.map(|(running, by)| (running, by.to_owned())));
}

#[tokio::test]
async fn a_stop_that_contradicts_itself_is_refused_and_changes_nothing() {
    let bench = Bench::running(Behaviour::UntilReleased).await;
    let at = crate::verbs::StopAt::Block(3);
    let requests = [
        graceful().within(Duration::ZERO),
        interrupt().within(Duration::from_secs(1)),
        interrupt().at(at),
        interrupt().within(Duration::ZERO),
    ];
    for request in requests {
        let refused = bench.engine.stop(request.by(Author::new("alice"))).await;
        assert!(matches!(refused, Err(VerbError::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(bench.state(), Lifecycle::Running);
    assert!(bench.fake.wishes.lock().unwrap().is_empty());
}
