//! What was sent with value, and what sending costs.

use alloy::primitives::{Address, U256};
use fermata_primitives::UnixTime;

use super::{Store, numbered};
use crate::Error;
use crate::funding::CAP_SPAN;
use crate::records::{AccountRecord, AttemptRecord, IntentRecord};

/// What an account has sent along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outlay {
    /// One of its transactions may be live.
    pub(crate) is_in_flight: bool,
    /// The nonce that comes next: L1 counts fewer transactions while a block of one was removed, or a node lags behind.
    pub(crate) next_nonce: u64,
    /// In wei, within the hour: what took effect, and what may.
    pub(crate) within_hour: U256,
}

/// True while the value that was sent along counts for a cap: such a record outlives the others.
pub(super) fn counts_at(intent: &IntentRecord, now: UnixTime) -> bool {
    !intent.value.is_zero() && now.since(intent.recorded_at) < CAP_SPAN
}

impl Store {
    /// What `account` has sent along up to `now`.
    pub(crate) fn outlay(&self, account: Address, now: UnixTime) -> Result<Outlay, Error> {
        let txn = self.read()?;
        let all = self.intents(&txn)?;
        let record: AccountRecord = self.get(&txn, self.db.accounts, account.as_slice())?.unwrap_or_default();
        let mine = all.iter().filter(|intent| intent.account == account);
        let counted = mine.clone().filter(|intent| counts_at(intent, now) && !intent.state.had_no_effect());
        Ok(Outlay {
            next_nonce: record.next_nonce,
            is_in_flight: mine.clone().any(|intent| !intent.state.is_settled()),
            within_hour: counted.fold(U256::ZERO, |sum, intent| sum.saturating_add(intent.value)),
        })
    }

    /// The most that one of the transactions of `account` which are kept has cost in its block, besides its value, in wei;
    /// `None` before one was in a block. Blob gas counts as it was bid.
    pub(crate) fn dearest(&self, account: Address) -> Result<Option<U256>, Error> {
        let txn = self.read()?;
        let mut dearest = None;
        for intent in self.intents(&txn)?.iter().filter(|intent| intent.account == account) {
            let Some(mined) = &intent.mined else { continue };
            let mut blob_fee = 0;
            for number in 0.. {
                let attempt = self.get::<AttemptRecord>(&txn, self.db.attempts, &numbered(intent.id, number))?;
                let Some(attempt) = attempt else { break };
                if attempt.hash == mined.tx_hash {
                    blob_fee = attempt.fees.max_fee_per_blob_gas.unwrap_or_default();
                }
            }
            dearest = dearest.max(Some(mined.fees_at(blob_fee)));
        }
        Ok(dearest)
    }
}
