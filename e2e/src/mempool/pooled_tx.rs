//! A transaction, as far as a pool looks at it.

use std::borrow::Cow;

use alloy::consensus::transaction::SignerRecoverable as _;
use alloy::consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844};
use alloy::eips::eip2718::{Decodable2718 as _, EIP4844_TX_TYPE_ID};
use alloy::eips::eip4844::DATA_GAS_PER_BLOB;
use alloy::primitives::{Address, B256, U256};
use alloy::rlp::Header;

/// The form of a sidecar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SidecarVersion {
    /// A proof for each blob, until Osaka.
    V0,
    /// Proofs of cells, from Osaka on.
    V1,
}

impl SidecarVersion {
    /// As it is written into the transaction.
    #[must_use]
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }
}

/// The blobs of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Blobs {
    /// How many there are.
    pub count: usize,
    /// The form of their sidecar.
    pub sidecar: SidecarVersion,
    /// Most for each blob gas, in wei.
    pub fee_cap: u128,
}

/// A transaction, as far as a pool looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PooledTx {
    /// Its hash.
    pub hash: B256,
    /// Who signed it.
    pub account: Address,
    /// Its nonce.
    pub nonce: u64,
    /// Its gas limit.
    pub gas_limit: u64,
    /// Most for each gas, in wei, tip included.
    pub fee_cap: u128,
    /// Tip for each gas, in wei.
    pub tip: u128,
    /// What it transfers, in wei.
    pub value: U256,
    /// Bytes of it, sidecar included.
    pub size: usize,
    /// Bytes of its calldata.
    pub calldata: usize,
    /// Its blobs, where it may have some.
    pub blobs: Option<Blobs>,
}

impl PooledTx {
    /// Reads a transaction as it is broadcast; `None` for what is none.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (canonical, sidecar) = without_sidecar(bytes)?;
        let tx = EthereumTxEnvelope::<TxEip4844>::decode_2718_exact(&canonical).ok()?;
        let blobs = sidecar.map(|sidecar| Blobs {
            count: tx.blob_versioned_hashes().unwrap_or_default().len(),
            sidecar,
            fee_cap: tx.max_fee_per_blob_gas().unwrap_or_default(),
        });
        Some(Self {
            hash: *tx.tx_hash(),
            account: tx.recover_signer().ok()?,
            nonce: tx.nonce(),
            gas_limit: tx.gas_limit(),
            fee_cap: tx.max_fee_per_gas(),
            tip: tx.max_priority_fee_per_gas().unwrap_or(tx.max_fee_per_gas()),
            value: tx.value(),
            size: bytes.len(),
            calldata: tx.input().len(),
            blobs,
        })
    }

    /// What its gas costs at most, in wei.
    #[must_use]
    pub(crate) fn gas_cost(&self) -> U256 {
        U256::from(self.gas_limit).saturating_mul(U256::from(self.fee_cap))
    }

    /// What its gas and its blobs cost at most, in wei.
    #[must_use]
    pub(crate) fn fee(&self) -> U256 {
        let blob_fee = |blobs: &Blobs| {
            U256::from(blobs.count as u64 * DATA_GAS_PER_BLOB).saturating_mul(U256::from(blobs.fee_cap))
        };
        self.gas_cost().saturating_add(self.blobs.as_ref().map(blob_fee).unwrap_or_default())
    }

    /// What it takes from its account at most, in wei.
    #[must_use]
    pub(crate) fn cost(&self) -> U256 {
        self.fee().saturating_add(self.value)
    }
}

/// The transaction as it is hashed, and the form of its sidecar where it has one. The blobs themselves are not looked at: that
/// would copy a megabyte, and more than once.
pub(crate) fn without_sidecar(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, Option<SidecarVersion>)> {
    let (kind, mut rest) = bytes.split_first()?;
    if *kind != EIP4844_TX_TYPE_ID {
        return Some((bytes.into(), None));
    }
    let whole = Header::decode(&mut rest).ok()?;
    if !whole.list || whole.payload_length != rest.len() {
        return None;
    }
    let mut after = rest;
    let body = Header::decode(&mut after).ok()?;
    let len = rest.len() - after.len() + body.payload_length;
    let (body_bytes, sidecar) = body.list.then(|| rest.split_at_checked(len)).flatten()?;
    // Version 0 has no number: its blobs come first.
    let version = match sidecar.first()? {
        1 => SidecarVersion::V1,
        0xc0.. => SidecarVersion::V0,
        _ => return None,
    };
    Some(([&[EIP4844_TX_TYPE_ID], body_bytes].concat().into(), Some(version)))
}
