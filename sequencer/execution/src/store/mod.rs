//! What is durable: one LMDB environment for state, blocks, indexes and heads.
//!
//! Trie nodes are appended and never deleted. So every block's state stays readable, and going back to an older head
//! costs nothing but moving the heads; the price is disk, about the size of the nodes a block touches.
//! One durable write transaction a block carries everything derived from it. Which blocks are on the chain is derived
//! from the heads, and changes with them in one transaction.

mod block_records;
mod codec;
mod heads_record;
mod node_records;
mod open;
mod snapshot;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use fermata_primitives::crash_point;
use heed::types::{Bytes, Str, U64};
use heed::{Database, Env, WithoutTls};

pub(crate) use block_records::{ExecutedBlock, TxPlace};
pub(crate) use node_records::NodeRecord;
pub(crate) use snapshot::Snapshot;
pub(crate) use writer::Writer;

use crate::{ExecutionError, Result};

/// Version of the tables' shape. Raised with every change that an older program could not read.
const SCHEMA: u32 = 1;

/// The open tables; handles, cheap to copy.
#[derive(Clone, Copy, Debug)]
struct Tables {
    /// Schema version and heads.
    meta: Database<Str, Bytes>,
    /// Trie node number -> the numbers it refers to, and RLP.
    nodes: Database<U64<heed::byteorder::BE>, Bytes>,
    /// State root -> number of its node.
    roots: Database<Bytes, U64<heed::byteorder::BE>>,
    /// Code hash -> code.
    code: Database<Bytes, Bytes>,
    /// Block hash -> RLP of the header.
    headers: Database<Bytes, Bytes>,
    /// Block hash -> RLP list of raw transactions.
    bodies: Database<Bytes, Bytes>,
    /// Block hash -> RLP list of senders.
    senders: Database<Bytes, Bytes>,
    /// Block hash -> RLP list of EIP-2718 receipts.
    receipts: Database<Bytes, Bytes>,
    /// Number -> hash, of the chain that ends with the unsafe head.
    canonical: Database<U64<heed::byteorder::BE>, Bytes>,
    /// Transaction hash -> block hash and index, of the same chain.
    places: Database<Bytes, Bytes>,
}

/// The crate's LMDB environment.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    /// `None` once closed.
    env: RwLock<Option<Env<WithoutTls>>>,
    tables: Tables,
}

impl Store {
    /// The directory the environment lies in.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn env(&self) -> Result<Env<WithoutTls>> {
        let env = self.env.read().unwrap_or_else(PoisonError::into_inner);
        env.clone().ok_or(ExecutionError::Closed)
    }

    /// A consistent view of the store as it is now. Keep it short: while it lives, LMDB cannot reuse freed pages.
    pub(crate) fn read(&self) -> Result<Snapshot> {
        let txn = self.env()?.static_read_txn().map_err(store_error)?;
        Ok(Snapshot::new(txn, self.tables))
    }

    /// Runs `work` in one durable write transaction: all of it is on disk when this returns, or none of it.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut Writer<'_>) -> Result<T>) -> Result<T> {
        let env = self.env()?;
        let mut writer = Writer::new(env.write_txn().map_err(store_error)?, self.tables);
        let done = work(&mut writer)?;
        crash_point!("execution.before_write", |error| store_error(heed::Error::Io(error)));
        writer.commit()?;
        Ok(done)
    }

    /// Closes the environment once the reads in progress have ended: after this anybody can open it. Blocks.
    pub(crate) fn close(&self) {
        let env = self.env.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(env) = env {
            env.prepare_for_closing().wait();
        }
    }
}

/// LMDB's errors, by what the caller does next.
fn store_error(error: heed::Error) -> ExecutionError {
    let what = match &error {
        heed::Error::Mdb(heed::MdbError::MapFull) => format!("the map of {} bytes has no free page", open::MAP_BYTES),
        heed::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => cause.to_string(),
        heed::Error::Io(_)
        | heed::Error::Mdb(_)
        | heed::Error::Encoding(_)
        | heed::Error::Decoding(_)
        | heed::Error::EnvAlreadyOpened => return ExecutionError::Store(error),
    };
    ExecutionError::StoreFull { what }
}
