//! The L1 rollup's encodings: headers, digests, packing, committee sampling, blobs, contract bindings.
//!
//! Everything here is arithmetic over values: what a checkpoint's bytes are, what a committee signs, whom the contract
//! will ask for. No runtime, no network. The L1 rollup contract is the referee, and each encoding is what it computes:
//!
//! ```text
//! blocks -> CheckpointPayload -> blobs -> BlobCommitments -> CheckpointHeader::blobs_hash
//! CheckpointHeader::hash + archive -> payload_digest -> signatures -> CommitteeAttestations -> Propose -> calldata
//! calldata of L1 -> Propose, blobs of L1 -> CheckpointPayload -> blocks
//! ```

mod addresses;
mod attestation;
mod blobs;
mod chain_config;
mod committee;
/// Bindings of the L1 contracts.
pub mod contracts;
mod error;
mod header;
mod payload;
mod propose;
mod signature;

pub use addresses::{ADDRESSES_VERSION, L1Addresses};
pub use attestation::{
    CommitteeAttestations, MemberAttestation, attestations_and_signers_digest, payload_digest, signing_hash,
};
pub use blobs::{BlobCommitments, MAX_BLOBS_PER_CHECKPOINT, blobs_for, capacity_of, pack_blobs, unpack_blobs};
pub use chain_config::RollupConstants;
pub use committee::{Committee, proposer_index, quorum, sample_indices};
pub use error::{AddressesFault, DamagedAttestations, Result, RollupError};
pub use header::{CheckpointHeader, GasFees};
pub use payload::{
    BLOCK_OVERHEAD, CheckpointPayload, MAX_PAYLOAD_BYTES, PayloadBlock, PayloadEncoder, TRANSACTION_OVERHEAD,
};
pub use propose::{Propose, decode_propose, decode_proposes};
pub use signature::L1Signature;

use alloy::primitives::B256;
use sha2::{Digest, Sha256};

/// SHA-256 with the first byte zeroed, so that it fits the proof system's field: the contract's `sha256ToField`.
fn sha256_to_field(bytes: &[u8]) -> B256 {
    let mut hash = B256::from_slice(&Sha256::digest(bytes));
    hash[0] = 0;
    hash
}
