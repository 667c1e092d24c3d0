//! Why a transaction of the store did not happen.

use std::path::Path;
use std::sync::Arc;

use super::data_file::is_no_room;
use crate::SignerError;

/// Why a transaction did not happen.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// There was no room for it. It is gone, and all else as before.
    NoSpace(Arc<heed::Error>),
    /// The store cannot be trusted any more. After a failed write it is unknown what reached the disk (the system may
    /// have dropped the pages), and trying again proves nothing.
    Broken(String),
}

impl Failure {
    /// What was read is not what was written.
    pub(super) fn damage(what: &str) -> Self {
        Self::Broken(what.to_owned())
    }

    /// The failure as the caller of the store in `dir` sees it.
    pub(super) fn of_store(&self, dir: &Path) -> SignerError {
        let path = dir.to_owned();
        match self {
            Self::NoSpace(source) => SignerError::NoSpace { path, source: source.clone() },
            Self::Broken(reason) => SignerError::StoreFailed { path, reason: reason.clone() },
        }
    }
}

impl From<heed::Error> for Failure {
    fn from(error: heed::Error) -> Self {
        let no_room = match &error {
            heed::Error::Mdb(error) => *error == heed::MdbError::MapFull,
            heed::Error::Io(error) => is_no_room(error),
            heed::Error::Encoding(_) | heed::Error::Decoding(_) | heed::Error::EnvAlreadyOpened => false,
        };
        if no_room { Self::NoSpace(Arc::new(error)) } else { Self::Broken(error.to_string()) }
    }
}
