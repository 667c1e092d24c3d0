//! The unix socket of the admin RPC: the file's mode is the key.

use std::fs::Permissions;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::{DataDir, DataDirError};

const FILE: &str = "admin.sock";

/// The file of a socket that somebody listens on. It is removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
}

impl SocketFile {
    /// Listens on the socket of the data directory (mode 0600), in place of one that a killed node left behind.
    ///
    /// Until the mode is set, the socket has that of the process's mask: whoever accepts looks at the caller's user as well.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`], also where the path is longer than a socket's may be.
    pub fn listen(dir: &DataDir) -> Result<(Self, UnixListener), DataDirError> {
        let path = dir.root().join(FILE);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(DataDirError::unusable("replace", &path)(source));
            }
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(DataDirError::unusable("listen on", &path))?;
        let file = Self { path };
        std::fs::set_permissions(&file.path, Permissions::from_mode(0o600))
            .map_err(DataDirError::unusable("set the mode of", &file.path))?;
        Ok((file, listener))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The socket of a data directory, where there is one that this user can open. After a crash nobody may listen on it.
#[must_use]
pub fn find_socket(root: &Path) -> Option<PathBuf> {
    let path = root.join(FILE);
    let us = rustix::process::geteuid().as_raw();
    let found = std::fs::metadata(&path).ok()?;
    (found.file_type().is_socket() && (found.uid() == us || us == 0)).then_some(path)
}
