//! Reading: a view of the store that does not change.

use std::fmt;

use alloy::primitives::B256;
use heed::types::Bytes;
use heed::{Database, RoTxn, WithoutTls};

use super::{Tables, store_error};
use crate::Result;

/// A consistent view of the store. Holds the environment open.
pub(crate) struct Snapshot {
    pub(super) txn: RoTxn<'static, WithoutTls>,
    pub(super) tables: Tables,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("id", &self.txn.id()).finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(super) const fn new(txn: RoTxn<'static, WithoutTls>, tables: Tables) -> Self {
        Self { txn, tables }
    }

    pub(super) fn get(&self, table: Database<Bytes, Bytes>, key: B256) -> Result<Option<&[u8]>> {
        table.get(&self.txn, key.as_slice()).map_err(store_error)
    }

    /// Contract code.
    pub(crate) fn code(&self, hash: B256) -> Result<Option<&[u8]>> {
        self.get(self.tables.code, hash)
    }
}
