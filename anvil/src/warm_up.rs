//! Anvil's first blob transaction and first blob proof, made before anybody waits for one.
//!
//! Anvil loads a trusted setup when it meets the first blob, and its EVM one when a contract has the first proof checked;
//! each takes seconds of a core. A dev chain meets both at once, while the rollup is still being deployed: the blob comes
//! from an account that nobody else uses.

use alloy::consensus::{SignableTransaction, TxEip4844, TxEip4844Variant, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::eips::eip4844::{self, Blob, Bytes48};
use alloy::eips::eip7594::{BlobTransactionSidecarEip7594, CELLS_PER_EXT_BLOB};
use alloy::network::TxSignerSync;
use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;

/// Sends a transfer of nothing with a blob of zeros. What comes of it does not matter: only the first blob is slow.
pub(crate) async fn meet_a_blob(anvil: DynProvider, from: PrivateKeySigner, chain_id: u64) {
    let raw = blob_transaction(&from, chain_id);
    if let Err(error) = anvil.send_raw_transaction(&raw).await {
        tracing::debug!(%error, "the first blob was refused");
    }
    if let Err(error) = anvil.call(proof_of_zeros()).await {
        tracing::debug!(%error, "the first proof was refused");
    }
}

/// Has the point evaluation precompile (EIP-4844) check that a blob of zeros is zero at zero.
fn proof_of_zeros() -> TransactionRequest {
    let hash = eip4844::kzg_to_versioned_hash(INFINITY.as_slice());
    let input = [hash.as_slice(), &[0; 64], INFINITY.as_slice(), INFINITY.as_slice()].concat();
    TransactionRequest::default().to(Address::with_last_byte(0x0a)).input(Bytes::from(input).into())
}

/// The point at infinity, compressed: commitment and proof of a blob of zeros.
const INFINITY: Bytes48 = {
    let mut point = [0; 48];
    point[0] = 0xc0;
    Bytes48::new(point)
};

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
        input: Bytes::new(),
    };
    let signature = from.sign_transaction_sync(&mut tx).expect("a key in memory signs");
    let with_sidecar = TxEip4844Variant::TxEip4844WithSidecar(alloy::consensus::TxEip4844WithSidecar { tx, sidecar });
    TxEnvelope::from(with_sidecar.into_signed(signature)).encoded_2718()
}

/// A blob of zeros: nothing has to be computed for it.
fn blob_of_zeros() -> BlobTransactionSidecarEip7594 {
    BlobTransactionSidecarEip7594::new(vec![Blob::ZERO], vec![INFINITY], vec![INFINITY; CELLS_PER_EXT_BLOB])
}
