//! What a caller asks for.

use alloy::eips::eip4844::Blob;
use alloy::primitives::{Address, B256, Bytes, U256};
use fermata_primitives::L1Timestamp;
use serde::{Deserialize, Serialize};

use crate::PreparedBlobs;
use crate::window::Window;

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
    /// A bundle: it did not revert, and every entry shows success by its own rule, as [`crate::MinedTx::entries`] tells.
    Each(Vec<EntryRule>),
}

/// What is kept of an entry of a bundle, to judge it by the receipt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntryRule {
    /// What it is, for logs.
    pub label: String,
    /// Names its effect, as [`L1Request::dedup_key`] does; given free when the entry had none.
    pub dedup_key: Option<String>,
    /// Its rule: an event.
    pub success: SuccessRule,
}

impl SuccessRule {
    /// The rules of a bundle's entries; none for a single call.
    pub(crate) fn entries(&self) -> &[EntryRule] {
        match self {
            Self::Each(entries) => entries,
            Self::Status | Self::Event { .. } => &[],
        }
    }

    /// The dedup keys of a bundle's entries.
    pub(crate) fn entry_keys(&self) -> impl Iterator<Item = &String> {
        self.entries().iter().filter_map(|entry| entry.dedup_key.as_ref())
    }
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
    /// More blobs than the block has room for.
    #[error("it carries {blobs} blobs, and the block has room for {room}; carry fewer, or wait for another block")]
    NoRoomForBlobs {
        /// How many it carries.
        blobs: usize,
        /// How many there may be.
        room: usize,
    },
    /// A higher gas limit than the block has room for.
    #[error("its gas limit is {gas}, and the block has room for {room}; lower it, or wait for another block")]
    NoRoomForGas {
        /// Its gas limit.
        gas: u64,
        /// How much gas there may be.
        room: u64,
    },
    /// An entry of a bundle needs an event: its revert does not revert the transaction.
    #[error("the entry {0:?} of the bundle is not told by an event; give it the event that its success emits")]
    EntryWithoutEvent(String),
    /// The blobs of a transaction are numbered: two entries would mistake each other's for their own.
    #[error("more than one entry of the bundle carries blobs; send them in transactions of their own")]
    BlobsOfManyEntries,
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

    /// When it may land.
    pub(crate) const fn window(&self) -> Window {
        Window { not_before: self.not_before, deadline: self.deadline }
    }

    /// Its own dedup key, and those of its entries.
    pub(crate) fn dedup_keys(&self) -> impl Iterator<Item = &String> {
        self.dedup_key.iter().chain(self.success.entry_keys())
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
}
