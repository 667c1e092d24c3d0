//! What transactions have cost of late.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use alloy::primitives::U256;
use fermata_primitives::UnixTime;

use crate::MinedTx;
use crate::funding::CAP_SPAN;
use crate::machine::Machine;
use crate::machine::step::Record;
use crate::records::{AttemptRecord, IntentId, StoredTx};

/// What the transactions that landed within the hour have cost, their value apart. It outlives a run; a new process begins
/// with what the store still keeps.
#[derive(Debug, Default)]
pub(crate) struct Spending(Mutex<BTreeMap<IntentId, Paid>>);

#[derive(Clone, Copy, Debug)]
struct Paid {
    at: UnixTime,
    wei: U256,
}

impl Spending {
    /// Takes in what the store has of earlier runs.
    pub(crate) fn load(&self, stored: &[StoredTx]) {
        for tx in stored {
            self.note(tx.intent.id, tx.intent.mined.as_ref(), &tx.attempts);
        }
    }

    /// Takes in what has become durable: a block holds a transaction, or does no more.
    pub(crate) fn see(&self, machine: &Machine, record: &Record) {
        let Record::Move { intent, .. } = record else { return };
        if let Some(tx) = machine.txs.get(&intent.id) {
            self.note(intent.id, intent.mined.as_ref(), &tx.stored.attempts);
        }
    }

    fn note(&self, id: IntentId, mined: Option<&MinedTx>, attempts: &[AttemptRecord]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mined {
            Some(mined) => all.insert(id, Paid { at: mined.block_timestamp.into(), wei: paid(mined, attempts) }),
            None => all.remove(&id),
        };
    }

    /// The cost of all that landed within the hour before `now`, in wei.
    pub(crate) fn within_hour(&self, now: UnixTime) -> U256 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, paid| now.since(paid.at) < CAP_SPAN);
        all.values().fold(U256::ZERO, |sum, paid| sum.saturating_add(paid.wei))
    }
}

/// What a transaction has cost in its block besides its value, in wei. Blob gas counts as it was bid where the receipt does
/// not tell its price.
fn paid(mined: &MinedTx, attempts: &[AttemptRecord]) -> U256 {
    let landed = attempts.iter().find(|attempt| attempt.hash == mined.tx_hash);
    let bid = || landed.and_then(|attempt| attempt.fees.max_fee_per_blob_gas);
    let blob_price = mined.blob_gas_price.or_else(bid).unwrap_or_default();
    let gas = U256::from(mined.gas_used) * U256::from(mined.effective_gas_price);
    gas + U256::from(mined.blob_gas_used.unwrap_or_default()) * U256::from(blob_price)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy::primitives::{B256, Bytes};
    use fermata_primitives::L1Timestamp;

    use super::*;
    use crate::Fees;
    use crate::records::AttemptKind;

    const HASH: B256 = B256::repeat_byte(1);

    fn landed(at: u64) -> MinedTx {
        MinedTx {
            tx_hash: HASH,
            block_number: 1,
            block_hash: B256::ZERO,
            block_timestamp: L1Timestamp(at),
            gas_used: 10,
            effective_gas_price: 3,
            blob_gas_used: Some(100),
            blob_gas_price: None,
            reverted: true,
            succeeded: false,
            revert_data: None,
            entries: Vec::new(),
        }
    }

    fn attempt(hash: B256, blob_bid: u128) -> AttemptRecord {
        let fees = Fees { max_fee_per_gas: 9, tip: 1, max_fee_per_blob_gas: Some(blob_bid) };
        AttemptRecord { kind: AttemptKind::Initial, fees, hash, signed: Bytes::new() }
    }

    #[test]
    fn what_landed_within_the_hour_counts_by_the_attempt_that_landed_and_what_was_removed_does_not() {
        let spending = Spending::default();
        let attempts = [attempt(HASH, 2), attempt(B256::repeat_byte(2), 50)];
        spending.note(1, Some(&landed(1_000)), &attempts);
        spending.note(2, Some(&landed(1_600)), &attempts);
        // The same again, in another block.
        spending.note(2, Some(&landed(1_612)), &attempts);
        let at = |secs: u64| UnixTime::default() + Duration::from_secs(secs);
        let each = U256::from(10 * 3 + 100 * 2);
        assert_eq!(spending.within_hour(at(2_000)), each + each);
        assert_eq!(spending.within_hour(at(1_000 + 3_600)), each);
        spending.note(2, None, &attempts);
        assert_eq!(spending.within_hour(at(1_700)), U256::ZERO);
    }
}
