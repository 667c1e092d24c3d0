//! L1 states with a rollup on them, made once and kept in files below the build's target directory.
//!
//! A file is a digest and what it is of: a line of JSON, which says whose state it is and where the contracts are, and
//! anvil's own dump. It appears whole or not at all; one that is damaged, or of something else, is made anew. Who makes
//! one holds its lock, so that tests that run at the same time, also in other processes, make it once.

use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use alloy::primitives::{B256, Bytes, keccak256};
use fermata_primitives::L1Timestamp;
use fermata_rollup::L1Addresses;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dev_chain::DevChainConfig;
use crate::{AnvilConfig, AnvilError, Result, find_anvil, find_artifacts};

/// What decides on a state besides the configuration: whoever changes these files makes other states.
const RECIPE: [&str; 18] = [
    include_str!("state_cache.rs"),
    include_str!("test_l1.rs"),
    include_str!("artifacts.rs"),
    include_str!("blob_fee.rs"),
    include_str!("dev_chain.rs"),
    include_str!("dev_chain/accounts.rs"),
    include_str!("dev_chain/prepared.rs"),
    include_str!("l1_clock.rs"),
    include_str!("pool/warm.rs"),
    include_str!("staking.rs"),
    include_str!("staking/bls.rs"),
    include_str!("deploy.rs"),
    include_str!("deploy/bindings.rs"),
    include_str!("deploy/check.rs"),
    include_str!("deploy/config.rs"),
    include_str!("deploy/constructor.rs"),
    include_str!("deploy/multicall3.rs"),
    include_str!("deploy/sender.rs"),
];

/// Either of these files marks a target directory of cargo's.
const TARGET_MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// What is on a cached L1, and the L1 itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedState {
    pub(crate) stands: Stands,
    /// As `anvil_dumpState` gave it.
    pub(crate) dump: Bytes,
}

/// What stands on a cached L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stands {
    /// Hash of all that decided on it.
    pub(crate) key: B256,
    pub(crate) addresses: L1Addresses,
    /// The rollup's genesis time.
    pub(crate) genesis: L1Timestamp,
    /// Gas of the deployment.
    pub(crate) gas_used: u64,
    /// Hash of the newest block.
    pub(crate) head: B256,
}

/// The files of cached states.
#[derive(Clone, Debug)]
pub(crate) struct StateCache {
    folder: PathBuf,
}

/// Hash of all that decides on the state: configuration, tools, and the code that makes it.
pub(crate) fn key_of(config: &DevChainConfig, anvil: &AnvilConfig) -> Result<B256> {
    let (contracts, binary) = (find_artifacts()?, anvil.binary.clone().map_or_else(find_anvil, Ok)?);
    let tools = [binary, contracts.join("Rollup.sol/Rollup.json")].map(|file| fingerprint(&file));
    let recipe = RECIPE.map(keccak256);
    let layout = fermata_rollup::ADDRESSES_VERSION;
    let all = json!([recipe, layout, tools, anvil.arguments(), config.deploy, config.validators]);
    Ok(keccak256(all.to_string()))
}

/// Tells one version of a file from another, without reading it.
fn fingerprint(file: &Path) -> (PathBuf, u64, i64, i64) {
    let (size, secs, nanos) = file.metadata().map_or((0, 0, 0), |file| (file.len(), file.mtime(), file.mtime_nsec()));
    (file.to_owned(), size, secs, nanos)
}

impl StateCache {
    /// In the target directory that this executable was built into; in the system's place for such files where there is none.
    pub(crate) fn of_this_build() -> Self {
        let executable = std::env::current_exe().unwrap_or_default();
        let target = executable.ancestors().find(|folder| TARGET_MARKS.iter().any(|mark| folder.join(mark).is_file()));
        let folder = target.map_or_else(std::env::temp_dir, Path::to_path_buf).join("fermata-l1-states");
        Self { folder }
    }

    /// The state of that key: from its file, else made by `make`, by one caller at a time.
    ///
    /// # Errors
    /// Those of `make`; [`AnvilError::StateCache`] where it cannot be kept.
    ///
    /// # Cancel safety
    /// Dropped early, no file is written.
    pub(crate) async fn get_or_make(
        &self,
        key: B256,
        make: impl Future<Output = Result<CachedState>>,
    ) -> Result<CachedState> {
        if let Some(state) = self.on_blocking_thread(move |cache| Ok(cache.read(key))).await? {
            return Ok(state);
        }
        let _lock = self.on_blocking_thread(move |cache| cache.lock(key)).await?;
        if let Some(state) = self.on_blocking_thread(move |cache| Ok(cache.read(key))).await? {
            return Ok(state);
        }
        let state = make.await?;
        let kept = state.clone();
        self.on_blocking_thread(move |cache| cache.write(&kept)).await?;
        Ok(state)
    }

    async fn on_blocking_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let cache = self.clone();
        tokio::task::spawn_blocking(move || work(cache)).await.expect("file work does not panic and is not aborted")
    }

    fn path(&self, key: B256, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", &key.to_string()[2..18]))
    }

    /// The state of that key, if its file is there and whole.
    fn read(&self, key: B256) -> Option<CachedState> {
        let path = self.path(key, "state");
        let problem = match std::fs::read(&path) {
            Ok(file) => match parse(&file) {
                Some(state) if state.stands.key == key => return Some(state),
                Some(_) => "it is of another configuration",
                None => "it is damaged",
            },
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(_) => "it cannot be read",
        };
        tracing::warn!(path = %path.display(), problem, "a cached L1 state is made anew");
        None
    }

    /// Waits for the lock of that key, and holds it for as long as what it gives lives.
    fn lock(&self, key: B256) -> Result<File> {
        let path = self.path(key, "lock");
        let lock = || {
            std::fs::create_dir_all(&self.folder)?;
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        lock().map_err(|source| AnvilError::StateCache { path: path.clone(), source })
    }

    /// Writes the file under another name and puts it in place. The caller holds the lock.
    fn write(&self, state: &CachedState) -> Result<()> {
        let (path, new) = (self.path(state.stands.key, "state"), self.path(state.stands.key, "new"));
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&render(state))?;
            file.sync_all()?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|source| AnvilError::StateCache { path: path.clone(), source })
    }
}

fn render(CachedState { stands, dump }: &CachedState) -> Vec<u8> {
    let line = serde_json::to_vec(stands).expect("addresses and numbers can be written as JSON");
    let content = [line.as_slice(), b"\n", dump].concat();
    [keccak256(&content).as_slice(), &content].concat()
}

fn parse(file: &[u8]) -> Option<CachedState> {
    let (digest, content) = file.split_at_checked(32)?;
    if keccak256(content) != digest {
        return None;
    }
    let end = content.iter().position(|byte| *byte == b'\n')?;
    let stands = serde_json::from_slice(&content[..end]).ok()?;
    Some(CachedState { stands, dump: Bytes::copy_from_slice(&content[end + 1..]) })
}

#[cfg(test)]
mod tests;
