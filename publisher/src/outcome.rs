//! How a request ended.

use alloy::primitives::{Address, B256, Bytes, U256};
use fermata_primitives::L1Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CeilingExceeded, InvalidRequest, RefusalClass};

/// How a request ended. [`Outcome::next_step`] says what the caller does about it.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// It is in an L1 block. Look at [`MinedTx::succeeded`]: a transaction that reverted is mined too.
    Mined(MinedTx),
    /// Its deadline passed and it was not mined. If it had been sent, its nonce is being taken back by a cancel, and
    /// until that has landed it may still land itself: the contract must refuse what is stale.
    Expired,
    /// The caller or a stop interrupted it. What was sent stays in flight, unjudged; the next start reconciles it.
    Interrupted {
        /// The transaction that may be live. With `None`, nothing was sent and nothing ever will be.
        sent: Option<B256>,
    },
    /// It was not sent, or cannot land any more.
    Rejected {
        /// Why.
        reason: RejectReason,
    },
}

/// What the caller of a send does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextStep {
    /// It took effect: go on.
    Continue,
    /// It had no effect, and its window is gone: make a new request for a later window.
    DropSlot,
    /// It may have taken effect: read L1 before asking again.
    ReadL1,
    /// The same request would end the same way: correct the request or the configuration.
    Correct,
}

impl Outcome {
    /// What the caller does next.
    #[must_use]
    pub const fn next_step(&self) -> NextStep {
        match self {
            Self::Mined(tx) if tx.succeeded => NextStep::Continue,
            Self::Mined(_) => NextStep::DropSlot,
            Self::Expired | Self::Interrupted { sent: Some(_) } => NextStep::ReadL1,
            Self::Interrupted { sent: None } => NextStep::DropSlot,
            Self::Rejected { reason } => reason.next_step(),
        }
    }
}

/// A transaction in an L1 block: its receipt in short.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MinedTx {
    /// The transaction.
    pub tx_hash: B256,
    /// The L1 block's number.
    pub block_number: u64,
    /// The L1 block's hash: the block that was canonical when this was written.
    pub block_hash: B256,
    /// The L1 block's timestamp.
    pub block_timestamp: L1Timestamp,
    /// Gas used.
    pub gas_used: u64,
    /// Wei paid for each gas.
    pub effective_gas_price: u128,
    /// Blob gas used; none without blobs.
    pub blob_gas_used: Option<u64>,
    /// Wei paid for each blob gas, or bid where the receipt does not tell; none without blobs, and where an earlier version has
    /// recorded it.
    #[serde(default)]
    pub blob_gas_price: Option<u128>,
    /// True when it reverted.
    #[serde(default)]
    pub reverted: bool,
    /// True when it did not revert and its [`crate::SuccessRule`] holds.
    pub succeeded: bool,
    /// What it reverted with, where a replay on its block told.
    pub revert_data: Option<Bytes>,
    /// Of a bundle, what each entry did, in their order.
    #[serde(default)]
    pub entries: Vec<MinedEntry>,
}

impl MinedTx {
    /// What it has cost besides its value, in wei.
    #[must_use]
    pub fn fees_paid(&self) -> U256 {
        self.fees_at(self.blob_gas_price.unwrap_or_default())
    }

    /// The same, had each blob gas cost so much, in wei.
    pub(crate) fn fees_at(&self, blob_gas_price: u128) -> U256 {
        let blobs = U256::from(self.blob_gas_used.unwrap_or_default()) * U256::from(blob_gas_price);
        U256::from(self.gas_used) * U256::from(self.effective_gas_price) + blobs
    }
}

/// What an entry of a bundle did in its L1 block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MinedEntry {
    /// True when its rule holds.
    pub succeeded: bool,
    /// What its call reverted with, where a replay before its block told.
    pub revert_data: Option<Bytes>,
}

/// Why a request was rejected.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RejectReason {
    /// It cannot be a transaction.
    #[error("the request is invalid: {0}")]
    Invalid(#[from] InvalidRequest),
    /// A request with the same dedup key may be live, or has landed.
    #[error("a request with dedup key {dedup_key:?} is in flight or has landed; read L1 before asking again")]
    Duplicate {
        /// The key.
        dedup_key: String,
        /// The first transaction of the earlier request, once it has one.
        tx_hash: Option<B256>,
    },
    /// Until its deadline, it would have cost more than a configured ceiling allows.
    #[error(transparent)]
    FeeCeiling(#[from] CeilingExceeded),
    /// The node definitely refused it.
    #[error("the node refused it ({class:?}): {message}")]
    Refused {
        /// The kind of refusal.
        class: RefusalClass,
        /// The node's words.
        message: String,
    },
    /// The gas estimate reverted: so would the transaction.
    #[error("its gas estimate reverted with {data}; simulate it to see why")]
    EstimateReverted {
        /// What it reverted with; decoded by the caller, who knows the contract.
        data: Bytes,
    },
    /// Until its deadline, L1 answered nothing that would have allowed a send.
    #[error("L1 gave no usable answer until the deadline: {message}; check the L1 endpoint")]
    L1Unusable {
        /// The last failure.
        message: String,
    },
    /// A transaction unknown to this publisher took its nonce.
    #[error("nonce {nonce} of {account} was used by an unknown transaction; make sure that no one else holds the key")]
    Superseded {
        /// The account.
        account: Address,
        /// The nonce.
        nonce: u64,
    },
}

impl RejectReason {
    const fn next_step(&self) -> NextStep {
        match self {
            Self::Duplicate { .. } | Self::Superseded { .. } => NextStep::ReadL1,
            Self::Invalid(_) | Self::EstimateReverted { .. } => NextStep::Correct,
            Self::Refused { class, .. } if class.is_final() => NextStep::Correct,
            Self::Refused { .. } | Self::FeeCeiling(_) | Self::L1Unusable { .. } => NextStep::DropSlot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_taken_effect_sends_the_caller_to_l1_and_what_cannot_does_not() {
        let duplicate = RejectReason::Duplicate { dedup_key: "k".into(), tx_hash: None };
        let shape = RejectReason::Refused { class: RefusalClass::Shape, message: String::new() };
        let full = RejectReason::Refused { class: RefusalClass::PoolFull, message: String::new() };
        let steps = [
            (Outcome::Expired, NextStep::ReadL1),
            (Outcome::Interrupted { sent: Some(B256::ZERO) }, NextStep::ReadL1),
            (Outcome::Interrupted { sent: None }, NextStep::DropSlot),
            (Outcome::Rejected { reason: duplicate }, NextStep::ReadL1),
            (Outcome::Rejected { reason: shape }, NextStep::Correct),
            (Outcome::Rejected { reason: full }, NextStep::DropSlot),
        ];
        for (outcome, step) in steps {
            assert_eq!(outcome.next_step(), step, "{outcome:?}");
        }
    }
}
