//! Payloads beside their pins: what was pinned can be found again after a crash, and signed instead of lost.

use std::ops::Bound;

use heed::RwTxn;

use super::failure::Failure;
use super::ledger::Ledger;
use super::record::{decode_payload, encode_payload};
use crate::Duty;

/// Slots, back from that of the newest payload, whose payloads are kept: enough to resume, and the table stays small.
pub(crate) const PAYLOAD_SLOTS: u64 = 32;

impl Ledger {
    /// Keeps `payload` beside its pin, and drops those of long ago.
    pub(super) fn put_payload(&self, txn: &mut RwTxn<'_>, duty: Duty, payload: &[u8]) -> Result<(), Failure> {
        let key = duty.key();
        self.store.payloads.put(txn, &key, &encode_payload(&key, payload))?;
        let end = duty.slot.0.saturating_sub(PAYLOAD_SLOTS).to_be_bytes();
        let past = (Bound::Unbounded, Bound::Excluded(end.as_slice()));
        self.store.payloads.delete_range(txn, &past)?;
        Ok(())
    }

    /// The payload that `duty` is pinned to, where one was kept.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn payload(&self, duty: Duty) -> Result<Option<Vec<u8>>, Failure> {
        let txn = self.store.env.read_txn()?;
        let key = duty.key();
        let bytes = self.store.payloads.get(&txn, &key)?;
        let payload = bytes.map(|bytes| decode_payload(&key, bytes)).transpose().map_err(Failure::damage)?;
        Ok(payload.map(<[u8]>::to_vec))
    }
}
