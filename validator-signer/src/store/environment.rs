//! The LMDB environment of a store: made once, opened only when it is whole and the one it should be.

use std::fs::File;
use std::path::Path;

use alloy::primitives::FixedBytes;
use fermata_primitives::Slot;
use heed::types::Bytes;
use heed::{CompactionOption, Database, Env, EnvOpenOptions, RoTxn};

use super::data_file::DataFile;
use super::eth_tables::{self, EthTables};
use super::failure::Failure;
use super::filesystem::sync_dir;
use super::identity::Identity;
use super::manifest::Manifest;
use crate::interchange::Rewritten;
use crate::{EthMarks, SignerError};

pub(super) const DATA_FILE: &str = "data.mdb";
/// Map sizes are whole multiples of this, which every page size divides.
const MAP_GRAIN: usize = 64 * 1024;

/// More than there are.
const MAX_TABLES: u32 = 16;

const IDENTITY: &str = "identity";
const DUTIES: &str = "duties";
const MARKS: &str = "marks";
const KEYS: &str = "keys";
const PAYLOADS: &str = "payloads";

pub(super) type Table = Database<Bytes, Bytes>;

/// An open environment. Lives on one thread, the store's owner.
pub(super) struct Environment {
    pub(super) env: Env,
    /// What the store is, and what holds for all of it.
    pub(super) identity: Table,
    /// Duty key to record.
    pub(super) duties: Table,
    /// (validator, kind) to its marks.
    pub(super) marks: Table,
    /// Validator to what is said of its key.
    pub(super) keys: Table,
    /// Duty key to the payload it is pinned to.
    pub(super) payloads: Table,
    /// The highest slot that is refused to every key.
    pub(super) floor: Option<Slot>,
    /// What Ethereum's keys signed.
    pub(super) eth: EthTables,
    /// Made with it.
    pub(super) store_id: FixedBytes<16>,
    data: DataFile,
}

impl Environment {
    /// Makes a new environment in the empty directory `dir`, durably, and closes it again.
    ///
    /// # Errors
    /// [`SignerError::Database`], [`SignerError::Io`].
    pub(super) fn create(dir: &Path, manifest: &Manifest, map_bytes: usize) -> Result<(), SignerError> {
        let make = || {
            let env = open_env(dir, map_bytes)?;
            let mut txn = env.write_txn()?;
            let identity = Identity(env.create_database(&mut txn, Some(IDENTITY))?);
            identity.put_manifest(&mut txn, manifest)?;
            identity.owe_listening(&mut txn)?;
            for name in [DUTIES, MARKS, KEYS, PAYLOADS] {
                let _: Table = env.create_database(&mut txn, Some(name))?;
            }
            EthTables::create(&env, &mut txn)?;
            txn.commit()?;
            env.prepare_for_closing().wait();
            Ok(())
        };
        make().map_err(|source| SignerError::Database { path: dir.join(DATA_FILE), source })?;
        sync_dir(dir)
    }

    /// Opens the environment that `manifest` was written for. Its records are not looked at; [`survey`](super::scan::survey)
    /// does that.
    ///
    /// # Errors
    /// [`SignerError::Damaged`] names what is wrong; [`SignerError::Database`], [`SignerError::Io`].
    pub(super) fn open(dir: &Path, manifest: &Manifest, map_bytes: usize) -> Result<Self, SignerError> {
        let data = DataFile::open(dir)?;
        let env = open_env(dir, map_bytes).map_err(|error| unreadable(dir, error))?;
        check_length(dir, &env, &data)?;
        let txn = env.read_txn().map_err(|error| unreadable(dir, error))?;
        let identity = table(dir, &env, &txn, IDENTITY)?;
        if !Identity(identity).is_of(&txn, manifest).map_err(|error| unreadable(dir, error))? {
            return Err(damaged(dir, "it is not the database its STORE.json was written for"));
        }
        let floor = Identity(identity).floor(&txn).map_err(|error| unreadable(dir, error))?;
        let floor = floor.map_err(|what| damaged(dir, what))?;
        let eth_floor = Identity(identity).eth_floor(&txn).map_err(|error| unreadable(dir, error))?;
        let duties = table(dir, &env, &txn, DUTIES)?;
        let marks = table(dir, &env, &txn, MARKS)?;
        let keys = table(dir, &env, &txn, KEYS)?;
        let payloads = table(dir, &env, &txn, PAYLOADS)?;
        let eth = EthTables {
            blocks: table(dir, &env, &txn, eth_tables::BLOCKS)?,
            attestations: table(dir, &env, &txn, eth_tables::ATTESTATIONS)?,
            keys: table(dir, &env, &txn, eth_tables::KEYS)?,
            floor: eth_floor.map_err(|what| damaged(dir, what))?,
        };
        // The handles above last only if the transaction that opened them ends well.
        txn.commit().map_err(|error| unreadable(dir, error))?;
        Ok(Self { env, identity, floor, duties, marks, keys, payloads, eth, store_id: manifest.store_id, data })
    }

    /// Transactions that were ever committed. LMDB counts them in the page that makes each of them durable.
    pub(super) fn commits(&self) -> u64 {
        self.env.info().last_txn_id as u64
    }

    /// Reads every page that is in use, those of LMDB's own list of free pages too, and whether they add up to the file.
    ///
    /// # Errors
    /// LMDB's.
    pub(super) fn walk_pages(&self) -> Result<(), heed::Error> {
        let mut nowhere = File::options().write(true).open("/dev/null")?;
        self.env.copy_to_file(&mut nowhere, CompactionOption::Enabled)
    }

    /// Whether an anchor was ever kept of this store.
    ///
    /// # Errors
    /// LMDB's.
    pub(super) fn is_anchored(&self) -> Result<bool, heed::Error> {
        Identity(self.identity).is_anchored(&*self.env.read_txn()?)
    }

    /// Takes note, durably, that an anchor is kept from now on.
    ///
    /// # Errors
    /// LMDB's.
    pub(super) fn put_anchored(&self) -> Result<(), heed::Error> {
        let mut txn = self.env.write_txn()?;
        Identity(self.identity).put_anchored(&mut txn)?;
        txn.commit()
    }

    /// Refuses, durably, all slots up to `floor` to every key, and `eth_floor` to every one of Ethereum's, with what was
    /// refused already, and takes over what changed of those; a store that needs this listens before it signs.
    ///
    /// # Errors
    /// [`Failure`]; nothing is refused.
    pub(super) fn raise_floor(
        &mut self,
        (floor, eth_floor): (Slot, EthMarks),
        ethereum: &[Rewritten],
    ) -> Result<(), Failure> {
        let floor = self.floor.map_or(floor, |old| old.max(floor));
        let eth_floor = self.eth.floor.join(eth_floor);
        let mut txn = self.env.write_txn()?;
        Identity(self.identity).put_floor(&mut txn, floor)?;
        Identity(self.identity).put_eth_floor(&mut txn, eth_floor)?;
        Identity(self.identity).owe_listening(&mut txn)?;
        for Rewritten { public_key, before, after } in ethereum {
            self.eth.replace(&mut txn, *public_key, (before, after))?;
        }
        txn.commit()?;
        (self.floor, self.eth.floor) = (Some(floor), eth_floor);
        Ok(())
    }

    /// # Errors
    /// As [`DataFile::expect_in_place`].
    pub(super) fn expect_in_place(&self) -> std::io::Result<()> {
        self.data.expect_in_place()
    }

    /// # Errors
    /// As [`DataFile::keep_headroom`].
    pub(super) fn keep_headroom(&self) -> std::io::Result<()> {
        self.data.keep_headroom(used_bytes(&self.env))
    }

    /// Closes the environment and waits until it is closed; nobody else holds a clone.
    pub(super) fn close(self) {
        self.env.prepare_for_closing().wait();
    }
}

/// How far the pages reach; the file may be longer.
fn used_bytes(env: &Env) -> u64 {
    let pages = env.info().last_page_number as u64 + 1;
    pages * u64::from(env.stat().page_size)
}

#[expect(unsafe_code, reason = "LMDB maps a file; the owner lock keeps every other process from changing it")]
fn open_env(dir: &Path, map_bytes: usize) -> Result<Env, heed::Error> {
    let mut options = EnvOpenOptions::new();
    options.map_size(map_bytes.next_multiple_of(MAP_GRAIN)).max_dbs(MAX_TABLES);
    // SAFETY: the directory is held by `OwnerLock` (or is still private to `init`), so that no one else opens or
    // changes the file; no flag that weakens durability or locking is set.
    unsafe { options.open(dir) }
}

/// LMDB would read past the end of a cut file and die of it.
fn check_length(dir: &Path, env: &Env, data: &DataFile) -> Result<(), SignerError> {
    let io = |source| SignerError::Io { action: "measure", path: dir.join(DATA_FILE), source };
    if data.len().map_err(io)? < used_bytes(env) {
        return Err(damaged(dir, "it is shorter than its pages: it was cut"));
    }
    Ok(())
}

fn table(dir: &Path, env: &Env, txn: &RoTxn<'_>, name: &str) -> Result<Table, SignerError> {
    let table = env.open_database(txn, Some(name)).map_err(|error| unreadable(dir, error))?;
    table.ok_or_else(|| damaged(dir, &format!("its table {name} is missing: it was emptied or replaced")))
}

pub(super) fn damaged(dir: &Path, what: &str) -> SignerError {
    SignerError::Damaged { path: dir.join(DATA_FILE), what: what.to_owned() }
}

/// An LMDB error while opening: damage where the file is at fault.
pub(super) fn unreadable(dir: &Path, source: heed::Error) -> SignerError {
    use heed::MdbError::{Corrupted, Incompatible, Invalid, PageNotFound, VersionMismatch};
    match source {
        heed::Error::Mdb(Corrupted | Incompatible | Invalid | PageNotFound | VersionMismatch) => {
            damaged(dir, &source.to_string())
        }
        heed::Error::Io(_)
        | heed::Error::Mdb(_)
        | heed::Error::Encoding(_)
        | heed::Error::Decoding(_)
        | heed::Error::EnvAlreadyOpened => SignerError::Database { path: dir.join(DATA_FILE), source },
    }
}
