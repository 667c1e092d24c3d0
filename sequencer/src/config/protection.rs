//! What keeps the keys of a node from signing twice, as the configuration says it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use fermata_validator_signer::{DatabaseUrl, DutyKind, PostgresOptions};

/// What keeps the keys of a node from signing twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProtectionConfig {
    /// Where the anchor of the node's own store is kept.
    pub anchor: PathBuf,
    /// Slots in which a store that is new, restored or imported only listens.
    pub listen_only_slots: u64,
    /// Kinds of duty that only go forward, each of [`DutyKind::MARKED`].
    pub strict: BTreeSet<DutyKind>,
    /// The store that nodes with the same keys share; `None` where no other node has them.
    pub shared: Option<SharedProtection>,
}

/// The store that nodes with the same keys share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedProtection {
    /// The database.
    pub database: DatabaseUrl,
    /// Its schema that holds the store.
    pub schema: String,
    /// Name of this node among those that share the store.
    pub node: String,
    /// Certificates that vouch for the server; `None`: those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Age at which another node's pin is taken over.
    pub takeover_after: Duration,
}

impl SharedProtection {
    /// How the store is opened by the node that remembers its server in `anchor`.
    #[must_use]
    pub fn options(&self, anchor: PathBuf) -> PostgresOptions {
        let usual = PostgresOptions::new(&self.node);
        PostgresOptions {
            schema: self.schema.clone(),
            ca_file: self.ca_file.clone(),
            anchor: Some(anchor),
            takeover_after: self.takeover_after,
            // Somebody who waits for a node that died must see it taken over.
            busy_patience: self.takeover_after + usual.patience,
            ..usual
        }
    }
}
