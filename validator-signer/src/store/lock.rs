//! One owner a directory: LMDB itself lets a second process in.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use fermata_primitives::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};

use crate::SignerError;

const LOCK_FILE: &str = "owner.lock";

/// Who holds a store, as its lock file tells it. For people: what keeps others out is the lock on the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// Process id, as its own system counts.
    pub pid: u32,
    /// Name of its machine.
    pub host: String,
    /// Id of that machine's boot; empty where the system does not tell it.
    pub boot_id: String,
    /// What it calls itself.
    pub node: String,
    /// Since when, in seconds since the Unix epoch, by its machine's clock.
    pub since: u64,
}

impl Holder {
    fn this_process(node: &str) -> Self {
        Self {
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
            node: node.to_owned(),
            since: SystemClock.now().floor_secs().0,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, host, boot_id: _, node, since } = self;
        write!(f, "process {pid} on {host} ({node}) since {since} (Unix time)")
    }
}

/// The directory is ours while this lives. The system frees it when the process ends, however it ends.
/// The file stays: whoever unlinked it could let two owners in.
#[derive(Debug)]
pub(super) struct OwnerLock(File);

/// Unlocks by name: closing the file would leave the lock to a child process that was forked a moment ago and still has
/// a copy of it, until that runs its own program.
impl Drop for OwnerLock {
    fn drop(&mut self) {
        // A failure leaves the lock to the closing of the file.
        let _ = self.0.unlock();
    }
}

impl OwnerLock {
    /// Takes `dir` for this process, which calls itself `node`.
    ///
    /// # Errors
    /// [`SignerError::HeldByAnother`] with the holder, at once; [`SignerError::Io`].
    pub(super) fn take(dir: &Path, node: &str) -> Result<Self, SignerError> {
        let path = dir.join(LOCK_FILE);
        let io = |source| SignerError::Io { action: "lock", path: path.clone(), source };
        let mut file = File::options().create(true).read(true).write(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => write_holder(&mut file, &Holder::this_process(node)).map_err(io)?,
            Err(TryLockError::WouldBlock) => {
                return Err(SignerError::HeldByAnother { path: dir.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        Ok(Self(file))
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    serde_json::to_writer(&mut *file, holder)?;
    file.write_all(b"\n")
}

/// `None` while the holder has not written it yet.
fn read_holder(file: &mut File) -> Option<Box<Holder>> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
