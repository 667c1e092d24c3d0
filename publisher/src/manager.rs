//! The publisher manager: its verbs and its gate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy::eips::eip4844::Blob;
use alloy::primitives::{Address, B256};
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::SharedClock;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::broadcast_gate::BroadcastGate;
use crate::core::Core;
use crate::front::Front;
use crate::machine::job::Pinned;
use crate::reconcile::reconcile;
use crate::run::Run;
use crate::status::{PublisherStatus, SettledTx, StartReport, StatusView};
use crate::store::Store;
use crate::{
    Error, FeeConfig, L1, L1Request, Outcome, PreparedBlobs, PublisherConfig, PublisherKeys, SimOutcome, SimSetting,
    simulate,
};

/// How long a close waits for the store's last user.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Sends requests to L1 from a set of accounts, and keeps what it sends through stops and crashes.
///
/// Dropped without a close, it ends what runs and frees its directory in the background, without waiting.
#[derive(Debug)]
pub struct PublisherManager {
    keys: PublisherKeys,
    /// Orders start, stop and close.
    verbs: tokio::sync::Mutex<()>,
    gate: Mutex<Gate>,
    /// Cut short by a stop: the start that is under way.
    starting: Mutex<CancellationToken>,
}

/// What the manager can do now.
#[derive(Debug)]
enum Gate {
    Stopped(Arc<Core>),
    Running(Arc<Run>),
    Closed,
}

impl PublisherManager {
    /// Opens the store in the configured directory; nothing is asked of L1 yet. Blocks for some disk reads.
    ///
    /// # Errors
    /// [`Error::Funding`]; those of the data directory: held by another process, unusable, damaged, newer, of another
    /// chain. Nothing was changed then.
    pub fn open(
        config: PublisherConfig,
        keys: impl Into<PublisherKeys>,
        l1: L1,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let keys = keys.into().checked(config.funding.as_ref())?;
        let store = Store::open(&config.data_dir, config.chain_id, config.keep_settled)?;
        let core = Arc::new(Core::new(config, l1, clock, store));
        // The trusted setup takes seconds to load: do it beside, before the first blob needs it.
        core.proof_work.spawn_blocking(crate::blobs::trusted_setup);
        Ok(Self {
            keys,
            verbs: tokio::sync::Mutex::default(),
            gate: Mutex::new(Gate::Stopped(core)),
            starting: Mutex::default(),
        })
    }

    /// Reconciles every unsettled transaction with L1, then accepts work. A running manager stays as it is.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Interrupted`] by a stop; [`Error::WrongChain`], [`Error::ChainRewound`], and what L1 or
    /// the store answer. The manager is stopped then, and may be started again.
    ///
    /// # Cancel safety
    /// Dropped, nothing runs, and it may be started again.
    pub async fn start(&self) -> Result<StartReport, Error> {
        let _verb = self.verbs.lock().await;
        self.finish_given_up_stop().await;
        let core = match &*self.gate() {
            Gate::Stopped(core) => Arc::clone(core),
            Gate::Running(_) => return Ok(StartReport::default()),
            Gate::Closed => return Err(Error::Closed),
        };
        let (signers, order) = self.keys.by_role();
        let stopped = CancellationToken::new();
        *self.starting.lock().unwrap_or_else(PoisonError::into_inner) = stopped.clone();
        let begun = core.clock.monotonic();
        let reconciled = tokio::select! {
            biased;
            () = stopped.cancelled() => return Err(Error::Interrupted),
            reconciled = reconcile(&core, &signers, order) => reconciled?,
        };
        let report = reconciled.report.clone();
        core.meter.recovered(core.clock.monotonic().saturating_sub(begun), &report);
        let run = Arc::new(Run::begin(core, signers, reconciled, stopped));
        info!(
            accounts = self.keys.publishers.len(),
            settled = report.settled.len(),
            resumed = report.resumed.len(),
            "started"
        );
        *self.gate() = Gate::Running(run);
        Ok(report)
    }

    /// Sends `request` and answers how it ended; waits for its window, for a free account, and for L1 to include it.
    ///
    /// # Errors
    /// [`Error::NoSigners`], [`Error::NotRunning`], [`Error::Closed`], [`Error::Unfunded`], and what the store answers.
    /// Nothing was sent then.
    ///
    /// # Cancel safety
    /// Dropped, the send goes on without anyone waiting for it; to end it, cancel `interrupt`. After an interrupt nothing
    /// goes out for this request; what was sent before is only watched, and cancelled at its deadline.
    pub async fn send(&self, request: L1Request, interrupt: CancellationToken) -> Result<Outcome, Error> {
        if self.keys.publishers.is_empty() {
            return Err(Error::NoSigners);
        }
        let gate = Arc::new(BroadcastGate::default());
        let (answer, answered) = oneshot::channel();
        let stopped = {
            let run = self.run()?;
            let front = Front {
                core: Arc::clone(&run.core),
                desk: run.desk.clone(),
                id: run.next_job(),
                request,
                account: Pinned::Any,
                gate: Arc::clone(&gate),
                interrupt: interrupt.clone(),
                answer,
            };
            let stopped = run.stopped.clone();
            run.tasks.spawn(async move { stopped.run_until_cancelled(front.run()).await });
            run.stopped.clone()
        };
        let interrupted = || Ok(Outcome::Interrupted { sent: gate.close() });
        tokio::select! {
            biased;
            answer = answered => answer.unwrap_or_else(|_| interrupted()),
            () = interrupt.cancelled() => interrupted(),
            () = stopped.cancelled() => interrupted(),
        }
    }

    /// Makes the proofs of `blobs` ahead of a send, each on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Blob`] when a blob is no sequence of field elements; [`Error::Closed`].
    pub async fn prepare(&self, blobs: Vec<Blob>) -> Result<PreparedBlobs, Error> {
        let core = self.core()?;
        core.prepare(blobs).await
    }

    /// Runs `request` on the latest state, as `setting` says.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Closed`], [`Error::Interrupted`] by a stop, [`Error::Invalid`] where the block has no
    /// room for its blobs or its gas limit, and what L1 answers. A revert is none.
    pub async fn simulate_at(&self, request: &L1Request, setting: SimSetting) -> Result<SimOutcome, Error> {
        let run = self.run()?;
        let stopped = run.stopped.clone();
        let core = Arc::clone(&run.core);
        drop(run);
        tokio::select! {
            biased;
            () = stopped.cancelled() => Err(Error::Interrupted),
            outcome = simulate::simulate_at(&core, request, setting) => outcome,
        }
    }

    /// Ends every send; after it has answered, nothing goes out to L1. What is in flight stays in the store as it is, and
    /// the next start reconciles it. A start under way is cut short. A stopped or closed manager stays as it is.
    pub async fn stop(&self) {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        let _verb = self.verbs.lock().await;
        self.stop_run().await;
    }

    /// Stops, then closes the store: another process can open the data directory at once.
    ///
    /// # Errors
    /// [`Error::StillInUse`] when the store is used for longer than seconds; it is closed as soon as it is not.
    pub async fn close(&self) -> Result<(), Error> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        let _verb = self.verbs.lock().await;
        self.stop_run().await;
        let core = match std::mem::replace(&mut *self.gate(), Gate::Closed) {
            Gate::Stopped(core) => core,
            Gate::Running(_) | Gate::Closed => return Ok(()),
        };
        info!("closed");
        close_store(core).await
    }

    /// The accounts, what is in flight on each, and the nodes it is handed to.
    ///
    /// # Errors
    /// [`Error::Closed`], and what the store answers.
    pub async fn status(&self) -> Result<PublisherStatus, Error> {
        let core = self.core()?;
        let run = self.run().ok();
        let unsettled = core.on_store(|store| store.unsettled()).await?;
        let view = StatusView { core: &core, run: run.as_deref(), unsettled: &unsettled };
        let mut accounts = Vec::with_capacity(self.keys.publishers.len());
        for signer in &self.keys.publishers {
            accounts.push(view.publisher(signer.address()).await?);
        }
        let funder = match &self.keys.funder {
            Some(funder) => Some(view.funder(funder.address(), accounts.len()).await?),
            None => None,
        };
        let waiting = run.as_ref().map(|run| run.desk.waiting()).unwrap_or_default();
        let (backends, prices) = (core.l1.backends(), core.prices.status());
        Ok(PublisherStatus { running: run.is_some(), accounts, funder, backends, waiting, prices })
    }

    /// Bids that are made from now on keep within `fees`; what is in flight stays as it is.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn set_fees(&self, fees: FeeConfig) -> Result<(), Error> {
        self.core()?.set_fees(fees);
        Ok(())
    }

    /// How the transaction with this hash, or the one whose cancel it is, ended; `None` when it is not settled, or not
    /// among those that are kept.
    ///
    /// # Errors
    /// [`Error::Closed`], and what the store answers.
    pub async fn settled(&self, hash: B256) -> Result<Option<SettledTx>, Error> {
        let found = self.core()?.on_store(move |store| store.by_hash(hash)).await?;
        Ok(found.filter(|tx| tx.intent.state.is_settled()).map(|tx| SettledTx::of(&tx)))
    }

    /// A stop that its caller gave up half-way has left a run that ends: what begins next must not find it running.
    async fn finish_given_up_stop(&self) {
        if self.run().is_ok_and(|run| run.stopped.is_cancelled()) {
            self.stop_run().await;
        }
    }

    async fn stop_run(&self) {
        match self.run() {
            Ok(run) => {
                run.stop().await;
                *self.gate() = Gate::Stopped(Arc::clone(&run.core));
                info!("stopped");
            }
            // A start that was cut short may have left a write under way.
            Err(_) => {
                if let Ok(core) = self.core() {
                    core.finish_store_work().await;
                }
            }
        }
    }

    /// The account that simulations are sent from.
    pub(crate) fn first_account(&self) -> Address {
        self.keys.publishers.first().map(PrivateKeySigner::address).unwrap_or_default()
    }

    pub(crate) fn run(&self) -> Result<Arc<Run>, Error> {
        match &*self.gate() {
            Gate::Running(run) => Ok(Arc::clone(run)),
            Gate::Stopped(_) => Err(Error::NotRunning),
            Gate::Closed => Err(Error::Closed),
        }
    }

    fn core(&self) -> Result<Arc<Core>, Error> {
        match &*self.gate() {
            Gate::Running(run) => Ok(Arc::clone(&run.core)),
            Gate::Stopped(core) => Ok(Arc::clone(core)),
            Gate::Closed => Err(Error::Closed),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until nobody uses the store, then closes it and gives up the directory.
async fn close_store(core: Arc<Core>) -> Result<(), Error> {
    let file = core.store.file().to_owned();
    core.finish_store_work().await;
    let closing = Arc::clone(&core.store).closing();
    drop(core);
    let waiter = TaskTracker::new();
    let closed = waiter.spawn_blocking(move || closing.wait_timeout(CLOSE_PATIENCE)).await;
    match closed {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::StillInUse { file, after: CLOSE_PATIENCE }),
        Err(_) => Err(Error::TaskFailed),
    }
}
