//! How much may be spent.

use alloy::primitives::U256;

use crate::machine::tx::Tx;
use crate::machine::{Machine, Rules};
use crate::records::IntentId;
use crate::{CeilingExceeded, FeeField};

impl Machine {
    /// Whether a bid that costs `cost` wei at most may be made, in place of those of `replaced`. What is in flight counts
    /// as dear as it can get.
    pub(super) fn within_spending(
        &self,
        cost: U256,
        replaced: Option<IntentId>,
        rules: &Rules<'_>,
    ) -> Result<(), CeilingExceeded> {
        let is_beside = |tx: &&Tx| !tx.state().is_settled() && Some(tx.stored.intent.id) != replaced;
        let beside = self.txs.values().filter(is_beside).fold(U256::ZERO, |sum, tx| sum + tx.most_fees());
        within(FeeField::Transaction, cost, rules.fees.transaction_ceiling)?;
        within(FeeField::Hour, rules.spent_within_hour.saturating_add(beside + cost), rules.fees.hourly_ceiling)
    }
}

fn within(field: FeeField, needed: U256, ceiling: Option<U256>) -> Result<(), CeilingExceeded> {
    match ceiling {
        Some(ceiling) if needed > ceiling => {
            Err(CeilingExceeded { field, needed: needed.saturating_to(), ceiling: ceiling.saturating_to() })
        }
        Some(_) | None => Ok(()),
    }
}
