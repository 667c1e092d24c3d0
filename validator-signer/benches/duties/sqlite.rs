//! A slashing database on SQLite, in the shape of Lighthouse's: its tables and constraints, an exclusive lock and otherwise
//! SQLite's defaults, one connection, and for each duty one exclusive transaction of its checks and its insert.

use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::samples::{CALLERS, EARLIER_SLOTS, Effort, Samples, Until};

const TABLES: &str = "
    PRAGMA foreign_keys = ON;
    PRAGMA locking_mode = EXCLUSIVE;
    CREATE TABLE validators (id INTEGER PRIMARY KEY, public_key BLOB NOT NULL UNIQUE, enabled BOOLEAN NOT NULL);
    CREATE TABLE signed_attestations (
        validator_id INTEGER NOT NULL, source_epoch INTEGER NOT NULL, target_epoch INTEGER NOT NULL,
        signing_root BLOB NOT NULL, FOREIGN KEY(validator_id) REFERENCES validators(id),
        UNIQUE (validator_id, target_epoch));";

/// That many threads, each with a duty of its own at a time.
pub(crate) fn callers(callers: u64, effort: Effort) -> Samples {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let connection = Mutex::new(database(&dir.path().join("slashing.sqlite")));
    let until = Until::of(effort);
    let samples = std::thread::scope(|scope| {
        let caller = |caller: u64| {
            let (connection, until) = (&connection, &until);
            scope.spawn(move || {
                let mut samples = Samples::default();
                for turn in 0.. {
                    let Some(begin) = until.goes_on() else { break };
                    // A committee's duties, slot after slot, shared among the callers.
                    let number = caller + turn * callers;
                    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    let is_recorded = record(&mut connection, number % CALLERS, EARLIER_SLOTS + number / CALLERS);
                    drop(connection);
                    assert!(is_recorded, "a fresh duty is safe");
                    samples.note(begin, 1);
                }
                samples
            })
        };
        let threads: Vec<_> = (0..callers).map(caller).collect();
        threads.into_iter().map(|thread| thread.join().expect("no caller fails")).collect::<Vec<_>>()
    });
    Samples::together(samples).end(until)
}

fn database(path: &std::path::Path) -> Connection {
    let mut connection = Connection::open(path).expect("a database can be made");
    connection.execute_batch(TABLES).expect("the tables are valid");
    let fill = connection.transaction().expect("it is ours");
    for validator in 0..CALLERS {
        let id = validator as i64;
        fill.execute("INSERT INTO validators VALUES (?1, ?2, TRUE)", params![id, key(validator)]).expect("it is new");
        for slot in 0..EARLIER_SLOTS as i64 {
            let insert = "INSERT INTO signed_attestations VALUES (?1, ?2, ?3, ?4)";
            fill.execute(insert, params![id, slot - 1, slot, [7u8; 32]]).expect("it is new");
        }
    }
    fill.commit().expect("the disk takes it");
    connection
}

/// Whether the attestation was safe; it is durable on record then.
fn record(connection: &mut Connection, validator: u64, slot: u64) -> bool {
    let txn = connection.transaction_with_behavior(TransactionBehavior::Exclusive).expect("it is ours");
    let (source, target) = (slot as i64 - 1, slot as i64);
    let (id, enabled): (i64, bool) = txn
        .query_row("SELECT id, enabled FROM validators WHERE public_key = ?1", params![key(validator)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("it is registered");
    let finds = |query: &str, values: &[&dyn rusqlite::ToSql]| {
        let found: Option<Option<i64>> =
            txn.query_row(query, values, |row| row.get(0)).optional().expect("it is valid");
        found.flatten()
    };
    let same = "SELECT 1 FROM signed_attestations WHERE validator_id = ?1 AND target_epoch = ?2";
    let surrounding = "SELECT 1 FROM signed_attestations WHERE validator_id = ?1 AND source_epoch < ?2 AND \
        target_epoch > ?3 ORDER BY target_epoch DESC LIMIT 1";
    let surrounded = "SELECT 1 FROM signed_attestations WHERE validator_id = ?1 AND source_epoch > ?2 AND \
        target_epoch < ?3 ORDER BY target_epoch DESC LIMIT 1";
    let least_source = "SELECT MIN(source_epoch) FROM signed_attestations WHERE validator_id = ?1";
    let least_target = "SELECT MIN(target_epoch) FROM signed_attestations WHERE validator_id = ?1";
    let is_safe = enabled
        && finds(same, &[&id, &target]).is_none()
        && finds(surrounding, &[&id, &source, &target]).is_none()
        && finds(surrounded, &[&id, &source, &target]).is_none()
        && finds(least_source, &[&id]).is_none_or(|least| source >= least)
        && finds(least_target, &[&id]).is_none_or(|least| target > least);
    if is_safe {
        let insert = "INSERT INTO signed_attestations VALUES (?1, ?2, ?3, ?4)";
        txn.execute(insert, params![id, source, target, [7u8; 32]]).expect("it is new");
        txn.commit().expect("the disk takes it");
    }
    is_safe
}

fn key(validator: u64) -> [u8; 48] {
    let mut key = [0; 48];
    key[..8].copy_from_slice(&validator.to_be_bytes());
    key
}
