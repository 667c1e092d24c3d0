//! One reading of the status at a time for everybody who looks at a page: pages need no token, and each reading asks the
//! stores.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use crate::status::{NodeStatus, StatusSource};

type Answer = Shared<BoxFuture<'static, NodeStatus>>;

/// Reads the status.
pub(super) struct Reading {
    source: Arc<dyn StatusSource>,
    /// Weak: a reading that nobody waits for any more ends, and is not gone on with later.
    under_way: Mutex<Option<WeakShared<BoxFuture<'static, NodeStatus>>>>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

impl Reading {
    pub(super) fn of(source: Arc<dyn StatusSource>) -> Self {
        Self { source, under_way: Mutex::default() }
    }

    /// The status: of the reading that is under way, or of a new one.
    ///
    /// # Cancel safety
    /// Dropped, the others who wait go on.
    pub(super) async fn status(&self) -> NodeStatus {
        self.join().await
    }

    fn join(&self) -> Answer {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = under_way.as_ref().and_then(WeakShared::upgrade).filter(|answer| answer.peek().is_none());
        joined.unwrap_or_else(|| {
            let source = Arc::clone(&self.source);
            let answer = async move { source.status().await }.boxed().shared();
            *under_way = answer.downgrade();
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use fermata_primitives::{Slot, UnixTime};
    use futures::stream::{self, BoxStream};
    use futures::{StreamExt as _, future};
    use tokio::sync::Semaphore;
    use tokio::sync::watch;

    use super::*;
    use crate::engine::EngineStatus;
    use crate::explain::Explanation;
    use crate::feed::Told;
    use crate::status::PublisherReport;

    /// Answers as often as it is let, and counts how often it is asked.
    struct Slow {
        engine: EngineStatus,
        asked: watch::Sender<u64>,
        let_go: Semaphore,
    }

    impl StatusSource for Slow {
        fn status(&self) -> BoxFuture<'_, NodeStatus> {
            async {
                self.asked.send_modify(|asked| *asked += 1);
                self.let_go.acquire().await.expect("nobody closes it").forget();
                NodeStatus { ticks: *self.asked.borrow(), ..NodeStatus::of_engine(&self.engine, UnixTime::default()) }
            }
            .boxed()
        }

        fn explain(&self, _: Option<Slot>) -> BoxFuture<'_, Explanation> {
            future::pending().boxed()
        }

        fn publisher(&self) -> BoxFuture<'_, PublisherReport> {
            future::pending().boxed()
        }

        fn news(&self) -> BoxStream<'static, Told> {
            stream::empty().boxed()
        }
    }

    #[tokio::test]
    async fn all_who_come_during_a_reading_share_it_and_who_comes_later_gets_another() {
        let bench = crate::rpc::admin::tests::Bench::new().await;
        let engine = bench.engine.status().borrow().clone();
        let slow = Arc::new(Slow { engine, asked: watch::Sender::new(0), let_go: Semaphore::new(0) });
        let reading = Reading::of(slow.clone());
        let all = future::join_all((0..100).map(|_| reading.status()));
        let (all, ()) = tokio::join!(all, async { slow.let_go.add_permits(1) });
        assert!(all.iter().all(|status| status.ticks == 1));

        assert!(reading.status().now_or_never().is_none(), "a second reading, which its caller gives up");
        slow.let_go.add_permits(1);
        assert_eq!(reading.status().await.ticks, 3);
        bench.end().await;
    }
}
