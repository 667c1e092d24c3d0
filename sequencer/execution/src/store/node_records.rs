//! Trie nodes, in the order they were made.
//!
//! A node is stored under a number that counts up, and with it the numbers of the nodes it refers to. So a block's new
//! nodes lie side by side, and writing them costs the same however large the state is: keyed by their hashes they would
//! be strewn over the whole file, a page each, and on a state of a million accounts that took three times as long as on
//! one of a thousand.

use alloy::primitives::B256;
use heed::PutFlags;

use super::codec::unreadable;
use super::{Snapshot, Writer, store_error};
use crate::Result;

/// A stored node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeRecord<'a> {
    ids: &'a [[u8; 8]],
    /// The node as it is hashed.
    pub(crate) rlp: &'a [u8],
}

impl<'a> NodeRecord<'a> {
    /// One byte counts the references, eight bytes are the number of each, the rest is RLP.
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let broken = || unreadable("trie node", "too short");
        let (count, rest) = bytes.split_first().ok_or_else(broken)?;
        let (ids, rlp) = rest.split_at_checked(usize::from(*count) * 8).ok_or_else(broken)?;
        Ok(Self { ids: ids.as_chunks().0, rlp })
    }

    /// Numbers of the nodes it refers to, in the order of the references in its RLP.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids.iter().map(|id| u64::from_be_bytes(*id))
    }
}

impl Snapshot {
    /// The node of this number.
    pub(crate) fn node(&self, id: u64) -> Result<Option<NodeRecord<'_>>> {
        let bytes = self.tables.nodes.get(&self.txn, &id).map_err(store_error)?;
        bytes.map(NodeRecord::read).transpose()
    }

    /// The number of the root node of a state.
    pub(crate) fn state_root(&self, root: B256) -> Result<Option<u64>> {
        self.tables.roots.get(&self.txn, root.as_slice()).map_err(store_error)
    }
}

impl Writer<'_> {
    /// The number the next new node gets.
    pub(crate) fn next_node(&self) -> Result<u64> {
        let last = self.tables.nodes.last(&self.txn).map_err(store_error)?;
        Ok(last.map_or(0, |(id, _)| id + 1))
    }

    /// Appends a node with the numbers of the nodes it refers to, in the order of the references in its RLP.
    pub(crate) fn append_node(&mut self, id: u64, references: &[u64], rlp: &[u8]) -> Result<()> {
        let count = u8::try_from(references.len()).map_err(|_| unreadable("trie node", "too many references"))?;
        let mut record = Vec::with_capacity(1 + references.len() * 8 + rlp.len());
        record.push(count);
        references.iter().for_each(|id| record.extend(id.to_be_bytes()));
        record.extend(rlp);
        self.tables.nodes.put_with_flags(&mut self.txn, PutFlags::APPEND, &id, &record).map_err(store_error)
    }

    /// Remembers the root node of a state.
    pub(crate) fn put_state_root(&mut self, root: B256, id: u64) -> Result<()> {
        self.tables.roots.put(&mut self.txn, root.as_slice(), &id).map_err(store_error)
    }
}
