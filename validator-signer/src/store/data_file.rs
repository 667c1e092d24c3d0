//! The file under LMDB, seen as a file: whether it is the one that was opened, how long it is, and the room ahead of its pages.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::environment::{DATA_FILE, damaged};
use crate::{PAYLOAD_LIMIT, SignerError};

/// Room written ahead of LMDB's pages, when less than [`AMPLE_HEADROOM`] is left.
const HEADROOM: u64 = 4 << 20;
const AMPLE_HEADROOM: u64 = 3 << 20;
/// With less of it than this no transaction is committed: a full batch with the largest payload must fit in, so that LMDB
/// itself never meets a full disk.
const LEAST_HEADROOM: u64 = (1 << 20) + PAYLOAD_LIMIT as u64;

/// The file, held open beside LMDB.
pub(super) struct DataFile {
    file: File,
    path: PathBuf,
}

impl DataFile {
    /// Opens the file of the store in `dir`: LMDB would take an empty one for a new store, and make a missing one.
    ///
    /// # Errors
    /// [`SignerError::Damaged`], [`SignerError::Io`].
    pub(super) fn open(dir: &Path) -> std::result::Result<Self, SignerError> {
        let path = dir.join(DATA_FILE);
        match File::options().read(true).write(true).open(&path) {
            Ok(file) if file.metadata().is_ok_and(|data| data.len() == 0) => {
                Err(damaged(dir, "it is empty, and STORE.json says that it was not"))
            }
            Ok(file) => Ok(Self { file, path }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(damaged(dir, "it is missing, and STORE.json says that it was there"))
            }
            Err(source) => Err(SignerError::Io { action: "open", path, source }),
        }
    }

    /// Its length, in bytes.
    ///
    /// # Errors
    /// What the disk said.
    pub(super) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// # Errors
    /// The file is no longer where it was opened: what is written to it now would be gone with this process.
    pub(super) fn expect_in_place(&self) -> Result<()> {
        let (ours, there) = (self.file.metadata()?, std::fs::metadata(&self.path)?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::StaleNetworkFileHandle, "another file has taken its place"))
        }
    }

    /// Keeps the file longer than the bytes that LMDB's pages use, written in advance: a commit then changes no file length,
    /// a full disk shows before a transaction is committed, and a file shorter than its pages was cut.
    ///
    /// # Errors
    /// What the disk said; nothing of the store has changed.
    pub(super) fn keep_headroom(&self, used: u64) -> Result<()> {
        if self.len()? >= used + AMPLE_HEADROOM {
            return Ok(());
        }
        match self.write_ahead(used + HEADROOM) {
            Err(error) if is_no_room(&error) && self.len()? >= used + LEAST_HEADROOM => Ok(()),
            outcome => outcome,
        }
    }

    fn write_ahead(&self, end: u64) -> Result<()> {
        let zeros = vec![0; 64 * 1024];
        let mut at = self.len()?;
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(zeros.len()).min(zeros.len());
            self.file.write_all_at(&zeros[..piece], at)?;
            at += piece as u64;
        }
        self.file.sync_all()
    }
}

/// Whether an error says that there was no room, and nothing else: what was to be written is not there.
pub(super) fn is_no_room(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
