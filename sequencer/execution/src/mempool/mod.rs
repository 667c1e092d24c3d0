//! The mempool: transactions that wait for a block.
//!
//! Each sender's transactions are kept by nonce. Those without a gap before them are *ready*; the others are *queued*
//! until the gap is filled. [`Mempool::best`] yields ready ones by what they pay at a base fee. When the pool is full, the
//! oldest queued transaction goes first, then the ready one that is worth least.
//!
//! It knows no chain and no runtime: whoever moves the chain tells it the accounts' nonces.

mod best;
mod config;
mod error;
mod eviction;
mod pool;
#[cfg(test)]
mod properties;
mod sender;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;
mod tx;
mod validate;

use std::sync::{Arc, Mutex, MutexGuard};

use alloy::primitives::{Address, B256, U256};

pub use best::Best;
pub use config::{MAX_TX_BYTES, MempoolConfig, TxRules};
pub use error::MempoolError;
use pool::Pool;
pub use tx::PooledTx;
pub use validate::validate;

/// What the chain says of a sender at its head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountView {
    /// What its next transaction must carry.
    pub nonce: u64,
    /// Wei it has.
    pub balance: U256,
}

/// Where in the pool a transaction went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It can go into the next block.
    Ready,
    /// An earlier nonce of its sender is missing.
    Queued,
}

/// What taking a transaction in has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Added {
    /// Its hash.
    pub hash: B256,
    /// Where it went.
    pub place: Place,
    /// The transaction whose place it took.
    pub replaced: Option<B256>,
    /// Transactions that left to make room.
    pub evicted: Vec<B256>,
}

/// How many transactions wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MempoolSize {
    /// Ready for the next block.
    pub ready: usize,
    /// Waiting for an earlier nonce.
    pub queued: usize,
}

/// Transactions that wait for a block. It may be shared between threads; each call holds its lock for the time of one
/// change, never across execution or I/O. Adding and removing cost O(log n).
#[derive(Debug, Default)]
pub struct Mempool {
    config: MempoolConfig,
    pool: Mutex<Pool>,
}

impl Mempool {
    /// An empty pool with these limits.
    #[must_use]
    pub fn new(config: MempoolConfig) -> Self {
        Self { config, pool: Mutex::default() }
    }

    /// The pool's limits.
    #[must_use]
    pub const fn config(&self) -> &MempoolConfig {
        &self.config
    }

    /// Takes a validated transaction in. `account` is its sender at the chain's head; `base_fee` the next block's.
    ///
    /// # Errors
    /// [`MempoolError`] says which rule it breaks; the pool is then as it was.
    pub fn add(&self, tx: impl Into<PooledTx>, account: AccountView, base_fee: u64) -> Result<Added, MempoolError> {
        self.pool().add(tx.into(), account, base_fee, &self.config)
    }

    /// Ready transactions whose fee cap reaches `base_fee`: by priority fee across senders, the earlier first where they
    /// pay the same, and in nonce order within a sender.
    #[must_use]
    pub fn best(&self, base_fee: u64) -> Best<'_> {
        Best::new(self, base_fee)
    }

    /// Learns the nonces that accounts have at the new head, also where they went back. What they have used up leaves the
    /// pool. `nonces` must hold every account whose nonce the change of head has touched, EIP-7702 authorities too.
    pub fn on_canonical(&self, nonces: &[(Address, u64)]) {
        for (sender, next_nonce) in nonces {
            self.pool().set_next_nonce(*sender, *next_nonce);
        }
    }

    /// Puts transactions of blocks that left the chain back, without asking what they pay or whether they are covered.
    /// Those whose nonce another waiting transaction has stay out. Where the pool is full, the usual order of eviction
    /// decides. Call [`Mempool::on_canonical`] afterwards: it drops those that the new chain holds too.
    pub fn reinject(&self, transactions: Vec<PooledTx>) {
        for tx in transactions {
            self.pool().put_back(tx, &self.config);
        }
    }

    /// Drops a transaction that cannot be executed; `reason` goes to the log. Those behind it become queued. Unknown
    /// hashes are not an error.
    pub fn remove_invalid(&self, hash: B256, reason: &str) {
        if let Some(tx) = self.pool().remove(hash) {
            tracing::info!(%hash, sender = %tx.signer(), nonce = tx.nonce(), reason, "dropped a transaction");
        }
    }

    /// A transaction that waits, by hash.
    #[must_use]
    pub fn get(&self, hash: B256) -> Option<Arc<PooledTx>> {
        self.pool().get(hash).cloned()
    }

    /// The nonce after the sender's last ready transaction; `None` where none is ready, so that the account's own nonce
    /// holds.
    #[must_use]
    pub fn pending_nonce(&self, sender: Address) -> Option<u64> {
        self.pool().queue(sender).filter(|queue| queue.gap() > queue.next_nonce()).map(|queue| queue.gap())
    }

    /// How many transactions wait in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pool().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait, by place.
    #[must_use]
    pub fn size(&self) -> MempoolSize {
        let pool = self.pool();
        let queued = pool.queued_len();
        MempoolSize { ready: pool.len() - queued, queued }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().expect("nothing panics while it holds the pool")
    }
}
