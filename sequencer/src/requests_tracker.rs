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

use crate::drain::{DrainedWork, Ending, WorkKind};
use crate::inside::inside_run;
use crate::tasks::{Task, Tasks};

/// What a tracked request does, and whether a graceful stop lets it end by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// Attestations and the L1 submission of a checkpoint: a graceful stop lets it end.
    Checkpoint,
    /// Hearing and attesting what another proposer had in flight when a graceful stop was asked for: it lets that end.
    Attestation,
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
    task: Option<Task<()>>,
}

#[derive(Debug, Default)]
struct Live {
    next_id: u64,
    entries: BTreeMap<u64, Entry>,
    /// What has ended since the drain began; nothing is kept before.
    drained: Option<Vec<DrainedWork>>,
}

/// The tracked requests of one run. Clones share the same requests.
#[derive(Clone, Debug)]
pub struct RequestsTracker {
    tasks: Tasks,
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
        Self { tasks: Tasks::default(), interrupt, fallbacks, live: Arc::default(), clock }
    }

    /// Runs what `request` makes until it ends. It is given its own interrupt token and must end soon after that is
    /// cancelled. A panic is contained, logged and counted.
    pub fn track<F>(&self, kind: RequestKind, slot: Slot, request: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output: Into<Option<Ending>>> + Send + 'static,
    {
        let parent = match kind {
            RequestKind::Checkpoint | RequestKind::Attestation => &self.interrupt,
            RequestKind::Fallback => &self.fallbacks,
        };
        // On the heap before it is wrapped: each wrapper would move all of it over the stack.
        let request = Box::pin(request(parent.child_token()));
        let request = AssertUnwindSafe(inside_run(request));
        let mut leaving = self.enter(kind, slot);
        let id = leaving.id;
        let task = self.tasks.spawn(async move {
            leaving.ending = request.catch_unwind().await.map_or(Some(Ending::Panicked), Into::into);
            drop(leaving);
        });
        if let Some(entry) = self.live.lock().unwrap_or_else(PoisonError::into_inner).entries.get_mut(&id) {
            entry.task = Some(task);
        }
    }

    fn enter(&self, kind: RequestKind, slot: Slot) -> Leaving {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.next_id += 1;
        let id = live.next_id;
        live.entries.insert(id, Entry { kind, slot, since: self.clock.monotonic(), task: None });
        // An ending that is never replaced is that of a task which never came to its end.
        Leaving { id, live: Arc::clone(&self.live), ending: Some(Ending::Aborted) }
    }

    /// From now on what ends is kept for the report.
    pub fn begin_drain(&self) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).drained.get_or_insert_default();
    }

    /// Work that ended within the tick, for the report of a drain under way.
    pub fn note(&self, work: DrainedWork) {
        if let Some(drained) = &mut self.live.lock().unwrap_or_else(PoisonError::into_inner).drained {
            drained.push(work);
        }
    }

    /// What has ended since the drain began, oldest slot first.
    #[must_use]
    pub fn drained(&self) -> Vec<DrainedWork> {
        let mut drained = self.live.lock().unwrap_or_else(PoisonError::into_inner).drained.clone().unwrap_or_default();
        drained.sort_by_key(|work| (work.slot, work.kind));
        drained
    }

    /// Ends every request at its next wait, whatever it does: for those that an interrupt did not end.
    pub fn abort(&self) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.entries.values().filter_map(|entry| entry.task.as_ref()).for_each(Task::abort);
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
        self.tasks.settle().await;
    }

    /// The requests under way, oldest first.
    #[must_use]
    pub fn live(&self) -> Vec<LiveRequest> {
        let now = self.clock.monotonic();
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |e: &Entry| LiveRequest { kind: e.kind, slot: e.slot, age: now.saturating_sub(e.since) };
        live.entries.values().map(shown).collect()
    }
}

/// Takes a request off the list when it ends, however it ends.
#[derive(Debug)]
struct Leaving {
    id: u64,
    live: Arc<Mutex<Live>>,
    /// How it ended; nothing where there was nothing to do.
    ending: Option<Ending>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = live.entries.remove(&self.id) else { return };
        let (slot, kind) = (entry.slot, WorkKind::from(entry.kind));
        let Some(ending) = self.ending.take() else { return };
        if ending == Ending::Panicked {
            tracing::error!(slot = slot.0, ?kind, "a tracked request panicked");
        }
        metrics::counter!("fermata_requests_total", "kind" => kind.word(), "ending" => ending.word()).increment(1);
        if let Some(drained) = &mut live.drained {
            drained.push(DrainedWork { kind, slot, ending });
        }
    }
}

impl From<RequestKind> for WorkKind {
    fn from(kind: RequestKind) -> Self {
        match kind {
            RequestKind::Checkpoint => Self::Checkpoint,
            RequestKind::Attestation => Self::Attestation,
            RequestKind::Fallback => Self::Fallback,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use alloy::primitives::B256;
    use fermata_primitives::{ManualClock, UnixTime};
    use tokio::sync::oneshot;

    use super::*;

    fn tracker() -> (RequestsTracker, CancellationToken) {
        let interrupt = CancellationToken::new();
        let clock = Arc::new(ManualClock::new(UnixTime::from_millis(0)));
        (RequestsTracker::new(interrupt.clone(), clock), interrupt)
    }

    const LANDED: Ending = Ending::Landed { l1_tx: B256::ZERO };

    fn work(kind: WorkKind, slot: u64, ending: Ending) -> DrainedWork {
        DrainedWork { kind, slot: Slot(slot), ending }
    }

    async fn until_cancelled(token: CancellationToken) -> Ending {
        token.cancelled().await;
        Ending::Cut
    }

    #[tokio::test]
    async fn a_request_removes_itself_when_it_ends() {
        let (tracker, _) = tracker();
        let (go, gone) = oneshot::channel::<()>();
        tracker.track(RequestKind::Checkpoint, Slot(3), |_| async move {
            let _ = gone.await;
            LANDED
        });
        assert_eq!(tracker.live().len(), 1);
        tracker.begin_drain();
        go.send(()).expect("the request waits");
        tracker.settle().await;
        assert!(tracker.live().is_empty());
        assert_eq!(tracker.drained(), [work(WorkKind::Checkpoint, 3, LANDED)]);
    }

    #[tokio::test]
    async fn an_interrupt_reaches_every_live_request_once_and_none_that_has_ended() {
        let (tracker, interrupt) = tracker();
        let heard = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let heard = Arc::clone(&heard);
            tracker.track(RequestKind::Checkpoint, Slot(1), |token| async move {
                token.cancelled().await;
                heard.fetch_add(1, Ordering::SeqCst);
                Ending::Cut
            });
        }
        tracker.track(RequestKind::Checkpoint, Slot(2), |_| async { LANDED });
        while tracker.live().len() > 3 {
            tokio::task::yield_now().await;
        }
        tracker.begin_drain();
        interrupt.cancel();
        interrupt.cancel();
        tracker.settle().await;
        assert_eq!((heard.load(Ordering::SeqCst), tracker.drained().len()), (3, 3));
    }

    #[tokio::test]
    async fn settling_an_empty_tracker_resolves_at_once() {
        let (tracker, _) = tracker();
        assert!(tracker.settle().now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_ended_before_the_drain_is_not_in_its_report() {
        let (tracker, _) = tracker();
        tracker.track(RequestKind::Checkpoint, Slot(1), |_| async { LANDED });
        while !tracker.live().is_empty() {
            tokio::task::yield_now().await;
        }
        tracker.begin_drain();
        tracker.note(work(WorkKind::Build, 2, Ending::Cut));
        tracker.settle().await;
        assert_eq!(tracker.drained(), [work(WorkKind::Build, 2, Ending::Cut)]);
    }

    #[tokio::test]
    async fn a_request_tracked_after_the_interrupt_is_born_interrupted() {
        let (tracker, interrupt) = tracker();
        interrupt.cancel();
        tracker.begin_drain();
        tracker.track(RequestKind::Checkpoint, Slot(1), until_cancelled);
        tracker.settle().await;
        assert_eq!(tracker.drained(), [work(WorkKind::Checkpoint, 1, Ending::Cut)]);
    }

    #[tokio::test]
    async fn a_request_tracked_while_settling_is_settled_too() {
        let (tracker, interrupt) = tracker();
        let inner = tracker.clone();
        tracker.track(RequestKind::Checkpoint, Slot(1), |_| async move {
            inner.track(RequestKind::Checkpoint, Slot(2), until_cancelled);
            LANDED
        });
        let settle = tracker.settle();
        futures::pin_mut!(settle);
        assert!(settle.as_mut().now_or_never().is_none());
        interrupt.cancel();
        settle.await;
        assert_eq!(tracker.live(), []);
    }

    #[tokio::test]
    async fn a_panic_in_a_request_is_contained_and_reported() {
        let (tracker, _) = tracker();
        tracker.begin_drain();
        tracker.track(RequestKind::Checkpoint, Slot(1), |_| async { panic!("on purpose") as Ending });
        tracker.settle().await;
        assert_eq!(tracker.drained(), [work(WorkKind::Checkpoint, 1, Ending::Panicked)]);
    }

    #[tokio::test]
    async fn interrupting_the_fallbacks_leaves_the_checkpoint_alone() {
        let (tracker, interrupt) = tracker();
        for kind in [RequestKind::Fallback, RequestKind::Checkpoint] {
            tracker.track(kind, Slot(1), until_cancelled);
        }
        tracker.interrupt_fallbacks();
        while tracker.live().len() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tracker.live()[0].kind, RequestKind::Checkpoint);
        interrupt.cancel();
        tracker.settle().await;
    }

    #[tokio::test]
    async fn a_request_that_no_interrupt_ends_is_aborted_and_reported() {
        let (tracker, interrupt) = tracker();
        tracker.begin_drain();
        tracker.track(RequestKind::Checkpoint, Slot(1), |_| std::future::pending::<Ending>());
        interrupt.cancel();
        tracker.abort();
        tracker.settle().await;
        assert_eq!(tracker.drained(), [work(WorkKind::Checkpoint, 1, Ending::Aborted)]);
    }
}
