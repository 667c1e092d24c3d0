//! The records of a store: what the rules look at is read, and their verdicts are applied, in one durable transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use fermata_primitives::{Slot, crash_point};
use heed::{RoTxn, RwTxn};
use tokio::sync::watch;

use super::environment::Environment;
use super::failure::Failure;
use super::record::{MarksKey, Record, marks_key};
use crate::permit::{Attempt, Reservation};
use crate::rules::{Known, Mode, Verdict, judge};
use crate::{Duty, DutyKind, KeyState, Marks};

/// A payload asked for: leave to sign `digest` for `duty`.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) duty: Duty,
    pub(super) digest: B256,
    /// Kept beside the pin, so that the payload can be found again.
    pub(super) payload: Option<Arc<[u8]>>,
}

/// The keys that something was said of. Also what those outside see.
pub(super) type KeyStates = BTreeMap<Address, KeyState>;

/// The records of a store, and what is kept of them in memory.
pub(super) struct Ledger {
    pub(super) store: Environment,
    /// Kinds that only go forward.
    pub(super) strict: BTreeSet<DutyKind>,
    pub(super) keys: watch::Sender<KeyStates>,
    /// First slot that is signed. Also what those outside see.
    pub(super) listen_only_until: watch::Sender<Option<Slot>>,
    /// Of every pin made until the store closes.
    attempt: Attempt,
    /// Duties with more leave to sign than their first reservation: that can be cancelled no more.
    pub(super) resumed: HashSet<Duty>,
}

impl Ledger {
    /// The records of an environment that was found to be whole.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn open(store: Environment, strict: BTreeSet<DutyKind>) -> Result<Self, Failure> {
        let mut ledger = Self {
            store,
            strict,
            keys: watch::Sender::default(),
            listen_only_until: watch::Sender::default(),
            attempt: Attempt::new(),
            resumed: HashSet::new(),
        };
        ledger.load_keys()?;
        ledger.mark_strict_kinds()?;
        Ok(ledger)
    }

    /// Transactions that were ever committed.
    pub(super) fn commits(&self) -> u64 {
        self.store.commits()
    }

    pub(super) fn close(self) {
        self.store.close();
    }

    /// Which `reserve` makes the pins of this store until it closes.
    pub(super) const fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Writes signatures that came in, then judges and pins `wanted`, in one durable transaction.
    /// The verdicts come in the order of `wanted`; of two payloads for one duty the earlier wins.
    ///
    /// # Errors
    /// [`Failure`]; nothing is recorded.
    pub(super) fn apply(&mut self, signed: &[(Duty, Record)], wanted: &[Wanted]) -> Result<Vec<Verdict>, Failure> {
        let mut txn = self.begin()?;
        let mut changed = self.write_signatures(&mut txn, signed)?;
        let mut verdicts = vec![None; wanted.len()];
        for at in key_order(wanted) {
            let verdict = self.judge(&txn, wanted[at].duty, wanted[at].digest)?;
            if matches!(verdict, Verdict::Pin) {
                self.pin(&mut txn, &wanted[at])?;
                changed = true;
            }
            verdicts[at] = Some(verdict);
        }
        if changed {
            crash_point!("signer.before_pin", |error| Failure::from(heed::Error::Io(error)));
            self.commit(txn)?;
        } else {
            drop(txn);
        }
        let verdicts: Vec<_> = verdicts.into_iter().flatten().collect();
        let resumed = wanted.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Resume));
        self.resumed.extend(resumed.map(|(wanted, _)| wanted.duty));
        Ok(verdicts)
    }

    /// Takes a pin back, if the reservation is all the leave that was ever given for it. True when it is gone: another
    /// payload may be pinned then. The slot stays counted as one that was pinned.
    ///
    /// # Errors
    /// [`Failure`]; the duty stays pinned.
    pub(super) fn cancel(&mut self, reservation: &Reservation) -> Result<bool, Failure> {
        let duty = reservation.duty();
        if reservation.attempt() != self.attempt || self.resumed.contains(&duty) {
            return Ok(false);
        }
        let mut txn = self.begin()?;
        if self.record(&txn, duty)? != Some(Record::pinned(reservation.digest())) {
            return Ok(false);
        }
        self.store.duties.delete(&mut txn, &duty.key())?;
        self.store.payloads.delete(&mut txn, &duty.key())?;
        self.add_marks(&mut txn, &marks_key(duty.validator, duty.kind), Marks::signed(duty.slot))?;
        self.commit(txn)?;
        Ok(true)
    }

    pub(super) fn begin(&self) -> Result<RwTxn<'_>, Failure> {
        self.store.expect_in_place().map_err(|error| {
            Failure::Broken(format!("its file was moved, removed or replaced while it was open: {error}"))
        })?;
        Ok(self.store.env.write_txn()?)
    }

    /// Commits, if there is room: LMDB would find out in the middle of it.
    pub(super) fn commit(&self, txn: RwTxn<'_>) -> Result<(), Failure> {
        self.store.keep_headroom().map_err(heed::Error::Io)?;
        Ok(txn.commit()?)
    }

    fn judge(&self, txn: &RoTxn<'_>, duty: Duty, digest: B256) -> Result<Verdict, Failure> {
        Ok(judge(duty, digest, &self.known(txn, duty)?))
    }

    /// Reads what the rules look at.
    pub(super) fn known(&self, txn: &RoTxn<'_>, duty: Duty) -> Result<Known, Failure> {
        let mut marks = self.marks(txn, &marks_key(duty.validator, duty.kind))?;
        marks.low = marks.low.max(self.store.floor);
        Ok(Known {
            record: self.record(txn, duty)?,
            seal: duty.seal().map_or(Ok(None), |seal| self.record(txn, seal))?,
            marks,
            standing: self.keys.borrow().get(&duty.validator).copied().unwrap_or_default().standing(),
            listen_only_until: *self.listen_only_until.borrow(),
            mode: if self.strict.contains(&duty.kind.marked()) { Mode::Strict } else { Mode::Complete },
        })
    }

    fn pin(&self, txn: &mut RwTxn<'_>, wanted: &Wanted) -> Result<(), Failure> {
        let duty = wanted.duty;
        self.put(txn, duty, Record::pinned(wanted.digest))?;
        if self.strict.contains(&duty.kind.marked()) {
            self.add_marks(txn, &marks_key(duty.validator, duty.kind), Marks::signed(duty.slot))?;
        }
        wanted.payload.as_ref().map_or(Ok(()), |payload| self.put_payload(txn, duty, payload))
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

    pub(super) fn record(&self, txn: &RoTxn<'_>, duty: Duty) -> Result<Option<Record>, Failure> {
        let key = duty.key();
        let bytes = self.store.duties.get(txn, &key)?;
        bytes.map(|bytes| Record::decode(&key, bytes)).transpose().map_err(Failure::damage)
    }

    pub(super) fn put(&self, txn: &mut RwTxn<'_>, duty: Duty, record: Record) -> Result<(), Failure> {
        let key = duty.key();
        Ok(self.store.duties.put(txn, &key, &record.encode(&key))?)
    }

    pub(super) fn marks(&self, txn: &RoTxn<'_>, key: &MarksKey) -> Result<Marks, Failure> {
        let bytes = self.store.marks.get(txn, key)?;
        bytes.map_or(Ok(Marks::default()), |bytes| Marks::decode(key, bytes)).map_err(Failure::damage)
    }

    /// Marks only ever come to refuse more.
    pub(super) fn add_marks(&self, txn: &mut RwTxn<'_>, key: &MarksKey, marks: Marks) -> Result<(), Failure> {
        let marks = self.marks(txn, key)?.merge(marks);
        Ok(self.store.marks.put(txn, key, &marks.encode(key))?)
    }
}

/// Places of `wanted` in the order of their keys, which LMDB writes fastest; stable, so that the earlier wins.
fn key_order(wanted: &[Wanted]) -> Vec<usize> {
    let mut order: Vec<_> = (0..wanted.len()).collect();
    order.sort_by_cached_key(|&at| wanted[at].duty.key());
    order
}
