//! The records of a store: what the rules ask for is read, and their verdicts are applied, in one durable transaction.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use alloy::primitives::B256;
use fermata_primitives::{Slot, crash_point};
use heed::{RoTxn, RwTxn};

use super::environment::Environment;
use super::record::{MarksKey, Record, marks_key};
use crate::rules::{Known, Mode, Standing, Verdict, judge};
use crate::{Duty, Marks, SignerError};

/// A payload asked for: leave to sign `digest` for `duty`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) duty: Duty,
    pub(super) digest: B256,
}

/// Why a transaction did not happen.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// There was no room for it. It is gone, and all else as before.
    NoSpace(Arc<heed::Error>),
    /// The store cannot be trusted any more. After a failed write it is unknown what reached the disk (the system may
    /// have dropped the pages), and trying again proves nothing.
    Broken(String),
}

impl Failure {
    fn damage(what: &str) -> Self {
        Self::Broken(what.to_owned())
    }

    /// The failure as the caller of the store in `dir` sees it.
    pub(super) fn of_store(&self, dir: &Path) -> SignerError {
        let path = dir.to_owned();
        match self {
            Self::NoSpace(source) => SignerError::NoSpace { path, source: source.clone() },
            Self::Broken(reason) => SignerError::StoreFailed { path, reason: reason.clone() },
        }
    }
}

impl From<heed::Error> for Failure {
    fn from(error: heed::Error) -> Self {
        let no_room = match &error {
            heed::Error::Mdb(error) => *error == heed::MdbError::MapFull,
            heed::Error::Io(error) => is_no_room(error),
            heed::Error::Encoding(_) | heed::Error::Decoding(_) | heed::Error::EnvAlreadyOpened => false,
        };
        if no_room { Self::NoSpace(Arc::new(error)) } else { Self::Broken(error.to_string()) }
    }
}

fn is_no_room(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Rows of one pruning transaction, so that a signature waits for no more than this.
const PRUNE_ROWS: usize = 4096;

/// The records of a store.
pub(super) struct Ledger {
    store: Environment,
}

impl Ledger {
    pub(super) const fn new(store: Environment) -> Self {
        Self { store }
    }

    pub(super) fn close(self) {
        self.store.close();
    }

    /// Writes signatures that came in, then judges and pins `wanted`, in one durable transaction.
    /// The verdicts come in the order of `wanted`; of two payloads for one duty the earlier wins.
    ///
    /// # Errors
    /// [`Failure`]; nothing is recorded.
    pub(super) fn apply(&self, signed: &[(Duty, Record)], wanted: &[Wanted]) -> Result<Vec<Verdict>, Failure> {
        let mut txn = self.begin()?;
        let mut changed = self.write_signatures(&mut txn, signed)?;
        let mut verdicts = vec![None; wanted.len()];
        for at in key_order(wanted) {
            let verdict = self.judge(&txn, wanted[at])?;
            if matches!(verdict, Verdict::Pin) {
                self.put(&mut txn, wanted[at].duty, Record::pinned(wanted[at].digest))?;
                changed = true;
            }
            verdicts[at] = Some(verdict);
        }
        if changed {
            crash_point!("signer.before_pin", |error| Failure::from(heed::Error::Io(error)));
            txn.commit()?;
        }
        Ok(verdicts.into_iter().flatten().collect())
    }

    /// Removes up to [`PRUNE_ROWS`] records at or below `horizon`, and raises the low mark of each (validator, kind)
    /// among them to it in the same transaction. Gives the number removed: 0 when none are left.
    ///
    /// # Errors
    /// As [`Ledger::apply`].
    pub(super) fn prune(&self, horizon: Slot) -> Result<usize, Failure> {
        let mut txn = self.begin()?;
        let duties = self.duties_through(&txn, horizon)?;
        // The duties ascend by slot, so the last of each is its highest.
        let pruned: BTreeMap<_, _> =
            duties.iter().map(|duty| (marks_key(duty.validator, duty.kind), duty.slot)).collect();
        for (key, highest) in pruned {
            self.add_marks(&mut txn, &key, Marks::below(horizon).merge(Marks::signed(highest)))?;
        }
        for duty in &duties {
            self.store.duties.delete(&mut txn, &duty.key())?;
        }
        if !duties.is_empty() {
            txn.commit()?;
        }
        Ok(duties.len())
    }

    fn begin(&self) -> Result<RwTxn<'_>, Failure> {
        match self.store.keep_headroom() {
            // What is left of the room may do; LMDB says so if it does not.
            Err(error) if is_no_room(&error) => {}
            outcome => outcome.map_err(heed::Error::Io)?,
        }
        Ok(self.store.env.write_txn()?)
    }

    /// Reads what the rules look at, and asks them.
    fn judge(&self, txn: &RoTxn<'_>, wanted: Wanted) -> Result<Verdict, Failure> {
        let Wanted { duty, digest } = wanted;
        let record = self.record(txn, duty)?;
        let seal = duty.seal().map_or(Ok(None), |seal| self.record(txn, seal))?;
        let marks = self.marks(txn, &marks_key(duty.validator, duty.kind))?;
        let known =
            Known { record, seal, marks, standing: Standing::Enabled, listen_only_until: None, mode: Mode::Complete };
        Ok(judge(duty, digest, &known))
    }

    /// Adds signatures to the records they belong to; a record pruned meanwhile stays away. True when any was written.
    fn write_signatures(&self, txn: &mut RwTxn<'_>, signed: &[(Duty, Record)]) -> Result<bool, Failure> {
        let mut changed = false;
        for &(duty, record) in signed {
            let known = self.record(txn, duty)?;
            if known.is_some_and(|known| known.digest == record.digest && known.signature.is_none()) {
                self.put(txn, duty, record)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    fn record(&self, txn: &RoTxn<'_>, duty: Duty) -> Result<Option<Record>, Failure> {
        let key = duty.key();
        let bytes = self.store.duties.get(txn, &key)?;
        bytes.map(|bytes| Record::decode(&key, bytes)).transpose().map_err(Failure::damage)
    }

    fn put(&self, txn: &mut RwTxn<'_>, duty: Duty, record: Record) -> Result<(), Failure> {
        let key = duty.key();
        Ok(self.store.duties.put(txn, &key, &record.encode(&key))?)
    }

    fn marks(&self, txn: &RoTxn<'_>, key: &MarksKey) -> Result<Marks, Failure> {
        let bytes = self.store.marks.get(txn, key)?;
        bytes.map_or(Ok(Marks::default()), |bytes| Marks::decode(key, bytes)).map_err(Failure::damage)
    }

    fn add_marks(&self, txn: &mut RwTxn<'_>, key: &MarksKey, marks: Marks) -> Result<(), Failure> {
        let marks = self.marks(txn, key)?.merge(marks);
        Ok(self.store.marks.put(txn, key, &marks.encode(key))?)
    }

    fn duties_through(&self, txn: &RoTxn<'_>, horizon: Slot) -> Result<Vec<Duty>, Failure> {
        let end = horizon.0.checked_add(1).map(u64::to_be_bytes);
        let end = end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_slice()));
        let rows = self.store.duties.range(txn, &(Bound::Unbounded, end))?;
        rows.take(PRUNE_ROWS)
            .map(|row| {
                let (key, _) = row?;
                Duty::from_key(key).ok_or_else(|| Failure::damage("a record has a key that no duty has"))
            })
            .collect()
    }
}

/// Places of `wanted` in the order of their keys, which LMDB writes fastest; stable, so that the earlier wins.
fn key_order(wanted: &[Wanted]) -> Vec<usize> {
    let mut order: Vec<_> = (0..wanted.len()).collect();
    order.sort_by_cached_key(|&at| wanted[at].duty.key());
    order
}
