//! Nodes that a block has made, on their way into the store.

use alloy::primitives::B256;
use alloy::primitives::map::B256Map;

use super::nodes::unreadable;
use super::references::references;
use crate::store::Writer;
use crate::{ExecutionError, Result};

/// New nodes, and the numbers of the stored ones they may refer to.
#[derive(Debug)]
pub(super) struct FreshNodes {
    nodes: Vec<(B256, Vec<u8>)>,
    known: B256Map<u64>,
}

impl FreshNodes {
    pub(super) fn new(nodes: B256Map<Vec<u8>>, known: B256Map<u64>) -> Self {
        Self { nodes: nodes.into_iter().collect(), known }
    }

    /// Appends the nodes, and remembers the root among them. A root that is not among them is one the block did not
    /// change, and on record already.
    pub(super) fn write(&mut self, writer: &mut Writer<'_>, root: B256) -> Result<()> {
        let first = writer.next_node()?;
        let numbered = self.nodes.iter().zip(first..).map(|((hash, _), id)| (*hash, id));
        self.known.extend(numbered);
        for ((_, rlp), id) in self.nodes.iter().zip(first..) {
            writer.append_node(id, &self.ids(rlp)?, rlp)?;
        }
        writer.put_state_root(root, self.id(root)?)
    }

    fn ids(&self, rlp: &[u8]) -> Result<Vec<u64>> {
        let hashes = references(rlp).map_err(|cause| unreadable(&cause))?;
        hashes.into_iter().map(|hash| self.id(hash)).collect()
    }

    fn id(&self, hash: B256) -> Result<u64> {
        let id = self.known.get(&hash).copied();
        id.ok_or_else(|| ExecutionError::Missing(format!("the trie node {hash}")))
    }
}
