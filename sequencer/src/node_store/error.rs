//! What can go wrong with the node store.

use std::path::PathBuf;

use crate::catalogue::Reason;

/// Why the node store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum NodeStoreError {
    /// Restore the file: part of the store is not what was written, or is missing.
    #[error("the node store is damaged: {} {what}; restore it from a backup, or move {} away to begin without desired state and journal", file.display(), dir.display())]
    Damaged {
        /// The directory of the store.
        dir: PathBuf,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Run the version that wrote it, or a later one.
    #[error("the node store {} has schema {found}, this version knows {known}; run the version that wrote it, or a later one", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Mend the permissions or the disk.
    #[error("the node store in {} cannot be used; check its owner, its permissions and the disk", dir.display())]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: heed::Error,
    },
    /// A read or a write failed; nothing was written.
    #[error("the node store failed; check the disk")]
    Failed(#[from] heed::Error),
    /// A record cannot be read back.
    #[error("the node store is damaged: the record `{record}` cannot be read; restore the store from a backup")]
    BadRecord {
        /// Which.
        record: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// It was closed; open it anew.
    #[error("the node store in {} is closed", dir.display())]
    Closed {
        /// The directory.
        dir: PathBuf,
    },
}

impl NodeStoreError {
    /// The catalogue's row.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Damaged { .. } | Self::BadRecord { .. } => Reason::StoreDamaged,
            Self::Newer { .. } => Reason::StoreNewer,
            Self::Unusable { .. } | Self::Failed(_) => Reason::DataDirUnusable,
            Self::Closed { .. } => Reason::Closed,
        }
    }
}
