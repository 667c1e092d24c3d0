//! One owner a directory: LMDB itself lets a second process in.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::SignerError;

const LOCK_FILE: &str = "owner.lock";

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
    /// # Errors
    /// [`SignerError::HeldByAnother`] with the holder's pid, at once; [`SignerError::Io`].
    pub(super) fn take(dir: &Path) -> Result<Self, SignerError> {
        let path = dir.join(LOCK_FILE);
        let io = |source| SignerError::Io { action: "lock", path: path.clone(), source };
        let mut file = File::options().create(true).read(true).write(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => write_pid(&mut file).map_err(io)?,
            Err(TryLockError::WouldBlock) => {
                return Err(SignerError::HeldByAnother { path: dir.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        Ok(Self(file))
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
