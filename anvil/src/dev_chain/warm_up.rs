//! Anvil's first blob transaction, made before anybody waits for one.
//!
//! Anvil loads the trusted setup of the blob proofs when it meets the first blob, and that takes seconds of a core. A dev
//! chain meets its first blob at once, from an account that nobody else uses, while the rollup is still being deployed.

use alloy::consensus::{SignableTransaction, TxEip4844, TxEip4844Variant, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::eips::eip4844::{Blob, Bytes48};
use alloy::eips::eip7594::{BlobTransactionSidecarEip7594, CELLS_PER_EXT_BLOB};
use alloy::network::TxSignerSync;
use alloy::primitives::U256;
use alloy::providers::{DynProvider, Provider};
use alloy::signers::local::PrivateKeySigner;

/// Sends a transfer of nothing with a blob of zeros. What comes of it does not matter: only the first blob is slow.
pub(super) async fn meet_a_blob(anvil: DynProvider, from: PrivateKeySigner, chain_id: u64) {
    let raw = blob_transaction(&from, chain_id);
    if let Err(error) = anvil.send_raw_transaction(&raw).await {
        tracing::debug!(%error, "the first blob was refused");
    }
}

fn blob_transaction(from: &PrivateKeySigner, chain_id: u64) -> Vec<u8> {
    let sidecar = blob_of_zeros();
    let mut tx = TxEip4844 {
        chain_id,
        nonce: 0,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: from.address(),
        value: U256::ZERO,
        access_list: alloy::eips::eip2930::AccessList::default(),
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        max_fee_per_blob_gas: 1_000_000_000,
        input: alloy::primitives::Bytes::new(),
    };
    let signature = from.sign_transaction_sync(&mut tx).expect("a key in memory signs");
    let with_sidecar = TxEip4844Variant::TxEip4844WithSidecar(alloy::consensus::TxEip4844WithSidecar { tx, sidecar });
    TxEnvelope::from(with_sidecar.into_signed(signature)).encoded_2718()
}

/// A blob of zeros: its commitment and proofs are the point at infinity, and nothing has to be computed.
fn blob_of_zeros() -> BlobTransactionSidecarEip7594 {
    let mut infinity = Bytes48::ZERO;
    infinity.0[0] = 0xc0;
    BlobTransactionSidecarEip7594::new(vec![Blob::ZERO], vec![infinity], vec![infinity; CELLS_PER_EXT_BLOB])
}
