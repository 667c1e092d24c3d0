//! What a command leaves behind for nobody.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::catalogue::Reason;
use crate::cli::Failure;

/// A directory that goes when this does.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// # Errors
    /// The system's directory for such things cannot be written.
    pub(super) fn make(what_for: &str) -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("fermata-{what_for}-{process}-{number}"));
        std::fs::create_dir(&path).map_err(|source| unusable("make", &path, &source))?;
        Ok(Self(path))
    }

    /// A file that begins as a copy of `path`, where that is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn copy_of(&self, path: &Path) -> Result<PathBuf, Failure> {
        let copy = self.0.join("copy");
        match std::fs::copy(path, &copy) {
            Ok(_) => Ok(copy),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(copy),
            Err(source) => Err(unusable("read", path, &source)),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The system clears what is left there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn unusable(what: &str, path: &Path, source: &std::io::Error) -> Failure {
    Failure {
        reason: Reason::DataDirUnusable,
        message: format!("cannot {what} {}: {source}", path.display()),
        hint: Some("check who may use it; TMPDIR names the directory for what is thrown away".to_owned()),
    }
}
