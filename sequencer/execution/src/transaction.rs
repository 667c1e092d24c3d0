//! A raw transaction, decoded and with its sender recovered.

use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::Decodable2718;
use alloy::primitives::{Address, B256, Bytes};
use thiserror::Error;

use crate::sender_recovery::sender_of;

/// Why raw bytes are not a transaction of this chain, whatever its state.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TransactionError {
    /// Not EIP-2718: unknown type, broken RLP, or bytes left over.
    #[error("malformed transaction: {0}; send the raw signed EIP-2718 bytes, nothing before or after them")]
    Malformed(String),
    /// Type 3: there are no blobs on this chain.
    #[error("blob transactions are not accepted on this chain; send type 2 with the data as calldata")]
    Blob,
    /// The signature recovers to no key.
    #[error("invalid sender: the signature recovers to no key; sign the transaction again")]
    InvalidSignature,
}

/// A transaction with everything that can be known without state: decoded once, sender recovered once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecoveredTx {
    envelope: TxEnvelope,
    signer: Address,
    raw: Bytes,
}

impl RecoveredTx {
    /// Decodes raw EIP-2718 bytes and recovers the sender: the costly, stateless part of validation, meant to be done in
    /// parallel.
    ///
    /// # Errors
    /// [`TransactionError`]; nothing else is checked, neither chain id nor gas.
    pub fn decode(raw: Bytes) -> Result<Self, TransactionError> {
        let mut rest = raw.as_ref();
        let envelope =
            TxEnvelope::decode_2718(&mut rest).map_err(|cause| TransactionError::Malformed(cause.to_string()))?;
        if !rest.is_empty() {
            return Err(TransactionError::Malformed(format!("{} bytes follow it", rest.len())));
        }
        if envelope.is_eip4844() {
            return Err(TransactionError::Blob);
        }
        let signer = sender_of(&envelope).ok_or(TransactionError::InvalidSignature)?;
        Ok(Self { envelope, signer, raw })
    }

    /// Decodes bytes whose sender is on record, without the cost of recovering it.
    pub(crate) fn decode_known(raw: Bytes, signer: Address) -> Result<Self, TransactionError> {
        let envelope = TxEnvelope::decode_2718(&mut raw.as_ref())
            .map_err(|cause| TransactionError::Malformed(cause.to_string()))?;
        Ok(Self { envelope, signer, raw })
    }

    /// The decoded transaction.
    #[must_use]
    pub const fn envelope(&self) -> &TxEnvelope {
        &self.envelope
    }

    /// Who signed it.
    #[must_use]
    pub const fn signer(&self) -> Address {
        self.signer
    }

    /// The raw EIP-2718 bytes it came as.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Keccak-256 of the raw bytes.
    #[must_use]
    pub fn hash(&self) -> B256 {
        *self.envelope.tx_hash()
    }

    /// The sender's nonce it takes.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.envelope.nonce()
    }
}
