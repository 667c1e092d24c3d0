//! The heads and the chain they end.

use alloy::primitives::B256;

use super::codec::{hash, unreadable};
use super::{Snapshot, Writer, store_error};
use crate::{BlockId, ExecutionError, Heads, Result};

const HEADS_KEY: &str = "heads";

/// Three blocks in the order unsafe, safe, finalized: each its number (8 bytes, big-endian) and its hash.
fn encode(heads: Heads) -> Vec<u8> {
    let blocks = [heads.unsafe_head, heads.safe, heads.finalized];
    blocks.iter().flat_map(|id| id.number.to_be_bytes().into_iter().chain(id.hash)).collect()
}

fn decode(bytes: &[u8]) -> Result<Heads> {
    let broken = || unreadable("heads record", "not 120 bytes");
    let mut blocks = bytes.as_chunks::<40>().0.iter().map(|chunk| {
        let (number, hash) = chunk.split_first_chunk::<8>().ok_or_else(broken)?;
        Ok(BlockId { number: u64::from_be_bytes(*number), hash: B256::try_from(hash).map_err(|_| broken())? })
    });
    let mut next = || blocks.next().unwrap_or_else(|| Err(broken()));
    Ok(Heads { unsafe_head: next()?, safe: next()?, finalized: next()? })
}

impl Writer<'_> {
    /// Writes the heads; the chain's index must be moved in the same transaction.
    pub(crate) fn put_heads(&mut self, heads: Heads) -> Result<()> {
        self.tables.meta.put(&mut self.txn, HEADS_KEY, &encode(heads)).map_err(store_error)
    }

    /// Puts a block on the chain.
    pub(crate) fn put_canonical(&mut self, block: BlockId) -> Result<()> {
        self.tables.canonical.put(&mut self.txn, &block.number, block.hash.as_slice()).map_err(store_error)
    }

    /// Takes the block of this number off the chain.
    pub(crate) fn remove_canonical(&mut self, number: u64) -> Result<()> {
        self.tables.canonical.delete(&mut self.txn, &number).map(|_| ()).map_err(store_error)
    }
}

impl Snapshot {
    /// The heads; `None` before genesis was written.
    pub(crate) fn stored_heads(&self) -> Result<Option<Heads>> {
        let bytes = self.tables.meta.get(&self.txn, HEADS_KEY).map_err(store_error)?;
        bytes.map(decode).transpose()
    }

    /// The heads of a store that has its genesis.
    pub(crate) fn heads(&self) -> Result<Heads> {
        self.stored_heads()?.ok_or_else(|| ExecutionError::Missing("its heads".to_owned()))
    }

    /// The chain's block of this number.
    pub(crate) fn canonical(&self, number: u64) -> Result<Option<B256>> {
        let bytes = self.tables.canonical.get(&self.txn, &number).map_err(store_error)?;
        bytes.map(|bytes| hash(bytes, "canonical index")).transpose()
    }
}
