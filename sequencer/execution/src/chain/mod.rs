//! The in-process execution engine: store, EVM and mempool behind the [`Execution`] trait.

mod canonical;
mod engine;
mod fees;
mod jobs;
mod reader;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::B256;
use fermata_primitives::SharedClock;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::broadcast;

pub use canonical::HeadsMoved;
pub use reader::ChainReader;

use crate::mempool::{Mempool, MempoolConfig};
use crate::{Block, BlockAttributes, Execution, ExecutionError, Genesis, Heads, JobId, Result, Verdict};
use engine::Engine;
use jobs::Jobs;
use worker::Worker;

/// A subscriber that falls further behind than this misses moves of the heads, and is told so.
const MOVES_KEPT: usize = 256;
/// Ethereum's least gas limit of a block.
const LEAST_GAS_LIMIT: u64 = 5_000;

/// What a [`RevmExecution`] is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the store; made where there is none.
    pub dir: PathBuf,
    /// What the chain begins with. A store of another chain is refused.
    pub genesis: Genesis,
    /// Tells when a block's deadline has come.
    pub clock: SharedClock,
    /// Limits of the mempool.
    pub mempool: MempoolConfig,
}

/// The default execution engine: revm in this process.
///
/// One thread of its own executes and writes, in order; reads go straight to the store. Dropping it never blocks: the
/// thread ends by itself after what it is busy with. Only after [`RevmExecution::close`] is the store surely free.
#[derive(Debug)]
pub struct RevmExecution {
    reader: ChainReader,
    jobs: Arc<Mutex<Jobs>>,
    worker: Worker,
}

impl RevmExecution {
    /// Opens the store, or makes it with the genesis block.
    ///
    /// # Errors
    /// `BadGenesis`, `GenesisMismatch`, `NewerStore`, `DamagedStore`, `AlreadyOpen`, `Io`, `Store`; a store that is
    /// refused is not changed.
    pub async fn open(options: Options) -> Result<Self> {
        let (worker, reader) = Worker::start(move || Engine::open(options)).await?;
        Ok(Self { reader, jobs: Arc::default(), worker })
    }

    /// What reads the chain: for the RPC and for tests. Stays usable, with `Closed` errors, after close.
    #[must_use]
    pub const fn reader(&self) -> &ChainReader {
        &self.reader
    }

    /// Transactions that wait for a block.
    #[must_use]
    pub const fn mempool(&self) -> &Arc<Mempool> {
        self.reader.mempool()
    }

    /// Moves of the heads from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<HeadsMoved> {
        self.reader.subscribe()
    }

    /// Ends what is in progress and frees the store: once this returns, anybody can open it. A second call does nothing.
    ///
    /// # Errors
    /// `WorkerGone` where the engine's thread had died.
    ///
    /// # Cancel safety
    /// Dropping the future does not keep the engine open.
    pub async fn close(&self) -> Result<()> {
        self.worker.close().await
    }

    fn register(&self, parent: B256, attributes: BlockAttributes) -> Result<JobId> {
        let header = self.reader.header(parent)?.ok_or(ExecutionError::UnknownBlock(parent))?;
        if attributes.timestamp < header.timestamp {
            let (own, parents) = (attributes.timestamp, header.timestamp);
            let what = format!("timestamp {own} is before the parent's {parents}; use the parent's or a later one");
            return Err(ExecutionError::BadAttributes(what));
        }
        if attributes.gas_limit < LEAST_GAS_LIMIT {
            let what = format!("gas limit {} is below {LEAST_GAS_LIMIT}; raise it", attributes.gas_limit);
            return Err(ExecutionError::BadAttributes(what));
        }
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(jobs.register(parent, attributes))
    }
}

impl Execution for RevmExecution {
    fn begin(&self, parent: B256, attributes: BlockAttributes) -> BoxFuture<'_, Result<JobId>> {
        async move { self.register(parent, attributes) }.boxed()
    }

    fn seal(&self, job: JobId) -> BoxFuture<'_, Result<Block>> {
        let jobs = Arc::clone(&self.jobs);
        self.worker.run(move |engine| engine.seal(job, &jobs))
    }

    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<()>> {
        async move {
            self.worker.check_open()?;
            self.jobs.lock().unwrap_or_else(PoisonError::into_inner).forget(job);
            Ok(())
        }
        .boxed()
    }

    fn insert(&self, block: Block) -> BoxFuture<'_, Result<Verdict>> {
        self.worker.run(move |engine| engine.insert(&block))
    }

    fn set_heads(&self, heads: Heads) -> BoxFuture<'_, Result<()>> {
        self.worker.run(move |engine| engine.set_heads(heads))
    }

    fn heads(&self) -> BoxFuture<'_, Result<Heads>> {
        async move { self.reader.heads() }.boxed()
    }

    fn block(&self, hash: B256) -> BoxFuture<'_, Result<Option<Block>>> {
        async move { self.reader.block(hash) }.boxed()
    }
}
