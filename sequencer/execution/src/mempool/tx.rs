//! A transaction as the pool holds it.

use std::ops::Deref;

use alloy::consensus::Transaction;
use alloy::primitives::{B256, U256};

use crate::RecoveredTx;

/// A recovered transaction with what the pool orders and counts by, computed once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PooledTx {
    tx: RecoveredTx,
    hash: B256,
    fee_cap: u128,
    priority_fee: u128,
    cost: U256,
}

impl PooledTx {
    /// Makes a transaction ready for the pool. It checks nothing; [`super::validate`] does.
    #[must_use]
    pub fn new(tx: RecoveredTx) -> Self {
        let envelope = tx.envelope();
        let fee_cap = envelope.max_fee_per_gas();
        // A legacy transaction's gas price is both its cap and, above the base fee, its priority fee.
        let priority_fee = envelope.max_priority_fee_per_gas().unwrap_or(fee_cap);
        let gas_cost = U256::from(envelope.gas_limit()) * U256::from(fee_cap);
        let cost = gas_cost.saturating_add(envelope.value());
        Self { hash: tx.hash(), fee_cap, priority_fee, cost, tx }
    }

    /// Keccak-256 of the raw bytes.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Most wei per gas it pays in all.
    #[must_use]
    pub const fn fee_cap(&self) -> u128 {
        self.fee_cap
    }

    /// Most wei per gas it pays to the beneficiary.
    #[must_use]
    pub const fn priority_fee(&self) -> u128 {
        self.priority_fee
    }

    /// Most wei it can cost its sender: gas limit times fee cap, and the value.
    #[must_use]
    pub const fn cost(&self) -> U256 {
        self.cost
    }

    /// Wei per gas the beneficiary gets at this base fee; `None` where the fee cap is below it.
    #[must_use]
    pub fn tip_at(&self, base_fee: u64) -> Option<u128> {
        self.fee_cap.checked_sub(u128::from(base_fee)).map(|left| left.min(self.priority_fee))
    }

    /// The recovered transaction.
    #[must_use]
    pub fn into_recovered(self) -> RecoveredTx {
        self.tx
    }
}

impl Deref for PooledTx {
    type Target = RecoveredTx;

    fn deref(&self) -> &RecoveredTx {
        &self.tx
    }
}

impl From<RecoveredTx> for PooledTx {
    fn from(tx: RecoveredTx) -> Self {
        Self::new(tx)
    }
}
