//! Where tries find their nodes: the store, and above it what has not been written yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::consensus::EMPTY_ROOT_HASH;
use alloy::primitives::B256;
use eth_trie::EthTrie;

use super::lookup::lookup;
use crate::store::Snapshot;
use crate::{ExecutionError, Result};

/// A trie over [`TrieNodes`].
pub(super) type StateTrie = EthTrie<TrieNodes>;

/// Nodes by hash. New ones stay in memory until they are taken for the block's write transaction.
#[derive(Debug, Default)]
pub(crate) struct TrieNodes {
    /// `None` for a state that begins empty: genesis. LMDB's read transactions may change threads, but not be shared.
    stored: Option<Mutex<Snapshot>>,
    fresh: Mutex<HashMap<B256, Vec<u8>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TrieNodes {
    /// The nodes of a store.
    pub(crate) fn stored(snapshot: Snapshot) -> Self {
        Self { stored: Some(Mutex::new(snapshot)), fresh: Mutex::default() }
    }

    /// Opens the trie with this root.
    pub(super) fn trie(self: &Arc<Self>, root: B256) -> Result<StateTrie> {
        if root == EMPTY_ROOT_HASH {
            return Ok(EthTrie::new(Arc::clone(self)));
        }
        EthTrie::from(Arc::clone(self), root).map_err(|cause| trie_error(&cause))
    }

    /// Reads something else from the same snapshot; `None` where there is no store.
    pub(super) fn with_snapshot<T>(&self, read: impl FnOnce(&Snapshot) -> Result<Option<T>>) -> Result<Option<T>> {
        self.stored.as_ref().map_or(Ok(None), |snapshot| read(&locked(snapshot)))
    }

    /// The value at `key` in a stored trie; a state that begins empty has none.
    pub(super) fn lookup(&self, root: B256, key: B256) -> Result<Option<Vec<u8>>> {
        if root == EMPTY_ROOT_HASH {
            return Ok(None);
        }
        self.with_snapshot(|snapshot| lookup(snapshot, root, key))
    }

    /// Takes the nodes made since the last time.
    pub(super) fn take_fresh(&self) -> Vec<(B256, Vec<u8>)> {
        std::mem::take(&mut *locked(&self.fresh)).into_iter().collect()
    }
}

/// A node, account or slot that does not decode.
pub(super) fn unreadable(cause: &alloy::rlp::Error) -> ExecutionError {
    ExecutionError::Missing(format!("a readable part of the state ({cause})"))
}

/// A trie that cannot be walked: its nodes are not all there.
pub(super) fn trie_error(cause: &eth_trie::TrieError) -> ExecutionError {
    ExecutionError::Missing(format!("a part of the state trie ({cause})"))
}

impl eth_trie::DB for TrieNodes {
    type Error = ExecutionError;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let hash = B256::try_from(key).map_err(|_| ExecutionError::Missing("a node whose hash has 32 bytes".into()))?;
        if let Some(node) = locked(&self.fresh).get(&hash) {
            return Ok(Some(node.clone()));
        }
        self.with_snapshot(|snapshot| Ok(snapshot.node(hash)?.map(<[u8]>::to_vec)))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> Result<()> {
        let hash = B256::try_from(key).map_err(|_| ExecutionError::Missing("a node whose hash has 32 bytes".into()))?;
        locked(&self.fresh).insert(hash, value);
        Ok(())
    }

    /// Nodes are never deleted: older states, and other tries, share them.
    fn remove(&self, _key: &[u8]) -> Result<()> {
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
