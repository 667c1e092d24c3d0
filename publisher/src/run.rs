//! One start-to-stop of the manager.

use std::future::Future;
use std::sync::Arc;

use alloy::primitives::B256;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::AccountPool;
use crate::broadcast_gate::BroadcastGate;
use crate::core::Core;
use crate::{Error, Outcome};

/// What one start made. A restart makes a new one; what belonged to an older run stays interrupted for ever.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) core: Arc<Core>,
    pub(crate) pool: Arc<AccountPool>,
    /// Ends every task of this run.
    pub(crate) stopped: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Run {
    /// Ends every task of this run and waits for it. What is in flight stays in the store as it is.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.core.finish_store_work().await;
    }
}

impl Drop for Run {
    /// A manager that is dropped without a close watches nothing any more, and lets go of its store.
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

/// How a send is told to end, and whom it answers.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The run's end.
    pub(crate) stopped: CancellationToken,
    /// The caller's interrupt.
    pub(crate) interrupt: CancellationToken,
    pub(crate) gate: Arc<BroadcastGate>,
    answer: Option<oneshot::Sender<Result<Outcome, Error>>>,
}

impl Caller {
    pub(crate) const fn new(
        stopped: CancellationToken,
        interrupt: CancellationToken,
        gate: Arc<BroadcastGate>,
        answer: oneshot::Sender<Result<Outcome, Error>>,
    ) -> Self {
        Self { stopped, interrupt, gate, answer: Some(answer) }
    }

    /// Nobody waits any more: a transaction taken up again after a start.
    pub(crate) fn nobody(stopped: CancellationToken) -> Self {
        let gate = Arc::new(BroadcastGate::default());
        Self { stopped, interrupt: CancellationToken::new(), gate, answer: None }
    }

    /// Answers, once; a caller that went away misses it.
    pub(crate) fn answer(&mut self, answer: Result<Outcome, Error>) {
        if let Some(sender) = self.answer.take() {
            let _ = sender.send(answer);
        }
    }

    /// True when nothing may be begun any more.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.stopped.is_cancelled() || self.interrupt.is_cancelled()
    }

    /// What `work` gives, or `None` as soon as the caller or a stop interrupts; then `work` is dropped.
    pub(crate) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stopped.cancelled() => None,
            () = self.interrupt.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// Asks to hand a transaction to a transport.
    pub(crate) fn may_broadcast(&self, hash: B256) -> bool {
        !self.is_interrupted() && self.gate.pass(hash)
    }
}
