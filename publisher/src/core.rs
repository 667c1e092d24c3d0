//! What every part of a running manager shares.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::eips::eip4844::Blob;
use fermata_primitives::{L1Timestamp, SharedClock, UnixTime};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::l1::L1Client;
use crate::meter::Meter;
use crate::store::Store;
use crate::{Error, FeeConfig, L1HeadInfo, PreparedBlobs, PublisherConfig};

/// What outlives a run: the store, the way to L1, and the threads both need.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: PublisherConfig,
    /// What may be bid from now on.
    fees: Mutex<FeeConfig>,
    pub(crate) l1: L1Client,
    pub(crate) heads: watch::Receiver<L1HeadInfo>,
    pub(crate) clock: SharedClock,
    pub(crate) meter: Meter,
    pub(crate) store: Arc<Store>,
    /// Blocking work of the store; a stop waits for it.
    pub(crate) store_work: TaskTracker,
    /// Blocking work on proofs. It touches nothing that is closed, so that nothing waits for it.
    pub(crate) proof_work: TaskTracker,
    dedup_keys: Mutex<HashSet<String>>,
}

/// A dedup key in use by a send, from before its record until after its end.
#[derive(Debug)]
pub(crate) struct KeyInUse {
    core: Arc<Core>,
    key: String,
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        self.core.dedup_keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Core {
    pub(crate) fn new(config: PublisherConfig, l1: crate::L1, clock: SharedClock, store: Store) -> Self {
        Self {
            l1: L1Client::new(&l1, config.rpc_timeout, &clock),
            fees: Mutex::new(config.fees.clone()),
            meter: Meter::of(&config.name),
            config,
            heads: l1.heads,
            clock,
            store: Arc::new(store),
            store_work: TaskTracker::new(),
            proof_work: TaskTracker::new(),
            dedup_keys: Mutex::default(),
        }
    }

    /// The head of L1 as last seen.
    pub(crate) fn head(&self) -> L1HeadInfo {
        *self.heads.borrow()
    }

    /// What may be bid now.
    pub(crate) fn fees(&self) -> FeeConfig {
        self.fees.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bids made from now on keep within `fees`.
    pub(crate) fn set_fees(&self, fees: FeeConfig) {
        *self.fees.lock().unwrap_or_else(PoisonError::into_inner) = fees;
    }

    /// The earliest timestamp the next L1 block can have.
    pub(crate) fn next_block_at(&self, head: &L1HeadInfo) -> L1Timestamp {
        head.timestamp.plus_secs(self.config.ethereum_slot.as_secs())
    }

    /// Resolves at `wake`; never, where there is none.
    pub(crate) async fn until(&self, wake: Option<UnixTime>) {
        match wake {
            Some(wake) => self.clock.sleep_until(wake).await,
            None => std::future::pending().await,
        }
    }

    /// Does `work` on the store, off the runtime.
    ///
    /// # Cancel safety
    /// Dropped, the work still ends, and a stop waits for it.
    pub(crate) async fn on_store<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&Store) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let done = self.store_work.spawn_blocking(move || work(&store)).await;
        done.unwrap_or(Err(Error::TaskFailed))
    }

    /// Waits for the store's work that is under way, also that of tasks which were dropped meanwhile.
    pub(crate) async fn finish_store_work(&self) {
        self.store_work.close();
        self.store_work.wait().await;
        self.store_work.reopen();
    }

    /// Makes proofs, each blob on a thread of its own.
    pub(crate) async fn prepare(&self, blobs: Vec<Blob>) -> Result<PreparedBlobs, Error> {
        let jobs: Vec<_> = blobs
            .into_iter()
            .map(|blob| self.proof_work.spawn_blocking(move || PreparedBlobs::compute(vec![blob])))
            .collect();
        let mut parts = Vec::with_capacity(jobs.len());
        for job in jobs {
            parts.push(job.await.map_err(|_| Error::TaskFailed)??);
        }
        Ok(PreparedBlobs::join(parts))
    }

    /// Takes a dedup key; `None` when a send of this process has it.
    pub(crate) fn take_key(self: &Arc<Self>, key: &str) -> Option<KeyInUse> {
        let mut keys = self.dedup_keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.to_owned()).then(|| KeyInUse { core: Arc::clone(self), key: key.to_owned() })
    }
}
