//! What transactions have cost of late.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use alloy::primitives::U256;
use fermata_primitives::UnixTime;

use crate::Landed;
use crate::funding::CAP_SPAN;
use crate::machine::step::Record;
use crate::records::IntentId;

/// What the transactions that landed within the hour have cost, their value apart. It outlives a run; a new process begins
/// with what the journal tells.
#[derive(Debug, Default)]
pub(crate) struct Spending(Mutex<BTreeMap<IntentId, Landed>>);

impl Spending {
    /// Takes in what landed before this run.
    pub(crate) fn load(&self, landed: BTreeMap<IntentId, Landed>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(landed);
    }

    /// Takes in what has become durable: a block holds a transaction, or does no more.
    pub(crate) fn see(&self, record: &Record) {
        match record {
            Record::Move { intent, account: _ } => self.note(intent.id, intent.mined.as_ref().map(Landed::of)),
            Record::Lease(_) | Record::Attempt { .. } => {}
        }
    }

    fn note(&self, id: IntentId, landed: Option<Landed>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match landed {
            Some(landed) => all.insert(id, landed),
            None => all.remove(&id),
        };
    }

    /// The cost of all that landed within the hour before `now`, in wei.
    pub(crate) fn within_hour(&self, now: UnixTime) -> U256 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, landed| now.since(landed.at.into()) < CAP_SPAN);
        all.values().fold(U256::ZERO, |sum, landed| sum.saturating_add(landed.fees_wei))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fermata_primitives::L1Timestamp;

    use super::*;

    #[test]
    fn what_landed_within_the_hour_counts_and_what_was_removed_does_not() {
        let (spending, each) = (Spending::default(), U256::from(230));
        let landed = |at| Landed { block: 1, at: L1Timestamp(at), fees_wei: each };
        spending.load([(1, landed(1_000))].into());
        spending.note(2, Some(landed(1_600)));
        // The same again, in another block.
        spending.note(2, Some(landed(1_612)));
        let at = |secs: u64| UnixTime::default() + Duration::from_secs(secs);
        assert_eq!(spending.within_hour(at(2_000)), each + each);
        assert_eq!(spending.within_hour(at(1_000 + 3_600)), each);
        spending.note(2, None);
        assert_eq!(spending.within_hour(at(1_700)), U256::ZERO);
    }
}
