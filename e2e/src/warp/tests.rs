//! What a warp does with the sequencers it stopped, without an L1.

use std::sync::{Arc, Mutex};

use alloy::primitives::B256;
use anyhow::Result;
use fermata_anvil::{L1Head, Warp};
use fermata_primitives::L1Timestamp;
use fermata_sequencer::verbs::DrainReport;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;

/// A sequencer that notes what it is told.
#[derive(Debug, Default)]
struct Fake {
    told: Mutex<Vec<&'static str>>,
    fails_to_start: Mutex<bool>,
}

impl Fake {
    fn told(&self) -> Vec<&'static str> {
        self.told.lock().expect("no test panics with it").clone()
    }
}

impl Sequencer for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn activity(&self) -> BoxFuture<'_, Result<Activity>> {
        async { Ok(Activity::Running) }.boxed()
    }

    fn drain(&self, _: Duration) -> BoxFuture<'_, Result<Option<DrainReport>>> {
        self.told.lock().expect("no test panics with it").push("stop");
        async { Ok(None) }.boxed()
    }

    fn start(&self) -> BoxFuture<'_, Result<()>> {
        self.told.lock().expect("no test panics with it").push("start");
        let fails = *self.fails_to_start.lock().expect("no test panics with it");
        async move { if fails { Err(anyhow!("no funds")) } else { Ok(()) } }.boxed()
    }

    fn follow(&self, _: L1Head) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

fn left_standing(fake: &Arc<Fake>) -> Warped {
    let head = L1Head { number: 1, timestamp: L1Timestamp(1), hash: B256::ZERO };
    Warped { l1: Warp::Mined(head), drains: Vec::new(), standing: vec![Arc::<Fake>::clone(fake)] }
}

#[test]
#[should_panic(expected = r#"a warp left ["fake"] stopped"#)]
fn a_guard_that_is_dropped_without_a_word_fails_the_test() {
    let fake = Arc::new(Fake::default());
    drop(left_standing(&fake));
}

#[tokio::test]
async fn a_guard_that_was_told_what_to_do_drops_in_silence() {
    let fake = Arc::new(Fake::default());
    left_standing(&fake).restart().await.expect("it starts");
    assert_eq!(fake.told(), ["start"]);
    assert_eq!(left_standing(&fake).leave_stopped().len(), 1);
    assert_eq!(fake.told(), ["start"]);
}

#[test]
fn a_guard_dropped_by_a_panic_does_not_panic_a_second_time() {
    let fake = Arc::new(Fake::default());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _standing = left_standing(&fake);
        panic!("the test itself");
    }));
    assert_eq!(panicked.expect_err("it panics").downcast_ref::<&str>(), Some(&"the test itself"));
}

#[tokio::test]
async fn a_sequencer_that_does_not_start_again_is_named_beside_the_failure_of_the_warp() {
    let ill = Arc::new(Fake { fails_to_start: Mutex::new(true), ..Fake::default() });
    let well = Arc::new(Fake::default());
    let error =
        start_after(WarpError::L1Silent(PATIENCE), vec![Arc::<Fake>::clone(&ill), Arc::<Fake>::clone(&well)]).await;
    assert_eq!((ill.told(), well.told()), (vec!["start"], vec!["start"]));
    let WarpError::NotStarted { nodes, source } = error else { panic!("{error}") };
    assert_eq!(nodes, ["fake"]);
    assert!(source.to_string().contains("L1 did not answer"), "{source}");
}
