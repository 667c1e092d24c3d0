//! Opening the store: one owner, a known schema, the right chain, an undamaged file.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use fermata_primitives::crash_point;
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions, RwTxn, WithoutTls};

use crate::Error;

/// The schema this version writes.
pub(crate) const SCHEMA: u32 = 1;
/// How many databases it has.
const DATABASES: u32 = 9;
/// Most the store can grow to; address space, not disk.
const MAP_SIZE: usize = 4 << 30;
/// Concurrent read transactions. Without slots of their own, threads that come and go use none up.
const MAX_READERS: u32 = 1024;
const SCHEMA_KEY: &[u8] = b"schema";
const CHAIN_KEY: &[u8] = b"chain_id";

/// A database of raw bytes; the store knows what they mean.
pub(crate) type RawDb = Database<Bytes, Bytes>;

/// The databases of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Databases {
    pub(crate) meta: RawDb,
    pub(crate) accounts: RawDb,
    pub(crate) intents: RawDb,
    pub(crate) payloads: RawDb,
    pub(crate) blobs: RawDb,
    pub(crate) attempts: RawDb,
    pub(crate) hash_index: RawDb,
    pub(crate) dedup: RawDb,
    /// Made when an older store is opened: nothing hangs on it.
    pub(crate) journal: RawDb,
}

/// Ownership of a data directory, as long as it lives.
#[derive(Debug)]
pub(crate) struct DirLock(File);

impl Drop for DirLock {
    /// Unlocked by name: a child that is being started has a copy of the file until it runs its program, and would keep the
    /// lock.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl DirLock {
    /// Takes the directory, which is made when it is missing.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let unusable = |path: &Path, source| Error::DataDir { path: path.to_owned(), source };
        fs::create_dir_all(dir).map_err(|error| unusable(dir, error))?;
        let path = dir.join("owner.lock");
        let mut options = File::options();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| unusable(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(|error| unusable(&path, error))?;
                return Err(Error::DataDirHeld { path: dir.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(fs::TryLockError::Error(error)) => return Err(unusable(&path, error)),
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| unusable(&path, error))?;
        Ok(Self(file))
    }
}

/// Opens the environment in `dir` and its databases, after the checks; of whichever chain it is where none is given.
pub(crate) fn open_env(dir: &Path, chain_id: Option<u64>) -> Result<(Env<WithoutTls>, Databases), Error> {
    let file = dir.join("data.mdb");
    check_file(&file)?;
    let env = open_lmdb(dir, &file)?;
    // Also where an earlier first open was cut: its file is there, and no transaction ever ended in it.
    let is_new = env.info().last_txn_id == 0;
    if is_new {
        crash_point!("publisher.after_file");
    }
    check_length(&env, &file)?;
    let failed = |source| Error::Store { file: file.clone(), source };
    let mut txn = env.write_txn().map_err(failed)?;
    let meta: RawDb = env.create_database(&mut txn, Some("meta")).map_err(failed)?;
    if is_new {
        meta.put(&mut txn, SCHEMA_KEY, &SCHEMA.to_be_bytes()).map_err(failed)?;
        meta.put(&mut txn, CHAIN_KEY, &chain_id.unwrap_or_default().to_be_bytes()).map_err(failed)?;
    }
    check_meta(meta, &txn, &file, chain_id)?;
    let databases = create_databases(&env, &mut txn, meta).map_err(failed)?;
    txn.commit().map_err(failed)?;
    if is_new {
        crash_point!("publisher.after_schema");
    }
    Ok((env, databases))
}

/// LMDB would take an empty file for a new store.
fn check_file(file: &Path) -> Result<(), Error> {
    match fs::metadata(file) {
        Ok(found) if found.len() == 0 => Err(damaged(file, "it is empty".to_owned())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::DataDir { path: file.to_owned(), source }),
    }
}

#[expect(
    unsafe_code,
    reason = "heed cannot know that no other process truncates the file; the directory lock keeps them out"
)]
fn open_lmdb(dir: &Path, file: &Path) -> Result<Env<WithoutTls>, Error> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_SIZE).max_dbs(DATABASES).max_readers(MAX_READERS);
    let opened = unsafe { options.open(dir) };
    opened.map_err(|error| match error {
        heed::Error::Mdb(found) => damaged(file, found.to_string()),
        heed::Error::Io(source) => Error::DataDir { path: file.to_owned(), source },
        source @ (heed::Error::Encoding(_) | heed::Error::Decoding(_) | heed::Error::EnvAlreadyOpened) => {
            Error::Store { file: file.to_owned(), source }
        }
    })
}

/// A file cut short would end the process at the first read of a page that is missing.
fn check_length(env: &Env<WithoutTls>, file: &Path) -> Result<(), Error> {
    let failed = |source| Error::DataDir { path: file.to_owned(), source };
    let page_size = u64::from(env.stat().page_size);
    let needed = (env.info().last_page_number as u64 + 1) * page_size;
    let length = fs::metadata(file).map_err(failed)?.len();
    if length < needed {
        return Err(damaged(file, format!("it has {length} bytes, and its own header says {needed}")));
    }
    Ok(())
}

fn check_meta(meta: RawDb, txn: &RwTxn<'_>, file: &Path, chain_id: Option<u64>) -> Result<(), Error> {
    let read = |key| meta.get(txn, key).map_err(|source| Error::Store { file: file.to_owned(), source });
    let schema = read(SCHEMA_KEY)?.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    match schema {
        Some(SCHEMA) => {}
        Some(found) if found > SCHEMA => {
            return Err(Error::StoreNewer { file: file.to_owned(), found, known: SCHEMA });
        }
        Some(found) => return Err(damaged(file, format!("it has schema {found}, which no version wrote"))),
        None => return Err(damaged(file, "it names no schema".to_owned())),
    }
    match read(CHAIN_KEY)?.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes) {
        Some(found) => match chain_id {
            Some(configured) if configured != found => {
                Err(Error::StoreOfOtherChain { file: file.to_owned(), found, configured })
            }
            Some(_) | None => Ok(()),
        },
        None => Err(damaged(file, "it names no chain".to_owned())),
    }
}

fn create_databases(env: &Env<WithoutTls>, txn: &mut RwTxn<'_>, meta: RawDb) -> heed::Result<Databases> {
    Ok(Databases {
        meta,
        accounts: env.create_database(txn, Some("accounts"))?,
        intents: env.create_database(txn, Some("intents"))?,
        payloads: env.create_database(txn, Some("payloads"))?,
        blobs: env.create_database(txn, Some("blobs"))?,
        attempts: env.create_database(txn, Some("attempts"))?,
        hash_index: env.create_database(txn, Some("hash_index"))?,
        dedup: env.create_database(txn, Some("dedup"))?,
        journal: env.create_database(txn, Some("journal"))?,
    })
}

pub(crate) fn damaged(file: &Path, detail: String) -> Error {
    Error::StoreDamaged { file: PathBuf::from(file), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(env: Env<WithoutTls>) {
        env.prepare_for_closing().wait();
    }

    #[test]
    fn a_second_owner_is_refused_with_the_holders_process_id() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).unwrap();
        let Err(Error::DataDirHeld { holder, .. }) = DirLock::take(dir.path()) else { panic!("taken twice") };
        assert_eq!(holder, std::process::id().to_string());
        drop(first);
        DirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_schema_and_another_chain_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (env, databases) = open_env(dir.path(), Some(1)).unwrap();
        let mut txn = env.write_txn().unwrap();
        databases.meta.put(&mut txn, SCHEMA_KEY, &(SCHEMA + 1).to_be_bytes()).unwrap();
        txn.commit().unwrap();
        close(env);
        assert!(matches!(open_env(dir.path(), Some(1)), Err(Error::StoreNewer { found: 2, known: 1, .. })));

        let dir = tempfile::tempdir().unwrap();
        close(open_env(dir.path(), Some(1)).unwrap().0);
        assert!(matches!(open_env(dir.path(), Some(2)), Err(Error::StoreOfOtherChain { found: 1, configured: 2, .. })));
    }

    #[test]
    fn a_first_open_that_was_cut_before_its_first_commit_is_made_good_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        close(open_lmdb(dir.path(), &dir.path().join("data.mdb")).unwrap());
        assert!(fs::metadata(dir.path().join("data.mdb")).unwrap().len() > 0);
        close(open_env(dir.path(), Some(1)).unwrap().0);
        assert!(matches!(open_env(dir.path(), Some(2)), Err(Error::StoreOfOtherChain { found: 1, configured: 2, .. })));
    }

    #[test]
    fn an_empty_a_foreign_a_cut_and_a_nameless_file_are_refused_and_left_as_they_are() {
        for contents in [&b""[..], &[7u8; 8192][..]] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("data.mdb");
            fs::write(&file, contents).unwrap();
            assert!(
                matches!(open_env(dir.path(), Some(1)), Err(Error::StoreDamaged { .. })),
                "{} bytes",
                contents.len()
            );
            assert_eq!(fs::read(&file).unwrap(), contents);
        }

        let dir = tempfile::tempdir().unwrap();
        let (env, databases) = open_env(dir.path(), Some(1)).unwrap();
        let mut txn = env.write_txn().unwrap();
        databases.payloads.put(&mut txn, b"key", &vec![1; 100_000]).unwrap();
        databases.meta.delete(&mut txn, SCHEMA_KEY).unwrap();
        txn.commit().unwrap();
        close(env);
        assert!(
            matches!(open_env(dir.path(), Some(1)), Err(Error::StoreDamaged { detail, .. }) if detail.contains("schema"))
        );

        let file = File::options().write(true).open(dir.path().join("data.mdb")).unwrap();
        file.set_len(20_480).unwrap();
        assert!(
            matches!(open_env(dir.path(), Some(1)), Err(Error::StoreDamaged { detail, .. }) if detail.contains("bytes"))
        );
    }

    #[test]
    fn a_data_directory_that_is_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::write(&path, b"x").unwrap();
        assert!(matches!(DirLock::take(&path), Err(Error::DataDir { .. })));
    }
}
