//! What every part of a running manager shares.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::eips::eip4844::Blob;
use alloy::eips::eip7594::BlobTransactionSidecarVariant;
use fermata_primitives::{L1Timestamp, SharedClock, UnixTime};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::l1::L1Client;
use crate::machine::news::Look;
use crate::machine::questions::Questions;
use crate::meter::Meter;
use crate::prices::{PriceSources, PriceWatch, computed_blob_base_fee};
use crate::spending::Spending;
use crate::store::Store;
use crate::{Error, FeeConfig, L1HeadInfo, PreparedBlobs, PublisherConfig, SidecarVersion};

/// What outlives a run: the store, the way to L1, and the threads both need.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: PublisherConfig,
    /// What may be bid from now on.
    fees: Mutex<FeeConfig>,
    /// What L1 asked for last.
    pub(crate) prices: PriceWatch,
    /// What was spent of late.
    pub(crate) spending: Spending,
    /// The sidecar that a node took last, where the chain's forks are not known.
    taken_sidecar: Mutex<SidecarVersion>,
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
            l1: L1Client::new(&l1, config.chain_id, config.rpc_timeout, &clock),
            prices: PriceWatch::default(),
            spending: Spending::default(),
            taken_sidecar: Mutex::new(SidecarVersion::V1),
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

    /// The first batch of a look, its prices weighed against each other and against `head`.
    ///
    /// # Errors
    /// What L1 answers, and [`Error::NoBlobFee`]: nothing is known then.
    pub(crate) async fn look_at_accounts(&self, questions: &Questions, head: &L1HeadInfo) -> Result<Look, Error> {
        let computed = computed_blob_base_fee(head, self.config.forks.as_ref());
        // What can be computed is compared at every look, so that a blob which comes later waits for no other.
        let wants_blob_fee = questions.wants_blob_fee || computed.is_some();
        let wants_tips = questions.wants_tips || self.prices.is_due(head.number);
        let asked = Questions { wants_blob_fee, wants_tips, ..questions.clone() };
        let (told, look) = self.l1.look_at_accounts(&asked).await?;
        let told = if wants_tips { told } else { self.prices.with_last_tips(told) };
        let sources = PriceSources { computed_blob_base_fee: computed, ..told };
        let prices = self.prices.see(sources, &self.fees());
        if wants_tips {
            self.prices.note_tips_of(head.number);
        }
        if questions.wants_blob_fee && prices.blob_base_fee.is_none() {
            return Err(Error::NoBlobFee);
        }
        Ok(Look { suggested_tip: prices.tip, blob_base_fee: prices.blob_base_fee, ..look })
    }

    /// The sidecar that the next block is taken to demand.
    pub(crate) fn sidecar_version(&self) -> SidecarVersion {
        match &self.config.forks {
            Some(forks) => forks.sidecar_at(self.next_block_at(&self.head())),
            None => *self.taken_sidecar.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The sidecar of this version, its proofs made on a thread of their own where they are missing.
    pub(crate) async fn sidecar(
        &self,
        blobs: PreparedBlobs,
        version: SidecarVersion,
    ) -> Result<BlobTransactionSidecarVariant, Error> {
        match version {
            SidecarVersion::V1 => blobs.sidecar_of(version),
            SidecarVersion::V0 => {
                let made = self.proof_work.spawn_blocking(move || blobs.sidecar_of(version)).await;
                made.unwrap_or(Err(Error::TaskFailed))
            }
        }
    }

    /// A node took a sidecar of this version after it had refused the other.
    pub(crate) fn note_taken(&self, version: SidecarVersion) {
        *self.taken_sidecar.lock().unwrap_or_else(PoisonError::into_inner) = version;
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

    /// Makes proofs, each blob on a thread of its own. Cell proofs always; those of version 0 where that is demanded now.
    pub(crate) async fn prepare(&self, blobs: Vec<Blob>) -> Result<PreparedBlobs, Error> {
        let version = self.sidecar_version();
        let prepared = move |blob| {
            let blobs = PreparedBlobs::compute(vec![blob])?;
            if version == SidecarVersion::V0 {
                blobs.blob_proofs()?;
            }
            Ok::<_, Error>(blobs)
        };
        let jobs: Vec<_> =
            blobs.into_iter().map(|blob| self.proof_work.spawn_blocking(move || prepared(blob))).collect();
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
