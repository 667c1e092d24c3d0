//! Parts that panic, hang or fail: contained, reported, and a start works again.

use std::sync::atomic::Ordering;

use super::bench::{Act, Behaviour, Bench, HEAD, Part, interrupt};
use crate::catalogue::Reason;
use crate::drain::Ending;
use crate::engine::PARTS_PATIENCE;
use crate::lifecycle::Lifecycle;
use crate::run::INTERRUPT_PATIENCE;
use crate::verbs::{Author, StartRequest, VerbError};

/// The engine works: a start, a tick, a stop.
async fn assert_works(bench: &Bench) {
    for part in [Part::Start, Part::Stop, Part::Rest, Part::Record] {
        bench.fake.tell(part, Act::Work);
    }
    bench.fake.behave(Behaviour::Return);
    let before = bench.fake.published.load(Ordering::SeqCst);
    bench.engine.start(StartRequest::by(Author::new("alice"))).await.expect("starts");
    bench.settle().await;
    assert!(bench.fake.published.load(Ordering::SeqCst) > before, "it publishes");
    let report = bench.engine.stop(interrupt()).await.expect("stops").drain.expect("there was a run");
    assert_eq!((report.failures, report.head), (Vec::<String>::new(), HEAD));
    bench.fake.assert_one_loop();
}

#[tokio::test]
async fn a_panic_in_a_tick_stops_the_run_and_a_start_begins_a_new_one() {
    let bench = Bench::running(Behaviour::Panic).await;
    bench.until(Lifecycle::Stopped).await;
    assert!(bench.engine.status().borrow().failure.as_ref().is_some_and(|why| why.contains("panicked")));
    assert_works(&bench).await;
    assert_eq!(bench.engine.status().borrow().failure, None);
}

#[tokio::test]
async fn an_error_in_a_tick_is_reported_and_polling_goes_on() {
    let bench = Bench::running(Behaviour::Fail).await;
    bench.pass(std::time::Duration::from_secs(2)).await;
    assert!(bench.fake.ticks.load(Ordering::SeqCst) >= 3);
    assert_eq!(bench.state(), Lifecycle::Running);
}

#[tokio::test]
async fn a_start_that_panics_is_a_failed_start_and_is_rolled_back() {
    let bench = Bench::new(Behaviour::Return);
    bench.fake.tell(Part::Start, Act::Panic);
    let failed = bench.engine.start(StartRequest::default()).await;
    assert!(matches!(failed, Err(VerbError::Start(error)) if error.reason == Reason::Internal));
    assert_eq!(*bench.fake.done(), ["parts start", "parts stop"]);
    assert_works(&bench).await;
}

#[tokio::test]
async fn a_start_that_heeds_no_interrupt_is_given_up() {
    let bench = Bench::new(Behaviour::Return);
    bench.fake.tell(Part::Start, Act::Hang);
    let start = bench.engine.start(StartRequest::default());
    let stop = async {
        bench.settle().await;
        bench.engine.stop(interrupt()).await
    };
    let clock = async {
        bench.settle().await;
        bench.pass(4 * PARTS_PATIENCE).await;
    };
    let (start, stop, ()) = futures::join!(start, stop, clock);
    assert!(matches!(start, Err(VerbError::Interrupted)), "{start:?}");
    assert!(!stop.expect("nothing runs").changed);
    assert_works(&bench).await;
}

#[tokio::test]
async fn a_part_that_does_not_stop_is_reported_and_the_node_is_stopped() {
    for act in [Act::Panic, Act::Hang] {
        let bench = Bench::running(Behaviour::UntilReleased).await;
        bench.fake.tell(Part::Stop, act);
        let stop = async { bench.engine.stop(interrupt()).await.expect("stops") };
        let (stop, ()) = futures::join!(stop, bench.pass(2 * PARTS_PATIENCE));
        let report = stop.drain.expect("there was a run");
        assert_eq!(report.failures.len(), 1, "{act:?}: {report:?}");
        assert_eq!(bench.state(), Lifecycle::Stopped);
        assert_works(&bench).await;
    }
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_told_from_before_and_said_to_be() {
    for act in [Act::Refuse, Act::Panic, Act::Hang] {
        let bench = Bench::running(Behaviour::UntilReleased).await;
        bench.fake.tell(Part::Rest, act);
        let stop = async { bench.engine.stop(interrupt()).await.expect("stops") };
        let (stop, ()) = futures::join!(stop, bench.pass(2 * PARTS_PATIENCE));
        let report = stop.drain.expect("there was a run");
        assert_eq!(report.head, HEAD);
        assert!(report.failures[0].contains("of before"), "{act:?}: {report:?}");
        assert_works(&bench).await;
    }
}

#[tokio::test]
async fn a_disk_that_hangs_costs_the_wish_and_not_the_stop() {
    for act in [Act::Panic, Act::Hang] {
        let bench = Bench::running(Behaviour::UntilReleased).await;
        bench.fake.tell(Part::Record, act);
        let stop = bench.engine.stop(interrupt().by(Author::new("alice")));
        let (stop, ()) = futures::join!(stop, bench.pass(2 * PARTS_PATIENCE));
        assert!(matches!(stop, Err(VerbError::NotRecorded(_))), "{act:?}: {stop:?}");
        assert_eq!(bench.state(), Lifecycle::Stopped);
        assert_works(&bench).await;
    }
}

#[tokio::test]
async fn a_tick_that_heeds_no_interrupt_is_aborted_and_reported() {
    let bench = Bench::running(Behaviour::Hang).await;
    let stop = async { bench.engine.stop(interrupt()).await.expect("stops") };
    let (stop, ()) = futures::join!(stop, bench.pass(2 * INTERRUPT_PATIENCE));
    let report = stop.drain.expect("there was a run");
    assert!(report.failures[0].contains("aborted"), "{report:?}");
    assert_works(&bench).await;
}

#[tokio::test]
async fn a_request_that_heeds_no_interrupt_is_aborted_and_reported() {
    let bench = Bench::running(Behaviour::TrackHang).await;
    let stop = async { bench.engine.stop(interrupt()).await.expect("stops") };
    let (stop, ()) = futures::join!(stop, bench.pass(2 * INTERRUPT_PATIENCE));
    let report = stop.drain.expect("there was a run");
    assert!(report.failures[0].contains("aborted"), "{report:?}");
    assert_eq!(report.work[0].ending, Ending::Aborted);
    assert_works(&bench).await;
}

#[tokio::test]
async fn a_close_that_panics_or_hangs_ends_closed() {
    for act in [Act::Panic, Act::Hang] {
        let bench = Bench::running(Behaviour::Return).await;
        bench.fake.tell(Part::Close, act);
        let (closed, ()) = futures::join!(bench.engine.close(), bench.pass(2 * PARTS_PATIENCE));
        assert!(closed.expect("closes").closed.is_empty(), "it released nothing that it knows of");
        assert_eq!(bench.state(), Lifecycle::Closed);
    }
}
