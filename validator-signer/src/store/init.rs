//! Making a new store: an explicit act, all or nothing.

use std::fs;
use std::path::{Path, PathBuf};

use alloy::primitives::FixedBytes;
use alloy::signers::k256::elliptic_curve::rand_core::{OsRng, RngCore};
use fermata_primitives::crash_point;

use super::environment::Environment;
use super::filesystem::{sync_dir, sync_parent};
use super::manifest::{Manifest, SCHEMA};
use crate::{Domain, SignerError};

/// Enough for the few pages of an empty store.
const INIT_MAP_BYTES: usize = 1 << 20;

/// Makes an empty store for `domain` at `dir`, whose parent must exist. Built beside it and put in place in one step,
/// so that an interrupted `init` leaves nothing that looks like a store.
pub(super) fn init(dir: &Path, domain: Domain) -> Result<(), SignerError> {
    if dir.symlink_metadata().is_ok() && !is_empty_dir(dir) {
        return Err(SignerError::AlreadyInitialised { path: dir.to_owned() });
    }
    let io = |action, path: &Path, source| SignerError::Io { action, path: path.to_owned(), source };
    let draft = draft_path(dir);
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(|source| io("remove", &draft, source))?;
    }
    fs::create_dir(&draft).map_err(|source| io("create", &draft, source))?;
    let mut store_id = FixedBytes::ZERO;
    OsRng.fill_bytes(store_id.as_mut_slice());
    let manifest = Manifest { schema: SCHEMA, store_id, domain };
    Environment::create(&draft, &manifest, INIT_MAP_BYTES)?;
    crash_point!("signer.after_draft_store");
    manifest.write(&draft)?;
    sync_dir(&draft)?;
    crash_point!("signer.after_draft");
    // Fails where the directory has come to hold something since.
    fs::rename(&draft, dir).map_err(|source| io("create", dir, source))?;
    sync_parent(dir)?;
    crash_point!("signer.after_init");
    Ok(())
}

fn is_empty_dir(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// A name of this process, so that two of them do not build in one another's draft.
fn draft_path(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".init-{}", std::process::id()));
    dir.with_file_name(name)
}
