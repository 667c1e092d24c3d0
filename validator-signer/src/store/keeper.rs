//! A store's second thread: keeps the anchor, and an eye on the room that is left.
//!
//! Neither may hold up a signature, so neither is done by the thread that commits.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use alloy::primitives::Address;
use fermata_primitives::Slot;
use tracing::{info, warn};

use super::anchor::Anchor;
use super::filesystem::{AMPLE_ROOM, room};
use crate::{EthDuty, EthPublicKey, SignerError};

/// How far the anchor may lag behind the store.
const ANCHOR_INTERVAL: Duration = Duration::from_secs(1);
/// Looks at the anchor between two looks at the room: a minute.
const ROOM_INTERVAL: u32 = 60;

/// An anchor that is kept at a path.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) path: PathBuf,
    pub(super) anchor: Anchor,
}

/// The thread, and what it is told. Dropped, it writes the last anchor and ends.
#[derive(Debug)]
pub(super) struct Keeper {
    kept: Arc<Mutex<Option<Kept>>>,
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins to keep the anchor, which is on disk as it is given, of the store in `dir`.
    ///
    /// # Errors
    /// [`SignerError::Io`]: the thread cannot be started.
    pub(super) fn begin(dir: &Path, kept: Option<Kept>) -> Result<Self, SignerError> {
        let (end, ended) = channel();
        let written = kept.as_ref().map(|kept| kept.anchor.commits);
        let kept = Arc::new(Mutex::new(kept));
        let mut rounds =
            Rounds { dir: dir.to_owned(), kept: Arc::clone(&kept), written, is_ample: true, is_kept: true };
        rounds.look_at_room();
        let thread = std::thread::Builder::new()
            .name("signing-anchor".to_owned())
            .spawn(move || rounds.run(&ended))
            .map_err(|source| SignerError::Io { action: "start the thread of", path: dir.to_owned(), source })?;
        Ok(Self { kept, end: Some(end), thread: Some(thread) })
    }

    /// Takes note of what is durable in the store now.
    pub(super) fn note(&self, commits: u64, pinned: impl Iterator<Item = (Address, Slot)>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = &mut *kept else { return };
        kept.anchor.commits = commits;
        for (signer, slot) in pinned {
            kept.anchor.raise(signer, slot);
        }
    }

    /// Takes note of what Ethereum's keys have durable in the store now.
    pub(super) fn note_eth(&self, recorded: impl Iterator<Item = (EthPublicKey, EthDuty)>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = &mut *kept else { return };
        for (public_key, duty) in recorded {
            kept.anchor.raise_eth(public_key, duty);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

/// What the thread goes round with.
struct Rounds {
    dir: PathBuf,
    kept: Arc<Mutex<Option<Kept>>>,
    /// Commits of the anchor on disk.
    written: Option<u64>,
    is_ample: bool,
    is_kept: bool,
}

impl Rounds {
    fn run(mut self, ended: &Receiver<()>) {
        for round in 1u32.. {
            let is_over = ended.recv_timeout(ANCHOR_INTERVAL) != Err(RecvTimeoutError::Timeout);
            self.write_anchor();
            if is_over {
                return;
            }
            if round.is_multiple_of(ROOM_INTERVAL) {
                self.look_at_room();
            }
        }
    }

    /// Writes the anchor if the store has moved on; says once that it cannot, and once that it can again.
    fn write_anchor(&mut self) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(Kept { path, anchor }) = kept.filter(|kept| Some(kept.anchor.commits) != self.written) else { return };
        match anchor.write(&path) {
            Ok(()) => {
                if !std::mem::replace(&mut self.is_kept, true) {
                    info!(path = %path.display(), "the anchor of the signing store is kept again");
                }
                self.written = Some(anchor.commits);
            }
            Err(error) => {
                if std::mem::replace(&mut self.is_kept, false) {
                    warn!(path = %path.display(), %error, "the anchor of the signing store falls behind: a restored copy of the \
                        store would not be noticed");
                }
            }
        }
    }

    fn look_at_room(&mut self) {
        match room(&self.dir) {
            Ok(bytes) => {
                let is_ample = bytes >= AMPLE_ROOM;
                if !is_ample {
                    warn!(path = %self.dir.display(), bytes, "little room is left for the signing store; without room nothing is \
                        signed: free disk space");
                } else if !self.is_ample {
                    info!(path = %self.dir.display(), bytes, "there is room for the signing store again");
                }
                self.is_ample = is_ample;
            }
            Err(error) => {
                warn!(path = %self.dir.display(), %error, "the room for the signing store cannot be measured")
            }
        }
    }
}
