//! Vectors against stores in a database.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use tracing::warn;

use super::backend::{DOMAIN, VectorBackend, VectorStore};
use crate::{DatabaseUrl, EthOptions, EthPolicy, EthProtection, PostgresOptions, PostgresProtection, SignerError};

/// Stores in schemas of their own, each dropped once its vector has been run.
#[derive(Debug)]
pub struct PostgresBackend {
    url: DatabaseUrl,
    options: PostgresOptions,
    made: AtomicU64,
}

impl PostgresBackend {
    /// Stores in the database of `url`, whose user may create schemas. Their names begin with that of `options` and end with
    /// the number of this process and one of each; none that is there already is touched.
    #[must_use]
    pub const fn new(url: DatabaseUrl, options: PostgresOptions) -> Self {
        Self { url, options, made: AtomicU64::new(0) }
    }
}

/// A store in a schema that it was made with.
#[derive(Debug)]
struct Made {
    store: PostgresProtection,
    schema: String,
}

impl VectorBackend for PostgresBackend {
    fn fresh(&self, policy: EthPolicy) -> BoxFuture<'_, Result<Box<dyn VectorStore>, SignerError>> {
        Box::pin(async move {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let options = PostgresOptions {
                schema: format!("{}_{}_{number}", self.options.schema, std::process::id()),
                eth: EthOptions { policy, far_future: None },
                ..self.options.clone()
            };
            PostgresProtection::init(&self.url, DOMAIN, &options).await?;
            let schema = options.schema.clone();
            let store = PostgresProtection::open(&self.url, DOMAIN, options).await?;
            Ok(Box::new(Made { store, schema }) as Box<dyn VectorStore>)
        })
    }
}

impl VectorStore for Made {
    fn protection(&self) -> &dyn EthProtection {
        &self.store
    }

    fn discard(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Self { store, schema } = *self;
            if let Err(failure) = store.discard(&schema).await {
                warn!(schema, %failure, "the schema of a vector stays in the database; drop it");
            }
        })
    }
}
