//! Where tries find their nodes: the store, and above it what has not been written yet.
//!
//! A trie asks for nodes by hash, the store knows them by number. A node tells the numbers of those it refers to, and a
//! trie is always walked from its root: so by the time a hash is asked for, its number is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::consensus::EMPTY_ROOT_HASH;
use alloy::primitives::B256;
use alloy::primitives::map::B256Map;
use eth_trie::EthTrie;

use super::fresh::FreshNodes;
use super::lookup::lookup;
use super::references::references;
use crate::store::Snapshot;
use crate::{ExecutionError, Result};

/// A trie over [`TrieNodes`].
pub(super) type StateTrie = EthTrie<TrieNodes>;

/// Nodes by hash. New ones stay in memory until they are taken for the block's write transaction.
#[derive(Debug, Default)]
pub(crate) struct TrieNodes(Mutex<Nodes>);

#[derive(Debug, Default)]
struct Nodes {
    /// `None` for a state that begins empty: genesis.
    stored: Option<Snapshot>,
    /// Numbers of stored nodes that the walks so far have come across.
    known: B256Map<u64>,
    fresh: B256Map<Vec<u8>>,
}

impl TrieNodes {
    /// The nodes of a stored state.
    ///
    /// # Errors
    /// `Missing` where the store has no such state.
    pub(crate) fn stored(snapshot: Snapshot, root: B256) -> Result<Self> {
        let id = snapshot.state_root(root)?;
        let id = id.ok_or_else(|| ExecutionError::Missing(format!("the state {root}")))?;
        let known = B256Map::from_iter([(root, id)]);
        Ok(Self(Mutex::new(Nodes { stored: Some(snapshot), known, fresh: B256Map::default() })))
    }

    fn locked(&self) -> MutexGuard<'_, Nodes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the trie with this root.
    pub(super) fn trie(self: &Arc<Self>, root: B256) -> Result<StateTrie> {
        if root == EMPTY_ROOT_HASH {
            return Ok(EthTrie::new(Arc::clone(self)));
        }
        EthTrie::from(Arc::clone(self), root).map_err(|cause| trie_error(&cause))
    }

    /// The value at `key` in a stored trie: the state's, or the storage of an account that was looked up before.
    pub(super) fn lookup(&self, root: B256, key: B256) -> Result<Option<Vec<u8>>> {
        if root == EMPTY_ROOT_HASH {
            return Ok(None);
        }
        let mut nodes = self.locked();
        let missing = || ExecutionError::Missing(format!("the trie {root}"));
        let id = *nodes.known.get(&root).ok_or_else(missing)?;
        let snapshot = nodes.stored.as_ref().ok_or_else(missing)?;
        let Some(leaf) = lookup(snapshot, id, key)? else { return Ok(None) };
        nodes.known.extend(leaf.storage);
        Ok(Some(leaf.value))
    }

    /// Reads something else from the same snapshot; `None` where there is no store.
    pub(super) fn with_snapshot<T>(&self, read: impl FnOnce(&Snapshot) -> Result<Option<T>>) -> Result<Option<T>> {
        self.locked().stored.as_ref().map_or(Ok(None), read)
    }

    /// Makes room for what changing this many leaves comes across: a handful of branches each, of sixteen children.
    pub(super) fn reserve(&self, leaves: usize) {
        self.locked().known.reserve(leaves * 64);
    }

    /// Takes the nodes made since the last time.
    pub(super) fn take_fresh(&self) -> FreshNodes {
        let mut nodes = self.locked();
        FreshNodes::new(std::mem::take(&mut nodes.fresh), std::mem::take(&mut nodes.known))
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

fn node_hash(key: &[u8]) -> Result<B256> {
    B256::try_from(key).map_err(|_| ExecutionError::Missing("a node whose hash has 32 bytes".to_owned()))
}

impl eth_trie::DB for TrieNodes {
    type Error = ExecutionError;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let hash = node_hash(key)?;
        let Nodes { stored, known, fresh } = &mut *self.locked();
        if let Some(node) = fresh.get(&hash) {
            return Ok(Some(node.clone()));
        }
        let (Some(snapshot), Some(id)) = (stored, known.get(&hash)) else { return Ok(None) };
        let Some(record) = snapshot.node(*id)? else { return Ok(None) };
        let children = references(record.rlp).map_err(|cause| unreadable(&cause))?;
        known.extend(children.into_iter().zip(record.ids()));
        Ok(Some(record.rlp.to_vec()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> Result<()> {
        self.locked().fresh.insert(node_hash(key)?, value);
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
