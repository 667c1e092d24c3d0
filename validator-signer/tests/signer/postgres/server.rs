//! Servers, and places for stores on one that tests share.

// Named, since the benchmark includes this file from elsewhere.
#[path = "server/running.rs"]
pub(crate) mod running;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use fermata_validator_signer::{DatabaseUrl, PostgresOptions, PostgresProtection};

pub(crate) use self::running::Server;
use crate::support::DOMAIN;

/// The server that tests share which do it no harm; it ends with the process.
pub(crate) fn shared() -> &'static Server {
    static SHARED: LazyLock<Server> = LazyLock::new(|| Server::start_with("", "remove"));
    &SHARED
}

/// A store in a schema of its own, on the shared server.
pub(crate) struct SharedPlace {
    pub(crate) url: DatabaseUrl,
    pub(crate) schema: String,
}

impl SharedPlace {
    /// A new store.
    pub(crate) async fn new() -> Self {
        let place = Self::on(shared().url());
        PostgresProtection::init(&place.url, DOMAIN, &place.options("init")).await.unwrap();
        place
    }

    /// A place without a store yet.
    pub(crate) fn on(url: DatabaseUrl) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self { url, schema: format!("signer_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Options with a window of no slots, so that `prune(s)` forgets all up to `s`.
    pub(crate) fn options(&self, node: &str) -> PostgresOptions {
        PostgresOptions { schema: self.schema.clone(), keep_slots: 0, ..PostgresOptions::new(node) }
    }

    pub(crate) async fn open(&self, node: &str) -> PostgresProtection {
        self.open_with(self.options(node)).await
    }

    pub(crate) async fn open_with(&self, options: PostgresOptions) -> PostgresProtection {
        PostgresProtection::open(&self.url, DOMAIN, options).await.unwrap()
    }

    /// The same records in another schema of the shared server.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::on(self.url.clone());
        let tables = self.sql(&format!("SELECT tablename FROM pg_tables WHERE schemaname = '{}'", self.schema));
        let (from, to) = (&self.schema, &copy.schema);
        let copied = tables.lines().map(|table| {
            format!("CREATE TABLE {to}.{table} (LIKE {from}.{table} INCLUDING ALL); INSERT INTO {to}.{table} TABLE {from}.{table};")
        });
        shared().sql(&format!("CREATE SCHEMA {to};{}", copied.collect::<String>()));
        copy
    }

    /// What the server's own client says to a statement about this store.
    pub(crate) fn sql(&self, statement: &str) -> String {
        shared().sql(&format!("SET search_path = {}; {statement}", self.schema))
    }
}
