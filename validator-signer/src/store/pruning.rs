//! Forgetting old duties: in the same transaction as the low mark that refuses their slots.

use std::collections::BTreeMap;
use std::ops::Bound;

use fermata_primitives::Slot;
use heed::RoTxn;

use super::failure::Failure;
use super::ledger::Ledger;
use super::record::marks_key;
use crate::{Duty, Marks};

/// Rows of one pruning transaction, so that a signature waits for no more than this.
const PRUNE_ROWS: usize = 4096;

impl Ledger {
    /// Removes up to [`PRUNE_ROWS`] records at or below `horizon`, and raises the low mark of each (validator, kind)
    /// among them to it in the same transaction. Gives the number removed: 0 when none are left.
    ///
    /// # Errors
    /// As [`Ledger::apply`].
    pub(super) fn prune(&mut self, horizon: Slot) -> Result<usize, Failure> {
        let mut txn = self.begin()?;
        let duties = self.duties_through(&txn, horizon)?;
        if duties.is_empty() {
            return Ok(0);
        }
        // The duties ascend by slot, so the last of each is its highest.
        let pruned: BTreeMap<_, _> =
            duties.iter().map(|duty| (marks_key(duty.validator, duty.kind), duty.slot)).collect();
        for (key, highest) in pruned {
            self.add_marks(&mut txn, &key, Marks::below(horizon).merge(Marks::signed(highest)))?;
        }
        for duty in &duties {
            self.store.duties.delete(&mut txn, &duty.key())?;
            self.store.payloads.delete(&mut txn, &duty.key())?;
        }
        self.commit(txn)?;
        self.resumed.retain(|duty| duty.slot > horizon);
        Ok(duties.len())
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
