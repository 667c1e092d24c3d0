//! The node's own store: the desired state, the journal of verbs, the hashes of the admin tokens.
//!
//! One LMDB environment, schema version first. What is unknown or damaged is refused and left as it is; nothing is ever
//! begun afresh over what was there. Every write is durable when its method returns.

mod error;
mod journal;
mod open;
mod tables;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fermata_primitives::crash_point;
use heed::{Env, RoTxn, RwTxn, WithoutTls};
use tokio_util::task::TaskTracker;

pub use error::NodeStoreError;
pub use journal::{JOURNAL_LENGTH, JournalEntry};
pub use tables::Tables;

use crate::data_dir::{Scope, TokenHash, TokenHashes};
use crate::engine::Wish;
use crate::evidence::Equivocation;

type Result<T, E = NodeStoreError> = std::result::Result<T, E>;

/// The store of one node. Methods run their transaction on a blocking thread.
///
/// Cancel safety of all: dropped, a write that was begun goes on, whole or not at all.
#[derive(Debug)]
pub struct NodeStore {
    open: Mutex<Option<Open>>,
    dir: PathBuf,
    transactions: TaskTracker,
}

/// An open environment and its tables.
#[derive(Clone, Debug)]
struct Open {
    env: Env<WithoutTls>,
    tables: Tables,
}

impl NodeStore {
    /// Opens the store in `dir`, or makes it where none has been. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// [`NodeStoreError`] where the store is damaged, newer, already open, or the disk fails; nothing is changed then.
    pub fn open(dir: &Path) -> Result<Self> {
        let (env, tables) = open::open(dir)?;
        let open = Mutex::new(Some(Open { env, tables }));
        Ok(Self { open, dir: dir.to_owned(), transactions: TaskTracker::new() })
    }

    /// The state an operator asked for last.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn wish(&self) -> Result<Option<Wish>> {
        self.read(|tables, txn| tables.wish(txn)).await
    }

    /// Makes a wish survive the process.
    ///
    /// # Errors
    /// [`NodeStoreError`]; the wish before is still on record then.
    pub async fn record_wish(&self, wish: Wish) -> Result<()> {
        self.write(move |tables, txn| tables.put_wish(txn, &wish)).await
    }

    /// The hash of a scope's token.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn token_hash(&self, scope: Scope) -> Result<Option<TokenHash>> {
        self.read(move |tables, txn| tables.token_hash(txn, scope)).await
    }

    /// Keeps the hash of each scope's token.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn record_token_hashes(&self, hashes: TokenHashes) -> Result<()> {
        let put = move |tables: &Tables, txn: &mut RwTxn<'_>| {
            Scope::ALL.into_iter().try_for_each(|scope| tables.put_token_hash(txn, scope, hashes.of(scope)))
        };
        self.write(put).await
    }

    /// Whether a signing store was ever made here: one that is missing then has been lost.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn signing_store_was_made(&self) -> Result<bool> {
        self.read(|tables, txn| tables.signing_store_was_made(txn)).await
    }

    /// Keeps that a signing store was made.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn record_signing_store(&self) -> Result<()> {
        self.write(|tables, txn| tables.put_signing_store(txn)).await
    }

    /// Who was seen to sign two things for one duty.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn equivocations(&self) -> Result<Vec<Equivocation>> {
        self.read(|tables, txn| tables.equivocations(txn)).await
    }

    /// Keeps who was seen to sign two things for one duty: all of it, in place of what was kept.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn record_equivocations(&self, seen: Vec<Equivocation>) -> Result<()> {
        self.write(move |tables, txn| tables.put_equivocations(txn, &seen)).await
    }

    /// Appends to the journal, which keeps the newest [`JOURNAL_LENGTH`] entries.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn append(&self, entry: JournalEntry) -> Result<()> {
        self.write(move |tables, txn| tables.append(txn, &entry)).await
    }

    /// The newest entries of the journal, newest first.
    ///
    /// # Errors
    /// [`NodeStoreError`].
    pub async fn journal(&self, most: usize) -> Result<Vec<JournalEntry>> {
        self.read(move |tables, txn| tables.journal(txn, most)).await
    }

    /// Closes the store: another process can open it at once. A second close does nothing.
    ///
    /// # Cancel safety
    /// Dropped: the store is closed as soon as the transactions under way have ended.
    pub async fn close(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.transactions.close();
        self.transactions.wait().await;
        drop(open);
    }

    /// Reads in one snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tables, &RoTxn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.on_blocking_thread(|Open { env, tables }| {
            let txn = env.read_txn()?;
            read(&tables, &txn)
        })
        .await
    }

    /// Writes in one durable transaction; on an error of `write` nothing is written.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Tables, &mut RwTxn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.on_blocking_thread(|Open { env, tables }| {
            let mut txn = env.write_txn()?;
            let written = write(&tables, &mut txn)?;
            crash_point!("node_store.before_write", |error| NodeStoreError::from(heed::Error::Io(error)));
            txn.commit()?;
            Ok(written)
        })
        .await
    }

    async fn on_blocking_thread<T: Send + 'static>(
        &self,
        transaction: impl FnOnce(Open) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let open = open.ok_or_else(|| NodeStoreError::Closed { dir: self.dir.clone() })?;
        let transaction = self.transactions.spawn_blocking(move || transaction(open));
        transaction.await.unwrap_or_else(|_| Err(NodeStoreError::Closed { dir: self.dir.clone() }))
    }
}
