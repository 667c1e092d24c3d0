//! Where keys come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{DevMnemonic, Keystore, LocalKeys, Password, RemoteKeys, RemoteSettings, SignerError};

/// A place that keys are read from, as often as they are wanted anew.
#[derive(Clone, Debug)]
pub enum KeyOrigin {
    /// The encrypted V3 files of a directory.
    Directory {
        /// The directory.
        dir: PathBuf,
        /// The file whose first line opens them.
        password_file: PathBuf,
    },
    /// One encrypted V3 file.
    File {
        /// The file.
        path: PathBuf,
        /// The file whose first line opens it.
        password_file: PathBuf,
    },
    /// Keys derived from a phrase, for development.
    Mnemonic(DevMnemonic),
    /// Keys of a remote signer.
    Remote(RemoteSettings),
    /// Keys that are at hand, and never change.
    Given(LocalKeys),
}

/// Names the place, and nothing that is secret.
impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { dir, .. } => write!(f, "keystores in {}", dir.display()),
            Self::File { path, .. } => write!(f, "keystore {}", path.display()),
            Self::Mnemonic(_) => f.write_str("mnemonic"),
            Self::Remote(settings) => write!(f, "remote signer {}", settings.url),
            Self::Given(_) => f.write_str("memory"),
        }
    }
}

impl KeyOrigin {
    /// Reads the keys that are there now. Files are decrypted on a thread of their own, since that is slow by intent.
    ///
    /// # Errors
    /// What [`LocalKeys`], [`DevMnemonic`] and [`RemoteKeys`] say of theirs.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    pub async fn load(&self) -> Result<Arc<dyn Keystore>, SignerError> {
        let local = match self {
            Self::Remote(settings) => return Ok(Arc::new(RemoteKeys::connect(settings).await?)),
            Self::Given(keys) => keys.clone(),
            Self::Mnemonic(mnemonic) => LocalKeys::from_mnemonic(mnemonic)?,
            Self::Directory { dir, password_file } => decrypted(dir, password_file, LocalKeys::from_directory).await?,
            Self::File { path, password_file } => decrypted(path, password_file, LocalKeys::from_file).await?,
        };
        Ok(Arc::new(local))
    }
}

async fn decrypted(
    path: &Path,
    password_file: &Path,
    load: fn(&Path, &Password) -> Result<LocalKeys, SignerError>,
) -> Result<LocalKeys, SignerError> {
    let (of, password_file) = (path.to_owned(), password_file.to_owned());
    let loaded = tokio::task::spawn_blocking(move || load(&of, &Password::from_file(&password_file)?)).await;
    // The thread panicked, or the runtime ends.
    let ended =
        |error| SignerError::Io { action: "decrypt", path: path.to_owned(), source: std::io::Error::other(error) };
    loaded.map_err(ended)?
}
