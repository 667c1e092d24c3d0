//! The data directory: one owner at a time, and what the command line needs to find the node.
//!
//! ```text
//! LOCK             held by the owner, with its pid
//! admin.token      what a caller of the admin RPC shows; operate.token and read.token open less (mode 0600)
//! admin.endpoint   where the admin RPC listens, while it does
//! admin.sock       the same on a socket that only its owner can use: no token
//! signer.anchor    how far the signing store has come: an older copy of it is refused
//! signer-shared.json   what the database of the shared signing store was last seen at, where there is one
//! node/ signer/ publisher/ execution/ prover/   one store each; the last where the node is a prover
//! ```

mod endpoint;
mod socket;
#[cfg(test)]
mod tests;
mod token;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use fermata_primitives::crash_point;

pub use endpoint::{EndpointFile, find_endpoint};
pub use socket::{SocketFile, find_socket};
pub use token::{AdminToken, Scope, TokenHash, TokenHashes, find_token};

use crate::catalogue::Reason;

const LOCK: &str = "LOCK";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Stop the holder, or use another directory.
    #[error(
        "the data directory {} is held by {}; stop that process, or use another --data-dir",
        dir.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")),
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// Who holds it; `None` where the holder has not written it yet.
        pid: Option<u32>,
    },
    /// Mend the permissions or the disk.
    #[error("cannot {what} {}; check its owner, its permissions and the disk", path.display())]
    Unusable {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it did not succeed.
        #[source]
        source: std::io::Error,
    },
    /// Mend or remove the file.
    #[error("{} does not hold a token of 64 hexadecimal digits; write one, or remove the file and the node makes one", path.display())]
    BadToken {
        /// The file.
        path: PathBuf,
    },
    /// No node has made what is looked for.
    #[error("{} is not there: no node is running on this data directory; start it with `fermata node`, or name its --data-dir", path.display())]
    NoNode {
        /// The file that is missing.
        path: PathBuf,
    },
}

impl DataDirError {
    /// The catalogue's row.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Held { .. } => Reason::DataDirHeld,
            Self::Unusable { .. } | Self::BadToken { .. } => Reason::DataDirUnusable,
            Self::NoNode { .. } => Reason::NodeUnreachable,
        }
    }

    fn unusable(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unusable { what, path, source }
    }
}

/// A data directory that this process owns. It is released when this is dropped; all stores in it must be closed by then.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the directory if need be (mode 0700) and takes its lock.
    ///
    /// # Errors
    /// [`DataDirError::Held`] at once when another process, or this one, owns it; [`DataDirError::Unusable`].
    pub fn open(root: &Path) -> Result<Self, DataDirError> {
        make_dir(root)?;
        let path = root.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&path).map_err(DataDirError::unusable("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::Held { dir: root.to_owned(), pid: read_pid(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(DataDirError::unusable("lock", &path)(source)),
        }
        write_pid(&mut lock).map_err(DataDirError::unusable("write", &path))?;
        let dir = Self { root: root.to_owned(), lock };
        crash_point!("data_dir.after_lock");
        for store in [dir.node(), dir.signer(), dir.publisher(), dir.execution()] {
            make_dir(&store)?;
        }
        crash_point!("data_dir.after_dirs");
        Ok(dir)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Directory of the node store.
    #[must_use]
    pub fn node(&self) -> PathBuf {
        self.root.join("node")
    }

    /// Directory of the slashing-protection store.
    #[must_use]
    pub fn signer(&self) -> PathBuf {
        signer_dir(&self.root)
    }

    /// Where it is remembered what the database of the shared signing store was last seen at.
    #[must_use]
    pub fn shared_anchor(&self) -> PathBuf {
        shared_anchor(&self.root)
    }

    /// Directory of the publisher's store.
    #[must_use]
    pub fn publisher(&self) -> PathBuf {
        self.root.join("publisher")
    }

    /// Directory of the prover's publisher's store.
    #[must_use]
    pub fn prover(&self) -> PathBuf {
        self.root.join("prover")
    }

    /// Directory of the execution store.
    #[must_use]
    pub fn execution(&self) -> PathBuf {
        self.root.join("execution")
    }

    /// Releases the directory: another process can open it at once.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // The pid goes first, so that nobody reads ours while somebody else takes the lock. Unlocked by name: a child that is
        // being started has a copy of the file until it runs its program, and would keep the lock.
        let _ = self.lock.set_len(0);
        let _ = self.lock.unlock();
    }
}

/// The process that owns a data directory, without touching it; `None` where none does, or none is alive.
#[must_use]
pub fn holder(root: &Path) -> Option<u32> {
    let pid = read_pid(&mut File::open(root.join(LOCK)).ok()?)?;
    let alive = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    match rustix::process::test_kill_process(alive) {
        // It lives, though it may be another user's.
        Ok(()) | Err(rustix::io::Errno::PERM) => Some(pid),
        Err(_) => None,
    }
}

/// Directory of the slashing-protection store in the data directory `root`.
pub(crate) fn signer_dir(root: &Path) -> PathBuf {
    root.join("signer")
}

/// Where the anchor of that store is kept unless the configuration says otherwise: beside the store, and not in it.
pub(crate) fn signer_anchor(root: &Path) -> PathBuf {
    root.join("signer.anchor")
}

/// What [`DataDir::shared_anchor`] is under `root`, for whoever does not own it.
pub(crate) fn shared_anchor(root: &Path) -> PathBuf {
    root.join("signer-shared.json")
}

fn make_dir(path: &Path) -> Result<(), DataDirError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(DataDirError::unusable("make", path))
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(lock: &mut File) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Writes a file of mode 0600 so that a reader sees all of it or what was there before.
fn write_private(path: &Path, text: &str) -> Result<(), DataDirError> {
    let unusable = || DataDirError::unusable("write", path);
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new).map_err(unusable())?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unusable())?;
    crash_point!("data_dir.after_new_file");
    std::fs::rename(&new, path).map_err(unusable())
}
