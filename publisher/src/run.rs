//! One start-to-stop of the manager.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::Core;
use crate::desk::{Desk, DeskHandle, Signers};
use crate::funding::{Accounts, Funding, Given};
use crate::machine::job::{JobId, JobIds};
use crate::reconcile::Reconciled;

/// What one start made. A restart makes a new one; what belonged to an older run stays interrupted for ever.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) core: Arc<Core>,
    pub(crate) desk: DeskHandle,
    /// Ends every task of this run.
    pub(crate) stopped: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// What the funder gave.
    pub(crate) given: Given,
    ids: JobIds,
}

impl Run {
    /// Sets the desk to work on what was reconciled, and the funding, where there is one.
    pub(crate) fn begin(core: Arc<Core>, signers: Signers, reconciled: Reconciled, stopped: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        let (accounts, ids) = (Accounts::of(&reconciled.machine), JobIds::default());
        let of_run = (tasks.clone(), stopped.clone());
        let (desk, handle) = Desk::new(Arc::clone(&core), reconciled.machine, signers, of_run);
        tasks.spawn(desk.run(reconciled.effects));
        let funding = accounts.and_then(|accounts| Funding::new(&core, &handle, (accounts, ids.clone())));
        let given = funding.as_ref().map(Funding::given).unwrap_or_default();
        if let Some(funding) = funding {
            let stopped = stopped.clone();
            tasks.spawn(async move { stopped.run_until_cancelled(funding.run()).await });
        }
        Self { core, desk: handle, stopped, tasks, given, ids }
    }

    /// A number no other request of this run has.
    pub(crate) fn next_job(&self) -> JobId {
        self.ids.next()
    }

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
