//! What a caller asks for, and how it ends.

use alloy::eips::eip4844::Blob;
use alloy::primitives::{Address, B256, Bytes, U256};
use fermata_primitives::L1Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CeilingExceeded, PreparedBlobs, RefusalClass};

/// Most blobs one transaction may carry (EIP-7594).
pub const MAX_BLOBS: usize = 6;

/// One L1 transaction to be.
#[derive(Clone, Debug)]
pub struct L1Request {
    /// What it is, for logs and status: "propose slot 12".
    pub label: String,
    /// Names its effect: while a request with the same key may be live, or once one has landed, another is refused.
    pub dedup_key: Option<String>,
    /// The contract it calls.
    pub to: Address,
    /// The call.
    pub calldata: Bytes,
    /// Wei sent along.
    pub value: U256,
    /// Blobs it carries; none makes it an EIP-1559 transaction.
    pub blobs: RequestBlobs,
    /// Its gas limit; estimated by the node when left out.
    pub gas_limit: Option<u64>,
    /// The earliest L1 block timestamp it may land in.
    pub not_before: L1Timestamp,
    /// It must land in an L1 block with a timestamp below this.
    pub deadline: L1Timestamp,
    /// How the receipt tells whether it did what it was meant to do.
    pub success: SuccessRule,
}

/// Blobs, with or without their proofs. A proof costs about 0.2 s of one core a blob, so prepare them ahead.
#[derive(Clone, Debug, Default)]
pub enum RequestBlobs {
    /// No blobs.
    #[default]
    None,
    /// Blobs whose commitments and proofs are made before the send.
    Raw(Vec<Blob>),
    /// Blobs whose commitments and proofs are made.
    Prepared(PreparedBlobs),
}

impl RequestBlobs {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Raw(blobs) => blobs.len(),
            Self::Prepared(blobs) => blobs.len(),
        }
    }

    /// True without blobs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a receipt tells success.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SuccessRule {
    /// The transaction did not revert.
    Status,
    /// It did not revert, and this event is among its logs.
    Event {
        /// The contract that emits it.
        address: Address,
        /// The event's signature hash.
        topic0: B256,
    },
}

/// Why a request cannot be one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRequest {
    /// No L1 block can lie in its window.
    #[error("its window is empty: not before {not_before}, but before {deadline}; give a deadline after not_before")]
    EmptyWindow {
        /// The earliest timestamp.
        not_before: L1Timestamp,
        /// The first timestamp that is too late.
        deadline: L1Timestamp,
    },
    /// More blobs than a transaction can carry.
    #[error("it carries {0} blobs; a transaction takes at most {MAX_BLOBS}")]
    TooManyBlobs(usize),
    /// A blob is no sequence of field elements, or its proofs cannot be made.
    #[error("blob proofs cannot be made: {0}; every 32-byte word of a blob must be below the BLS modulus")]
    Blob(String),
}

impl L1Request {
    /// Checks what can be checked without L1.
    ///
    /// # Errors
    /// [`InvalidRequest`] names what is wrong.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if self.not_before >= self.deadline {
            return Err(InvalidRequest::EmptyWindow { not_before: self.not_before, deadline: self.deadline });
        }
        if self.blobs.len() > MAX_BLOBS {
            return Err(InvalidRequest::TooManyBlobs(self.blobs.len()));
        }
        Ok(())
    }
}

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
    /// True when it did not revert and its [`SuccessRule`] holds.
    pub succeeded: bool,
    /// What it reverted with, where a replay on its block told.
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
    /// Until its deadline, L1 asked for more than the configured ceiling.
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

    fn request() -> L1Request {
        L1Request {
            label: "test".into(),
            dedup_key: None,
            to: Address::ZERO,
            calldata: Bytes::new(),
            value: U256::ZERO,
            blobs: RequestBlobs::None,
            gas_limit: None,
            not_before: L1Timestamp(10),
            deadline: L1Timestamp(20),
            success: SuccessRule::Status,
        }
    }

    #[test]
    fn a_window_without_a_second_is_refused() {
        let empty = L1Request { deadline: L1Timestamp(10), ..request() };
        assert!(matches!(empty.validate(), Err(InvalidRequest::EmptyWindow { .. })));
        assert_eq!(request().validate(), Ok(()));
    }

    #[test]
    fn a_seventh_blob_is_refused() {
        let too_many = L1Request { blobs: RequestBlobs::Raw(vec![Blob::ZERO; 7]), ..request() };
        assert_eq!(too_many.validate(), Err(InvalidRequest::TooManyBlobs(7)));
    }

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
