//! Fire-and-forget sends with an interrupt of their own.
//!
//! After its proposal is broadcast a tick ends; collecting attestations and publishing go on in a tracked request.
//! A tracked request is a child of its run's interrupt token: one that is tracked after the interrupt is born
//! interrupted, so no order of the two has to be kept. It removes itself when it ends, however it ends.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fermata_primitives::{SharedClock, Slot};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::inside::inside_run;

/// What a tracked request does, and whether a graceful stop lets it end by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// Attestations and the L1 submission of a checkpoint: a graceful stop lets it end.
    Checkpoint,
    /// Votes and prunes of a slot that cannot build. They only sleep until their slot: a graceful stop interrupts them.
    Fallback,
}

/// A live request, as the status shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LiveRequest {
    /// What it does.
    pub kind: RequestKind,
    /// The slot it is bound to.
    pub slot: Slot,
    /// How long it has been tracked.
    pub age: Duration,
}

#[derive(Debug)]
struct Entry {
    kind: RequestKind,
    slot: Slot,
    since: Duration,
    interrupt: CancellationToken,
}

#[derive(Debug, Default)]
struct Live {
    next_id: u64,
    entries: BTreeMap<u64, Entry>,
    finished: u64,
    interrupted: u64,
    failed: u64,
}

/// How tracked requests ended, for the drain report.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Ended by themselves.
    pub finished: u64,
    /// Ended after they were interrupted.
    pub interrupted: u64,
    /// Panicked; contained and reported.
    pub failed: u64,
}

/// The tracked requests of one run. Clones share the same requests.
#[derive(Clone, Debug)]
pub struct RequestsTracker {
    tasks: TaskTracker,
    interrupt: CancellationToken,
    fallbacks: CancellationToken,
    live: Arc<Mutex<Live>>,
    clock: SharedClock,
}

impl RequestsTracker {
    /// A tracker whose requests end early once `interrupt` is cancelled.
    #[must_use]
    pub fn new(interrupt: CancellationToken, clock: SharedClock) -> Self {
        let fallbacks = interrupt.child_token();
        Self { tasks: TaskTracker::new(), interrupt, fallbacks, live: Arc::default(), clock }
    }

    /// Runs what `request` makes until it ends. It is given its own interrupt token and must end soon after that is
    /// cancelled. A panic is contained, logged and counted.
    pub fn track<F>(&self, kind: RequestKind, slot: Slot, request: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let parent = match kind {
            RequestKind::Checkpoint => &self.interrupt,
            RequestKind::Fallback => &self.fallbacks,
        };
        let interrupt = parent.child_token();
        let id = self.enter(Entry { kind, slot, since: self.clock.monotonic(), interrupt: interrupt.clone() });
        let request = AssertUnwindSafe(inside_run(request(interrupt)));
        let live = Arc::clone(&self.live);
        self.tasks.spawn(async move {
            let ended = request.catch_unwind().await;
            leave(&live, id, &ended);
        });
    }

    fn enter(&self, entry: Entry) -> u64 {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.next_id += 1;
        let id = live.next_id;
        live.entries.insert(id, entry);
        id
    }

    /// Interrupts what only sleeps until its slot.
    pub fn interrupt_fallbacks(&self) {
        self.fallbacks.cancel();
    }

    /// Resolves once no request is left, also not one that was tracked meanwhile. Call it when nobody can track any more:
    /// after the poll loop has ended.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The requests under way, oldest first.
    #[must_use]
    pub fn live(&self) -> Vec<LiveRequest> {
        let now = self.clock.monotonic();
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |e: &Entry| LiveRequest { kind: e.kind, slot: e.slot, age: now.saturating_sub(e.since) };
        live.entries.values().map(shown).collect()
    }

    /// How the requests so far have ended.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        RequestCounts { finished: live.finished, interrupted: live.interrupted, failed: live.failed }
    }
}

fn leave(live: &Mutex<Live>, id: u64, ended: &std::thread::Result<()>) {
    let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(entry) = live.entries.remove(&id) else { return };
    if ended.is_err() {
        tracing::error!(slot = entry.slot.0, kind = ?entry.kind, "a tracked request panicked");
        live.failed += 1;
    } else if entry.interrupt.is_cancelled() {
        live.interrupted += 1;
    } else {
        live.finished += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fermata_primitives::{ManualClock, UnixTime};
    use tokio::sync::oneshot;

    use super::*;

    fn tracker() -> (RequestsTracker, CancellationToken) {
        let interrupt = CancellationToken::new();
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(0)));
        (RequestsTracker::new(interrupt.clone(), clock), interrupt)
    }

    #[tokio::test]
    async fn a_request_removes_itself_when_it_ends() {
        let (tracker, _) = tracker();
        let (go, gone) = oneshot::channel::<()>();
        tracker.track(RequestKind::Checkpoint, Slot(3), |_| async move {
            let _ = gone.await;
        });
        assert_eq!(tracker.live().len(), 1);
        go.send(()).expect("the request waits");
        tracker.settle().await;
        assert!(tracker.live().is_empty());
        assert_eq!(tracker.counts(), RequestCounts { finished: 1, ..Default::default() });
    }

    #[tokio::test]
    async fn a_request_tracked_after_the_interrupt_is_born_interrupted() {
        let (tracker, interrupt) = tracker();
        interrupt.cancel();
        tracker.track(RequestKind::Checkpoint, Slot(1), |token| async move { token.cancelled().await });
        tracker.settle().await;
        assert_eq!(tracker.counts().interrupted, 1);
    }

    #[tokio::test]
    async fn a_request_tracked_while_settling_is_settled_too() {
        let (tracker, interrupt) = tracker();
        let inner = tracker.clone();
        tracker.track(RequestKind::Checkpoint, Slot(1), |_| async move {
            inner.track(RequestKind::Checkpoint, Slot(2), |token| async move { token.cancelled().await });
        });
        let settle = tracker.settle();
        futures::pin_mut!(settle);
        assert!(settle.as_mut().now_or_never().is_none());
        interrupt.cancel();
        settle.await;
        assert_eq!(tracker.live(), []);
    }

    #[tokio::test]
    async fn a_panic_in_a_request_is_contained_and_counted() {
        let (tracker, _) = tracker();
        tracker.track(RequestKind::Checkpoint, Slot(1), |_| async { panic!("on purpose") });
        tracker.settle().await;
        assert_eq!(tracker.counts().failed, 1);
    }

    #[tokio::test]
    async fn interrupting_the_fallbacks_leaves_the_checkpoint_alone() {
        let (tracker, interrupt) = tracker();
        for kind in [RequestKind::Fallback, RequestKind::Checkpoint] {
            tracker.track(kind, Slot(1), |token| async move { token.cancelled().await });
        }
        tracker.interrupt_fallbacks();
        while tracker.live().len() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tracker.live()[0].kind, RequestKind::Checkpoint);
        interrupt.cancel();
        tracker.settle().await;
    }
}
