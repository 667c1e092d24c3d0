//! What every method works with.

use std::sync::Arc;
use std::thread::available_parallelism;

use alloy::eips::BlockId as BlockTag;
use alloy::primitives::B256;
use jsonrpsee::core::RpcResult;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::RpcLimits;
use super::eth_error::EthError;
use crate::{BlockId, ChainReader};

/// A subscriber to waiting transactions that falls further behind than this is cut off.
const PENDING_KEPT: usize = 4_096;

/// The chain, the limits, and whose tasks the work is. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) reader: ChainReader,
    pub(super) limits: RpcLimits,
    /// Cancelled when the server stops: subscriptions end.
    pub(super) stop: CancellationToken,
    /// Hashes of transactions as the pool takes them.
    pub(super) accepted: broadcast::Sender<B256>,
    /// Cores that validation may use.
    pub(super) cores: usize,
    tracker: TaskTracker,
    reads: Arc<Semaphore>,
    validations: Arc<Semaphore>,
}

impl Context {
    pub(super) fn new(reader: ChainReader, limits: RpcLimits, tracker: TaskTracker, stop: CancellationToken) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            reader,
            limits,
            stop,
            accepted: broadcast::Sender::new(PENDING_KEPT),
            cores,
            tracker,
            reads: Arc::new(Semaphore::new(limits.max_concurrent_reads)),
            validations: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Runs a read or an EVM run on a blocking thread, when it is its turn.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ChainReader) -> Result<T, EthError> + Send + 'static,
    ) -> RpcResult<T> {
        Ok(self.run(&self.reads, work).await?)
    }

    /// The same for validating transactions: as many at a time as there are cores, apart from the reads, so that neither
    /// starves the other.
    pub(super) async fn validate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ChainReader) -> Result<T, EthError> + Send + 'static,
    ) -> Result<T, EthError> {
        self.run(&self.validations, work).await
    }

    /// The turn belongs to the work, not to the caller: a caller that goes away does not let another one in early.
    async fn run<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&ChainReader) -> Result<T, EthError> + Send + 'static,
    ) -> Result<T, EthError> {
        let turn = Arc::clone(turns).acquire_owned().await.map_err(|_| EthError::Stopping)?;
        let reader = self.reader.clone();
        let worked = self.tracker.spawn_blocking(move || {
            let _turn = turn;
            work(&reader)
        });
        // An error means that the runtime is going down, or that `work` panicked, which the runtime has reported.
        worked.await.map_err(|_| EthError::Stopping)?
    }
}

/// The block a parameter stands for; the latest where it is left out.
pub(super) fn resolve(reader: &ChainReader, tag: Option<BlockTag>) -> Result<BlockId, EthError> {
    reader.resolve(tag.unwrap_or_default())?.ok_or(EthError::BlockNotFound)
}
