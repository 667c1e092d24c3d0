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

    /// Writes contract code. Keyed by its own hash, code that is there already is the same: its page stays clean.
    pub(crate) fn put_code(&mut self, hash: B256, code: &[u8]) -> Result<()> {
        let table = self.tables.code;
        match table.put_with_flags(&mut self.txn, PutFlags::NO_OVERWRITE, hash.as_slice(), code) {
            Ok(()) | Err(heed::Error::Mdb(heed::MdbError::KeyExist)) => Ok(()),
            Err(error) => Err(store_error(error)),
        }
    }
}
