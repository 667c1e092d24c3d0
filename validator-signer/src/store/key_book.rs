//! What is said of keys as a whole: retired, halted, handed over; all of it durable.

use std::collections::BTreeMap;
use std::ops::Bound;

use alloy::primitives::{Address, B256};
use fermata_primitives::Slot;
use heed::RoTxn;
use tracing::{error, info};

use super::failure::Failure;
use super::identity::Identity;
use super::ledger::Ledger;
use super::record::marks_key;
use crate::rules::sight;
use crate::{Duty, DutyKind, Halt, KeyChange, KeyState, Marks, Sighting};

impl Ledger {
    /// Reads what was said of keys before.
    pub(super) fn load_keys(&mut self) -> Result<(), Failure> {
        let txn = self.store.env.read_txn()?;
        let mut keys = BTreeMap::new();
        for row in self.store.keys.iter(&txn)? {
            let (key, value) = row?;
            let state = KeyState::decode(key, value).map_err(Failure::damage)?;
            let validator = Address::try_from(key).map_err(|_| Failure::damage("a key's state has no address"))?;
            keys.insert(validator, state);
        }
        let listening = Identity(self.store.identity).listening(&txn)?.map_err(Failure::damage)?;
        drop(txn);
        self.listen_only_until.send_replace(listening.until);
        self.keys.send_replace(keys);
        Ok(())
    }

    /// Brings the marks of strict kinds up to their records: pins of other kinds leave no mark.
    pub(super) fn mark_strict_kinds(&mut self) -> Result<(), Failure> {
        if self.strict.is_empty() {
            return Ok(());
        }
        let mut txn = self.begin()?;
        let mut highest = BTreeMap::new();
        for row in self.store.duties.iter(&txn)? {
            let (key, _) = row?;
            let duty = Duty::from_key(key).ok_or_else(|| Failure::damage("a record has a key that no duty has"))?;
            if self.strict.contains(&duty.kind.marked()) {
                // Records ascend by slot.
                highest.insert(marks_key(duty.validator, duty.kind), duty.slot);
            }
        }
        for (key, slot) in highest {
            self.add_marks(&mut txn, &key, Marks::signed(slot))?;
        }
        self.commit(txn)
    }

    /// Changes what is said of a key. It holds for every duty that is judged afterwards.
    ///
    /// # Errors
    /// [`Failure`]; what was said before holds on.
    pub(super) fn change_key(&mut self, key: Address, change: KeyChange) -> Result<(), Failure> {
        let state = change.apply(self.key_state(key));
        self.put_key(key, state)
    }

    fn key_state(&self, key: Address) -> KeyState {
        self.keys.borrow().get(&key).copied().unwrap_or_default()
    }

    fn put_key(&mut self, key: Address, state: KeyState) -> Result<(), Failure> {
        let mut txn = self.begin()?;
        self.store.keys.put(&mut txn, key.as_slice(), &state.encode(key.as_slice()))?;
        self.commit(txn)?;
        self.keys.send_modify(|keys| {
            keys.insert(key, state);
        });
        info!(validator = %key, ?state, "the state of a key has changed");
        Ok(())
    }

    /// Judges a signature that was seen outside, and halts its key, durably, if it was made elsewhere.
    ///
    /// # Errors
    /// [`Failure`]: the key is halted until the process ends.
    pub(super) fn observe(&mut self, seen: Halt) -> Result<Sighting, Failure> {
        let sighting = self.recognise(seen.duty, seen.digest)?;
        let key = seen.duty.validator;
        let state = self.key_state(key);
        if sighting == Sighting::Elsewhere && state.halt.is_none() {
            error!(validator = %key, duty = %seen.duty, digest = %seen.digest,
                "another node signs with this key: it is halted here until an operator has stopped the other one");
            let halted = KeyState { halt: Some(seen), ..state };
            // First, so that it is halted in this process also where the disk takes no word of it.
            self.keys.send_modify(|keys| {
                keys.insert(key, halted);
            });
            self.put_key(key, halted)?;
        }
        Ok(sighting)
    }

    /// Judges a payload whose signature was seen outside.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn recognise(&self, duty: Duty, digest: B256) -> Result<Sighting, Failure> {
        let txn = self.store.env.read_txn()?;
        Ok(sight(duty, digest, &self.known(&txn, duty)?))
    }

    /// Adds to the marks of one key, kind by kind, all or none.
    ///
    /// # Errors
    /// [`Failure`]; no mark is changed.
    pub(super) fn mark(&mut self, key: Address, marks: &[(DutyKind, Marks)]) -> Result<(), Failure> {
        let mut txn = self.begin()?;
        for (kind, marks) in marks {
            self.add_marks(&mut txn, &marks_key(key, *kind), *marks)?;
        }
        self.commit(txn)
    }

    /// Refuses `from` and all later slots to a key, of every kind, unless one of them is pinned already: then gives the
    /// highest that is.
    ///
    /// # Errors
    /// [`Failure`]; no mark is changed.
    pub(super) fn hand_over(&mut self, key: Address, from: Slot) -> Result<Result<(), Slot>, Failure> {
        let txn = self.store.env.read_txn()?;
        let marked = DutyKind::MARKED.map(|kind| self.marks(&txn, &marks_key(key, kind)));
        let mut pinned = self.highest_record(&txn, key, from)?;
        for marks in marked {
            pinned = pinned.max(marks?.max_signed);
        }
        drop(txn);
        if let Some(pinned) = pinned.filter(|pinned| *pinned >= from) {
            return Ok(Err(pinned));
        }
        self.mark(key, &DutyKind::MARKED.map(|kind| (kind, Marks::from(from))))?;
        Ok(Ok(()))
    }

    /// Signs with a key from `from` on, where another node signed before: earlier slots are refused, and a high mark at or
    /// before it ends, since the key has come back.
    ///
    /// # Errors
    /// [`Failure`]; no mark is changed.
    pub(super) fn take_over(&mut self, key: Address, from: Slot) -> Result<(), Failure> {
        let mut txn = self.begin()?;
        for kind in DutyKind::MARKED {
            let at = marks_key(key, kind);
            let marks = self.marks(&txn, &at)?.taken_over(from);
            self.store.marks.put(&mut txn, &at, &marks.encode(&at))?;
        }
        self.commit(txn)
    }

    /// The highest slot from `from` on that a key has a record in.
    fn highest_record(&self, txn: &RoTxn<'_>, key: Address, from: Slot) -> Result<Option<Slot>, Failure> {
        let from = from.0.to_be_bytes();
        let range = (Bound::Included(from.as_slice()), Bound::Unbounded);
        for row in self.store.duties.rev_range(txn, &range)? {
            let (bytes, _) = row?;
            let duty = Duty::from_key(bytes).ok_or_else(|| Failure::damage("a record has a key that no duty has"))?;
            if duty.validator == key {
                return Ok(Some(duty.slot));
            }
        }
        Ok(None)
    }

    /// The marks of one key and kind, and the highest slot that is pinned.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn marks_of(&self, key: Address, kind: DutyKind) -> Result<Marks, Failure> {
        let txn = self.store.env.read_txn()?;
        let mut marks = self.marks(&txn, &marks_key(key, kind))?;
        for row in self.store.duties.rev_iter(&txn)? {
            let (bytes, _) = row?;
            let duty = Duty::from_key(bytes).ok_or_else(|| Failure::damage("a record has a key that no duty has"))?;
            if marks.max_signed >= Some(duty.slot) {
                break;
            }
            if duty.validator == key && duty.kind.marked() == kind.marked() {
                marks = marks.merge(Marks::signed(duty.slot));
                break;
            }
        }
        Ok(marks)
    }
}
