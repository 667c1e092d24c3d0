//! Writing: one durable transaction.

use std::fmt;

use alloy::primitives::B256;
use heed::types::Bytes;
use heed::{Database, PutFlags, RwTxn};

use super::{Tables, store_error};
use crate::Result;

/// A write transaction in progress; dropped without a commit, nothing of it happens.
pub(crate) struct Writer<'env> {
    pub(super) txn: RwTxn<'env>,
    pub(super) tables: Tables,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<'env> Writer<'env> {
    pub(super) const fn new(txn: RwTxn<'env>, tables: Tables) -> Self {
        Self { txn, tables }
    }

    pub(super) fn commit(self) -> Result<()> {
        self.txn.commit().map_err(store_error)
    }

    pub(super) fn put(&mut self, table: Database<Bytes, Bytes>, key: B256, value: &[u8]) -> Result<()> {
        table.put(&mut self.txn, key.as_slice(), value).map_err(store_error)
    }

    pub(super) fn delete(&mut self, table: Database<Bytes, Bytes>, key: B256) -> Result<()> {
        table.delete(&mut self.txn, key.as_slice()).map(|_| ()).map_err(store_error)
    }

    /// Writes trie nodes. They are sorted first, so that neighbours share a page.
    pub(crate) fn put_nodes(&mut self, nodes: &mut [(B256, Vec<u8>)]) -> Result<()> {
        nodes.sort_unstable_by_key(|(hash, _)| *hash);
        nodes.iter().try_for_each(|(hash, rlp)| self.put_once(self.tables.nodes, *hash, rlp))
    }

    /// Writes contract code.
    pub(crate) fn put_code(&mut self, hash: B256, code: &[u8]) -> Result<()> {
        self.put_once(self.tables.code, hash, code)
    }

    /// Keyed by its own hash, a value that is there already is the same: leave its page clean.
    fn put_once(&mut self, table: Database<Bytes, Bytes>, key: B256, value: &[u8]) -> Result<()> {
        match table.put_with_flags(&mut self.txn, PutFlags::NO_OVERWRITE, key.as_slice(), value) {
            Ok(()) | Err(heed::Error::Mdb(heed::MdbError::KeyExist)) => Ok(()),
            Err(error) => Err(store_error(error)),
        }
    }
}
