//! Where the stores under test come from.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::{Address, B256};
use fermata_primitives::{L1Timestamp, UnixTime};
use futures::future::BoxFuture;

use crate::{
    Domain, EthDuty, EthOptions, EthPolicy, EthPublicKey, ExportOptions, ImportOptions, Interchange, SignerError,
    SlashingProtection, StoreOptions,
};

/// A kind of store that vectors are run against.
pub trait VectorBackend: Send + Sync + fmt::Debug {
    /// A new, empty store.
    fn fresh(&self, policy: EthPolicy) -> BoxFuture<'_, Result<Box<dyn VectorStore>, SignerError>>;
}

/// What a vector asks of a store.
pub trait VectorStore: Send + Sync {
    /// Takes a file in, whole or not at all.
    fn import<'a>(&'a self, file: &'a Interchange, options: ImportOptions) -> BoxFuture<'a, Result<(), SignerError>>;

    /// Records a signing, or refuses it.
    fn reserve(&self, public_key: EthPublicKey, duty: EthDuty, root: B256) -> BoxFuture<'_, Result<(), SignerError>>;

    /// All that the store knows.
    fn export(&self) -> BoxFuture<'_, Result<Interchange, SignerError>>;

    /// Closes the store and removes what it kept.
    fn discard(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Stores of one file each, in a directory that the caller removes.
#[derive(Debug)]
pub struct LmdbBackend {
    scratch: PathBuf,
    made: AtomicU64,
}

impl LmdbBackend {
    /// Stores in the directory `scratch`, which must exist and is the caller's to remove.
    #[must_use]
    pub const fn new(scratch: PathBuf) -> Self {
        Self { scratch, made: AtomicU64::new(0) }
    }
}

impl VectorBackend for LmdbBackend {
    fn fresh(&self, policy: EthPolicy) -> BoxFuture<'_, Result<Box<dyn VectorStore>, SignerError>> {
        Box::pin(async move {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let dir = self.scratch.join(format!("store-{number}"));
            let domain = Domain { l1_chain_id: 1, rollup: Address::ZERO };
            SlashingProtection::init(&dir, domain)?;
            let eth = EthOptions { policy, far_future: None };
            let store = SlashingProtection::open(&dir, domain, StoreOptions { eth, ..StoreOptions::default() })?;
            Ok(Box::new(store) as Box<dyn VectorStore>)
        })
    }
}

impl VectorStore for SlashingProtection {
    fn import<'a>(&'a self, file: &'a Interchange, options: ImportOptions) -> BoxFuture<'a, Result<(), SignerError>> {
        Box::pin(async move { self.import(file, options).await.map(drop) })
    }

    fn reserve(&self, public_key: EthPublicKey, duty: EthDuty, root: B256) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(async move { self.reserve_eth(public_key, duty, root).await.map(drop) })
    }

    fn export(&self) -> BoxFuture<'_, Result<Interchange, SignerError>> {
        // No vector looks at the time of an export.
        let exported_at = UnixTime::from(L1Timestamp(0));
        Box::pin(self.export(ExportOptions::default(), exported_at))
    }

    fn discard(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.close().await;
            // What cannot be removed now goes with the scratch directory.
            let _ = std::fs::remove_dir_all(self.dir());
        })
    }
}
