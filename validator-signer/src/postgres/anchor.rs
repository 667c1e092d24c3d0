//! What this node remembers of the server, to notice one that was set back: a backup that was restored, or a standby that
//! took over without the last commits.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use alloy::primitives::FixedBytes;
use serde::{Deserialize, Serialize};

use crate::SignerError;

/// What a server says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerState {
    /// Made with the server's data, and the same in every copy of them.
    pub(super) system: i64,
    /// Raised when a standby takes over, or a backup is recovered.
    pub(super) timeline: i64,
    /// Bytes of its log that were on disk; never less on one timeline.
    pub(super) flushed: i64,
}

/// The store and the server that held it when they were last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anchor {
    pub(super) store_id: FixedBytes<16>,
    pub(super) server: ServerState,
}

impl Anchor {
    /// # Errors
    /// How `found` differs from what is remembered, such that pins may be gone.
    pub(super) fn check(&self, found: &Self) -> Result<(), String> {
        if found.store_id != self.store_id {
            return Err(format!("it holds store {}, and {} was used before", found.store_id, self.store_id));
        }
        let (known, found) = (&self.server, &found.server);
        if found.system != known.system {
            return Err(format!("it is server {}, and {} was used before", found.system, known.system));
        }
        if found.timeline != known.timeline {
            return Err(format!("it is on timeline {}, and was on {} before", found.timeline, known.timeline));
        }
        if found.flushed < known.flushed {
            return Err(format!("its log ends at byte {}, and had come to {} before", found.flushed, known.flushed));
        }
        Ok(())
    }
}

/// The anchor in memory, and on disk where there is a file for it.
#[derive(Debug)]
pub(super) struct Memory {
    path: Option<PathBuf>,
    last: Option<Anchor>,
    saved: Option<Anchor>,
}

impl Memory {
    /// # Errors
    /// [`SignerError::Io`]; [`SignerError::Damaged`].
    pub(super) fn load(path: Option<PathBuf>) -> Result<Self, SignerError> {
        let last = path.as_deref().map(read).transpose()?.flatten();
        Ok(Self { path, last, saved: last })
    }

    /// Takes note of what was found, if it may follow what is remembered.
    ///
    /// # Errors
    /// As [`Anchor::check`].
    pub(super) fn note(&mut self, found: Anchor) -> Result<(), String> {
        if let Some(last) = &self.last {
            last.check(&found)?;
        }
        self.last = Some(found);
        Ok(())
    }

    /// Takes note of how far the server's log is on disk.
    pub(super) fn advance(&mut self, flushed: i64) {
        if let Some(last) = &mut self.last {
            last.server.flushed = last.server.flushed.max(flushed);
        }
    }

    /// Writes what is remembered, durably, if it has changed.
    ///
    /// # Errors
    /// [`SignerError::Io`].
    ///
    /// # Cancel safety
    /// Dropped: it may be written all the same.
    pub(super) async fn save(&mut self) -> Result<(), SignerError> {
        if let (Some(path), Some(last)) = (self.path.clone(), self.last)
            && self.saved != self.last
        {
            let unwritten = |source| SignerError::Io { action: "write", path: path.clone(), source };
            let (to, anchor) = (path.clone(), last);
            tokio::task::spawn_blocking(move || write(&to, &anchor))
                .await
                .map_err(|error| unwritten(error.into()))?
                .map_err(unwritten)?;
            self.saved = self.last;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Anchor>, SignerError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| SignerError::Damaged { path: path.to_owned(), what: error.to_string() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SignerError::Io { action: "read", path: path.to_owned(), source }),
    }
}

/// Replaces the file in one step.
fn write(path: &Path, anchor: &Anchor) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = File::create(&draft)?;
    serde_json::to_writer(&mut file, anchor)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Forgets what is remembered: the next opening takes the server as it finds it.
///
/// # Errors
/// [`SignerError::Io`].
pub(super) fn forget(path: &Path) -> Result<(), SignerError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(|source| SignerError::Io { action: "remove", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(system: i64, timeline: i64, flushed: i64) -> Anchor {
        Anchor { store_id: FixedBytes::repeat_byte(1), server: ServerState { system, timeline, flushed } }
    }

    #[test]
    fn only_the_same_server_further_on_may_follow() {
        let known = anchor(1, 1, 100);
        assert_eq!(known.check(&anchor(1, 1, 100)), Ok(()));
        assert_eq!(known.check(&anchor(1, 1, 101)), Ok(()));
        for stale in [anchor(2, 1, 101), anchor(1, 2, 101), anchor(1, 1, 99)] {
            assert!(known.check(&stale).is_err(), "{stale:?}");
        }
        let other = Anchor { store_id: FixedBytes::repeat_byte(2), ..known };
        assert!(known.check(&other).is_err());
    }

    #[tokio::test]
    async fn what_is_remembered_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor.json");
        let mut memory = Memory::load(Some(path.clone())).unwrap();
        memory.note(anchor(1, 1, 100)).unwrap();
        memory.advance(250);
        memory.save().await.unwrap();
        let mut memory = Memory::load(Some(path.clone())).unwrap();
        assert!(memory.note(anchor(1, 1, 249)).is_err());
        memory.note(anchor(1, 1, 250)).unwrap();
        forget(&path).unwrap();
        forget(&path).unwrap();
        Memory::load(Some(path.clone())).unwrap().note(anchor(2, 1, 1)).unwrap();
        fs::write(&path, "half a").unwrap();
        assert!(matches!(Memory::load(Some(path)), Err(SignerError::Damaged { .. })));
    }
}
