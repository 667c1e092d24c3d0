//! What the engine's thread does: build, re-execute, store.

use std::sync::{Arc, Mutex, PoisonError};

use alloy::consensus::Header;
use alloy::primitives::B256;
use fermata_primitives::{SharedClock, crash_point};

use super::jobs::{Job, Jobs};
use super::reader::ChainReader;
use super::{Options, canonical};
use crate::evm::{BlockEnvironment, Executed, Limits, Replayed, build_from_list, build_from_mempool, replay};
use crate::state::StateView;
use crate::store::Store;
use crate::{Block, BlockId, ExecutionError, Genesis, Heads, JobId, Result, Verdict};

/// Store, EVM and mempool, used by one thread.
#[derive(Debug)]
pub(super) struct Engine {
    reader: ChainReader,
    clock: SharedClock,
}

impl Engine {
    /// Opens the store and sees that it holds this chain.
    pub(super) fn open(options: Options) -> Result<Self> {
        let genesis = options.genesis.execute()?;
        let id = genesis.block.block.id();
        let store = Arc::new(Store::open(&options.dir)?);
        if let Err(error) = ensure_genesis(&store, genesis) {
            store.close();
            return Err(error);
        }
        let Genesis { chain_id, .. } = options.genesis;
        Ok(Self { reader: ChainReader::new(store, chain_id, id, options.mempool), clock: options.clock })
    }

    pub(super) const fn reader(&self) -> &ChainReader {
        &self.reader
    }

    pub(super) fn close(&self) {
        self.reader.store().close();
    }

    /// Builds the job's block and stores it, or gives the block it became.
    pub(super) fn seal(&self, id: JobId, jobs: &Mutex<Jobs>) -> Result<Block> {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).get(id)?;
        if let Some(block) = job.sealed {
            return Ok(block);
        }
        let executed = self.build(&job)?;
        let block = self.store(executed)?;
        crash_point!("execution.after_block");
        jobs.lock().unwrap_or_else(PoisonError::into_inner).sealed(id, block.clone());
        Ok(block)
    }

    fn build(&self, job: &Job) -> Result<Executed> {
        let (parent, state) = self.state_after(job.parent)?.ok_or(ExecutionError::UnknownBlock(job.parent))?;
        let attributes = &job.attributes;
        let environment = BlockEnvironment::on(&parent, job.parent, self.reader.chain_id(), attributes);
        if let Some(list) = &attributes.transactions {
            return build_from_list(state, environment, list);
        }
        let limits = Limits {
            max_payload_bytes: attributes.max_payload_bytes,
            deadline: attributes.deadline,
            clock: Arc::clone(&self.clock),
            on_head: self.reader.heads()?.unsafe_head.hash == job.parent,
        };
        build_from_mempool(state, environment, self.reader.mempool(), &limits)
    }

    /// Re-executes somebody's block and stores it where it is valid.
    pub(super) fn insert(&self, block: &Block) -> Result<Verdict> {
        if self.reader.store().read()?.has_block(block.hash())? {
            return Ok(Verdict::Valid);
        }
        let Some((parent, state)) = self.state_after(block.header().parent_hash)? else {
            return Ok(Verdict::MissingParent);
        };
        match replay(state, &parent, self.reader.chain_id(), block)? {
            Replayed::Invalid(reason) => Ok(Verdict::Invalid { reason }),
            Replayed::Same(executed) => {
                self.store(*executed)?;
                crash_point!("execution.after_insert");
                Ok(Verdict::Valid)
            }
        }
    }

    pub(super) fn set_heads(&self, heads: Heads) -> Result<()> {
        canonical::set_heads(&self.reader, heads)
    }

    /// A stored block's header and the state after it.
    fn state_after(&self, block: B256) -> Result<Option<(Header, StateView)>> {
        let snapshot = self.reader.store().read()?;
        let Some(header) = snapshot.header(block)? else { return Ok(None) };
        let at = BlockId { number: header.number, hash: block };
        let view = StateView::new(snapshot, header.state_root, at)?;
        Ok(Some((header, view)))
    }

    /// Writes a block with everything derived from it, durably and as a whole.
    fn store(&self, executed: Executed) -> Result<Block> {
        let Executed { block, mut changes } = executed;
        let store = self.reader.store();
        if !store.read()?.has_block(block.block.hash())? {
            store.write(|writer| {
                changes.write(writer)?;
                writer.put_block(&block)
            })?;
        }
        Ok(block.block)
    }
}

/// Writes the genesis block into a new store; in an old one, sees that it is the same and that the heads can be read.
fn ensure_genesis(store: &Store, genesis: Executed) -> Result<()> {
    let Executed { block, mut changes } = genesis;
    let id = block.block.id();
    let snapshot = store.read()?;
    let Some(heads) = snapshot.stored_heads()? else {
        drop(snapshot);
        store.write(|writer| {
            changes.write(writer)?;
            writer.put_block(&block)?;
            writer.put_canonical(id)?;
            writer.put_heads(Heads { unsafe_head: id, safe: id, finalized: id })
        })?;
        crash_point!("execution.after_genesis");
        return Ok(());
    };
    let stored = snapshot.canonical(0)?.ok_or_else(|| ExecutionError::Missing("its genesis block".to_owned()))?;
    if stored != id.hash {
        return Err(ExecutionError::GenesisMismatch { path: store.dir().to_owned(), stored, given: id.hash });
    }
    let head = snapshot.block(heads.unsafe_head.hash)?;
    let head = head.ok_or_else(|| ExecutionError::Missing(format!("the head {}", heads.unsafe_head)))?;
    StateView::new(snapshot, head.header().state_root, head.id()).map(|_| ())
}
