//! The L1 rollup's encodings: headers, digests, packing, committee sampling, blobs, contract bindings.
//!
//! Everything here is arithmetic over values: what a checkpoint's bytes are, what a committee signs, whom the contract
//! will ask for. No runtime, no network. The L1 rollup contract is the referee, and each encoding is what it computes:
//!
//! ```text
//! blocks -> CheckpointPayload -> blobs -> BlobCommitments -> CheckpointHeader::blobs_hash
//! CheckpointHeader::hash + archive -> payload_digest -> signatures -> CommitteeAttestations -> Propose -> calldata
//! offences -> SlashUnits of each seat -> SlashVote -> digest, calldata
//! calldata of L1 -> Propose, blobs of L1 -> CheckpointPayload -> blocks
//! EpochClaim + EpochProof + CommitteeAttestations of its last checkpoint -> EpochProofSubmission -> calldata
//! ```

mod addresses;
mod attestation;
mod blobs;
mod chain_config;
mod committee;
/// Bindings of the L1 contracts.
pub mod contracts;
mod epoch_proof;
mod error;
mod header;
mod payload;
mod propose;
mod signal;
mod signature;
mod slashing;

pub use addresses::{ADDRESSES_VERSION, L1Addresses};
pub use attestation::{
    CommitteeAttestations, MemberAttestation, attestations_and_signers_digest, payload_digest, signing_hash,
};
pub use blobs::{BlobCommitments, MAX_BLOBS_PER_CHECKPOINT, blobs_for, capacity_of, pack_blobs, unpack_blobs};
pub use chain_config::RollupConstants;
pub use committee::{Committee, proposer_index, quorum, sample_indices};
pub use epoch_proof::{
    BLOB_OPENING_BYTES, BlobOpening, CheckpointFee, EpochClaim, EpochProof, EpochProofSubmission,
    MAX_CHECKPOINTS_PER_EPOCH,
};
pub use error::{AddressesFault, DamagedAttestations, Result, RollupError};
pub use header::{CheckpointHeader, GasFees};
pub use payload::{
    BLOCK_OVERHEAD, CheckpointPayload, MAX_PAYLOAD_BYTES, PayloadBlock, PayloadEncoder, TRANSACTION_OVERHEAD,
};
pub use propose::{Propose, decode_propose, decode_proposes};
pub use signal::{GovernanceSignal, VerifyingContract};
pub use signature::L1Signature;
pub use slashing::{SlashRound, SlashUnits, SlashVote, SlashingRules};

use alloy::primitives::B256;
use sha2::{Digest, Sha256};

/// A zero byte and the first 31 bytes of SHA-256, so that it fits the proof system's field: the contract's
/// `sha256ToField`. It drops the hash's last byte, not its first.
fn sha256_to_field(bytes: &[u8]) -> B256 {
    let hash = Sha256::digest(bytes);
    let mut field = B256::ZERO;
    field[1..].copy_from_slice(&hash[..31]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_zero_byte_and_the_first_31_of_the_hash() {
        let empty = alloy::primitives::b256!("00e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8");
        assert_eq!(sha256_to_field(&[]), empty);
    }
}
