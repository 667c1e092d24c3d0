//! Opening the environment, with every refusal before the first write.
//!
//! A file `MANIFEST` beside the database says that there was one, so that a lost database is not taken for a first start.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use fermata_primitives::crash_point;
use heed::{Env, EnvOpenOptions, WithoutTls};

use super::tables::Tables;
use super::{NodeStoreError, Result};

/// The schema this version writes.
pub(super) const SCHEMA: u32 = 1;

/// Address space, not memory or disk: the file grows with what it holds.
const MAP_BYTES: usize = 1 << 32;
/// Room for tables to come.
const MAX_TABLES: u32 = 32;
/// Concurrent read transactions. Without slots of their own, threads that come and go use none up.
const MAX_READERS: u32 = 1024;

pub(super) const DATA_FILE: &str = "data.mdb";
pub(super) const MANIFEST: &str = "MANIFEST";

pub(super) fn open(dir: &Path) -> Result<(Env<WithoutTls>, Tables)> {
    let unusable = |source: std::io::Error| NodeStoreError::Unusable { dir: dir.to_owned(), source: source.into() };
    fs::create_dir_all(dir).map_err(unusable)?;
    let was_made = dir.join(MANIFEST).try_exists().map_err(unusable)?;
    let size = match fs::metadata(dir.join(DATA_FILE)) {
        Ok(data) => Some(data.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error)),
    };
    let has_begun = match (was_made, size) {
        (true, None) => return Err(damaged(dir, DATA_FILE, "is missing".to_owned())),
        (true, Some(0)) => return Err(damaged(dir, DATA_FILE, "is empty".to_owned())),
        // A first start, also after one that was cut before anything was written into the file.
        (false, None | Some(0)) => false,
        (true | false, Some(_)) => true,
    };
    let env = open_env(dir)?;
    if !has_begun {
        crash_point!("node_store.after_file");
    }
    let found = if has_begun { check(dir, &env)? } else { None };
    let tables = match found {
        Some(tables) => tables,
        None if was_made => return Err(damaged(dir, DATA_FILE, "has lost its tables".to_owned())),
        // A first start, or one that was cut before its first commit.
        None => create(&env)?,
    };
    if !was_made {
        crash_point!("node_store.after_schema");
        write_manifest(dir).map_err(unusable)?;
        crash_point!("node_store.after_manifest");
    }
    Ok((env, tables))
}

fn open_env(dir: &Path) -> Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_dbs(MAX_TABLES).max_readers(MAX_READERS);
    #[expect(unsafe_code, reason = "LMDB maps a file: the data directory's lock keeps other processes from it")]
    let env = unsafe { options.open(dir) };
    env.map_err(|error| match error {
        heed::Error::Mdb(ref mdb) => damaged(dir, DATA_FILE, format!("cannot be opened ({mdb})")),
        source @ (heed::Error::Io(_)
        | heed::Error::Encoding(_)
        | heed::Error::Decoding(_)
        | heed::Error::EnvAlreadyOpened) => NodeStoreError::Unusable { dir: dir.to_owned(), source },
    })
}

fn create(env: &Env<WithoutTls>) -> Result<Tables> {
    let mut txn = env.write_txn()?;
    let tables = Tables::create(env, &mut txn)?;
    tables.put_schema(&mut txn, SCHEMA)?;
    txn.commit()?;
    Ok(tables)
}

/// The tables of an environment that was there, and of our schema; `None` where it has none.
fn check(dir: &Path, env: &Env<WithoutTls>) -> Result<Option<Tables>> {
    let txn = env.read_txn()?;
    let Some(tables) = Tables::find(env, &txn)? else { return Ok(None) };
    let file = dir.join(DATA_FILE);
    let schema = match tables.schema(&txn) {
        Ok(Some(SCHEMA)) => None,
        Ok(Some(found)) if found > SCHEMA => Some(NodeStoreError::Newer { file, found, known: SCHEMA }),
        Ok(Some(found)) => Some(damaged(dir, DATA_FILE, format!("has the schema {found}, which never was"))),
        Ok(None) => Some(damaged(dir, DATA_FILE, "has no schema version".to_owned())),
        Err(error) => Some(damaged(dir, DATA_FILE, format!("has an unreadable schema version ({error})"))),
    };
    // Committed, so that the handles of the tables outlive this transaction.
    txn.commit()?;
    schema.map_or(Ok(Some(tables)), Err)
}

fn write_manifest(dir: &Path) -> std::io::Result<()> {
    let mut manifest = fs::File::create(dir.join(MANIFEST))?;
    writeln!(manifest, "fermata node store: {DATA_FILE} belongs here")?;
    manifest.sync_all()
}

fn damaged(dir: &Path, file: &str, what: String) -> NodeStoreError {
    let file: PathBuf = dir.join(file);
    NodeStoreError::Damaged { dir: dir.to_owned(), file, what }
}
