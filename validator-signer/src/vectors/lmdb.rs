//! Vectors against stores on disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;

use super::backend::{DOMAIN, VectorBackend, VectorStore};
use crate::{EthOptions, EthPolicy, EthProtection, SignerError, SlashingProtection, StoreOptions};

/// Stores in directories of their own, in one that the caller removes.
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
            SlashingProtection::init(&dir, DOMAIN)?;
            let eth = EthOptions { policy, far_future: None };
            let store = SlashingProtection::open(&dir, DOMAIN, StoreOptions { eth, ..StoreOptions::default() })?;
            Ok(Box::new(store) as Box<dyn VectorStore>)
        })
    }
}

impl VectorStore for SlashingProtection {
    fn protection(&self) -> &dyn EthProtection {
        self
    }

    fn discard(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.close().await;
            // What cannot be removed now goes with the scratch directory.
            let _ = std::fs::remove_dir_all(self.dir());
        })
    }
}
