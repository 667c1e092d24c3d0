//! The file beside the database that says it was there: LMDB opens an emptied file as a fresh store without a word.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use alloy::primitives::FixedBytes;
use serde::{Deserialize, Serialize};

use crate::{Domain, SignerError};

/// The layout this program reads and writes.
pub(super) const SCHEMA: u32 = 1;
const MANIFEST_FILE: &str = "STORE.json";

/// What a store is. Written once, by `init`, and also inside the database, so that neither passes with another's twin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) schema: u32,
    pub(super) store_id: FixedBytes<16>,
    pub(super) domain: Domain,
}

/// Read before all else: a newer manifest may have members this program does not know.
#[derive(Deserialize)]
struct SchemaOnly {
    schema: u32,
}

impl Manifest {
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(MANIFEST_FILE)
    }

    /// # Errors
    /// As [`read`](Self::read), and [`SignerError::OtherDomain`].
    pub(super) fn read_for(dir: &Path, wanted: Domain) -> Result<Self, SignerError> {
        let manifest = Self::read(dir)?;
        if manifest.domain != wanted {
            return Err(SignerError::OtherDomain { path: Self::path(dir), found: manifest.domain, wanted });
        }
        Ok(manifest)
    }

    /// # Errors
    /// [`SignerError::Damaged`] when there is no manifest or it is none, [`SignerError::NewerSchema`], [`SignerError::Io`].
    pub(super) fn read(dir: &Path) -> Result<Self, SignerError> {
        let path = Self::path(dir);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(SignerError::Damaged { path, what: "it is missing beside its database".to_owned() });
            }
            Err(source) => return Err(SignerError::Io { action: "read", path, source }),
        };
        let damaged = |error: serde_json::Error| SignerError::Damaged { path: path.clone(), what: error.to_string() };
        let SchemaOnly { schema: found } = serde_json::from_slice(&text).map_err(damaged)?;
        if found > SCHEMA {
            return Err(SignerError::NewerSchema { path, found, known: SCHEMA });
        }
        if found == 0 {
            return Err(SignerError::Damaged { path, what: "there is no schema 0".to_owned() });
        }
        serde_json::from_slice(&text).map_err(damaged)
    }

    /// Writes the manifest and makes it durable.
    ///
    /// # Errors
    /// [`SignerError::Io`].
    pub(super) fn write(&self, dir: &Path) -> Result<(), SignerError> {
        let path = Self::path(dir);
        let write = || {
            let mut file = File::create_new(&path)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|source| SignerError::Io { action: "write", path: path.clone(), source })
    }
}
