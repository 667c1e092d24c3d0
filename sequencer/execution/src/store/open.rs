//! Opening the store: what is unknown or damaged is refused, and not touched.

use std::path::Path;
use std::sync::RwLock;

use fermata_primitives::crash_point;
use heed::types::{Bytes, Str};
use heed::{Database, Env, EnvOpenOptions, WithoutTls};

use super::{SCHEMA, Store, Tables, store_error};
use crate::{ExecutionError, Result};

/// Address space reserved for the store. The file is sparse and grows with what is written, so the figure costs nothing
/// on disk; a map that were resized while reads run would need `unsafe` care at every site. Small enough for hundreds
/// of nodes in one test process (2^47 bytes of address space).
pub(super) const MAP_BYTES: usize = 256 << 30;
/// Concurrent read transactions: one a request of the RPC.
const MAX_READERS: u32 = 1024;
const TABLES: u32 = 10;
const SCHEMA_KEY: &str = "schema";

impl Store {
    /// Opens the store in `dir`, and makes it where there is none.
    ///
    /// # Errors
    /// `NewerStore`, `DamagedStore` (nothing is changed), `AlreadyOpen`, `Io`, `Store`.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let io = |source| ExecutionError::Io { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let file = dir.join("data.mdb");
        if file.exists() && file.metadata().map_err(io)?.len() == 0 {
            return Err(damaged(&file, "the file is empty"));
        }
        let env = open_env(dir, &file)?;
        // Also where an earlier first start was cut: its file is there, and no transaction ever ended in it.
        let fresh = env.info().last_txn_id == 0;
        if fresh {
            crash_point!("execution.after_file");
        }
        let tables = if fresh { create_tables(&env)? } else { open_tables(&env, &file)? };
        Ok(Self { dir: dir.to_owned(), env: RwLock::new(Some(env)), tables })
    }
}

#[expect(unsafe_code, reason = "LMDB maps a file that nobody else may truncate; the data directory's lock sees to it")]
fn open_env(dir: &Path, file: &Path) -> Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_dbs(TABLES).max_readers(MAX_READERS);
    // SAFETY: the file is only ever changed through LMDB, by the one process that owns the data directory.
    let opened = unsafe { options.open(dir) };
    opened.map_err(|error| match error {
        heed::Error::EnvAlreadyOpened => ExecutionError::AlreadyOpen { path: dir.to_owned() },
        heed::Error::Mdb(cause) => damaged(file, &format!("LMDB cannot read it ({cause})")),
        heed::Error::Io(source) => ExecutionError::Io { path: file.to_owned(), source },
        other @ (heed::Error::Encoding(_) | heed::Error::Decoding(_)) => ExecutionError::Store(other),
    })
}

fn create_tables(env: &Env<WithoutTls>) -> Result<Tables> {
    let mut txn = env.write_txn().map_err(store_error)?;
    let meta: Database<Str, Bytes> = env.create_database(&mut txn, Some("meta")).map_err(store_error)?;
    meta.put(&mut txn, SCHEMA_KEY, &SCHEMA.to_be_bytes()).map_err(store_error)?;
    let mut create = |name| env.create_database(&mut txn, Some(name)).map_err(store_error);
    let tables = Tables {
        meta,
        nodes: create("nodes")?.remap_key_type(),
        roots: create("roots")?.remap_data_type(),
        code: create("code")?,
        headers: create("headers")?,
        bodies: create("bodies")?,
        senders: create("senders")?,
        receipts: create("receipts")?,
        canonical: create("canonical")?.remap_key_type(),
        places: create("transactions")?,
    };
    txn.commit().map_err(store_error)?;
    crash_point!("execution.after_schema");
    Ok(tables)
}

fn open_tables(env: &Env<WithoutTls>, file: &Path) -> Result<Tables> {
    refuse_truncated(env, file)?;
    let txn = env.read_txn().map_err(store_error)?;
    let open = |name: &str| {
        let table: Option<Database<Bytes, Bytes>> = env.open_database(&txn, Some(name)).map_err(store_error)?;
        table.ok_or_else(|| damaged(file, &format!("the table '{name}' is missing")))
    };
    let meta: Database<Str, Bytes> = open("meta")?.remap_key_type();
    let schema = meta.get(&txn, SCHEMA_KEY).map_err(store_error)?;
    let schema = schema.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    match schema {
        Some(SCHEMA) => {}
        Some(found) if found > SCHEMA => {
            return Err(ExecutionError::NewerStore { path: file.to_owned(), found, known: SCHEMA });
        }
        Some(found) => return Err(damaged(file, &format!("no version ever wrote schema {found}"))),
        None => return Err(damaged(file, "it has no schema version")),
    }
    let tables = Tables {
        meta,
        nodes: open("nodes")?.remap_key_type(),
        roots: open("roots")?.remap_data_type(),
        code: open("code")?,
        headers: open("headers")?,
        bodies: open("bodies")?,
        senders: open("senders")?,
        receipts: open("receipts")?,
        canonical: open("canonical")?.remap_key_type(),
        places: open("transactions")?,
    };
    // Committing keeps the handles open; an aborted transaction would close them.
    txn.commit().map_err(store_error)?;
    Ok(tables)
}

/// LMDB maps the file: reading a page beyond its end would kill the process.
fn refuse_truncated(env: &Env<WithoutTls>, file: &Path) -> Result<()> {
    let pages = env.info().last_page_number as u64 + 1;
    let expected = pages * u64::from(env.stat().page_size);
    let found = env.real_disk_size().map_err(store_error)?;
    if found < expected {
        return Err(damaged(file, &format!("it has {found} bytes where {expected} were written")));
    }
    Ok(())
}

fn damaged(file: &Path, what: &str) -> ExecutionError {
    ExecutionError::DamagedStore { path: file.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything in the file that must not change when opening it is refused.
    fn refused(dir: &Path) -> ExecutionError {
        let file = dir.join("data.mdb");
        let before = std::fs::read(&file).unwrap();
        let error = Store::open(dir).expect_err("must be refused");
        assert_eq!(std::fs::read(&file).unwrap(), before, "a refused store is untouched");
        assert!(error.to_string().contains("data.mdb"), "names the file: {error}");
        error
    }

    fn closed_store(dir: &Path) {
        Store::open(dir).unwrap().close();
    }

    #[test]
    fn a_store_of_a_newer_version_is_refused_and_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let env = store.env().unwrap();
        let mut txn = env.write_txn().unwrap();
        store.tables.meta.put(&mut txn, SCHEMA_KEY, &(SCHEMA + 1).to_be_bytes()).unwrap();
        txn.commit().unwrap();
        drop(env);
        store.close();
        let error = refused(dir.path());
        assert!(matches!(error, ExecutionError::NewerStore { found, known: SCHEMA, .. } if found == SCHEMA + 1));
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_untouched() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("data.mdb"), [0xA5; 16_384]).unwrap();
        assert!(matches!(refused(dir.path()), ExecutionError::DamagedStore { .. }));
    }

    #[test]
    fn an_empty_file_is_not_taken_for_a_new_store() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("data.mdb"), []).unwrap();
        assert!(matches!(refused(dir.path()), ExecutionError::DamagedStore { .. }));
    }

    #[test]
    fn a_truncated_store_is_refused_and_untouched() {
        let dir = tempfile::tempdir().unwrap();
        closed_store(dir.path());
        let file = dir.path().join("data.mdb");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..2 * 4096]).unwrap();
        assert!(matches!(refused(dir.path()), ExecutionError::DamagedStore { .. }));
    }

    #[test]
    fn a_store_that_is_open_in_this_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(ExecutionError::AlreadyOpen { .. })));
        store.close();
        Store::open(dir.path()).expect("opens after close").close();
    }

    #[test]
    fn a_closed_store_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.close();
        store.close();
        assert!(matches!(store.read(), Err(ExecutionError::Closed)));
        assert!(matches!(store.write(|_| Ok(())), Err(ExecutionError::Closed)));
    }
}
