//! The `submitEpochRootProof` call: what an epoch's proof claims, and what is sent to have it accepted.
//!
//! The contract knows most of what a proof is about: the checkpoints' header hashes, the hash of their blobs' commitments,
//! its own version and keys. The rest is an [`EpochClaim`], which it checks against what it has (both archives, the out
//! hash) or only hands to its verifier (the prover's id, the fees). Beside it come:
//!
//! - the packed attestations of the claim's last checkpoint, as they were proposed: L1 stored their hash, and verifies the
//!   signatures now;
//! - the [`BlobOpening`], of which L1 checks that it *is* an opening, with the point evaluation precompile. That the
//!   commitment is that of the epoch's blobs, and the point the one that the circuits chose, only the verifier checks;
//! - the proof.
//!
//! The claim is computed here. Opening and proof come from a prover, since the point that is opened and the weights by
//! which the blobs are added up are the circuits' own.

use alloy::eips::eip4844::{Bytes48, kzg_to_versioned_hash};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use fermata_primitives::CheckpointNumber;
use serde::{Deserialize, Serialize};

use crate::contracts::{self, IRollup};
use crate::error::{Result, RollupError};

/// Checkpoints one proof can be about.
pub const MAX_CHECKPOINTS_PER_EPOCH: usize = 32;

/// Bytes of a [`BlobOpening`] as the contract takes it.
pub const BLOB_OPENING_BYTES: usize = 192;

/// What a checkpoint's sequencer gets from L1 with the proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointFee {
    /// Who gets it: the header's coinbase.
    pub recipient: Address,
    /// In the fee asset's smallest unit; the contract pays it out of the fee portal, and burns what congestion cost.
    pub value: U256,
}

/// What a proof says of the checkpoints of one epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochClaim {
    /// The first checkpoint of the epoch. How many there are follows from the fees.
    pub start: CheckpointNumber,
    /// Archive of the checkpoint before.
    pub previous_archive: B256,
    /// Archive of the last one.
    pub end_archive: B256,
    /// Out hash of the last one.
    pub out_hash: B256,
    /// Who gets the prover's reward.
    pub prover_id: Address,
    /// What each checkpoint's sequencer gets, in their order.
    pub fees: Vec<CheckpointFee>,
}

impl EpochClaim {
    /// The last checkpoint.
    ///
    /// # Errors
    /// [`RollupError::UnprovableEpoch`] where there is none, or more than a proof can be about.
    pub const fn end(&self) -> Result<CheckpointNumber> {
        let (checkpoints, most) = (self.fees.len(), MAX_CHECKPOINTS_PER_EPOCH);
        if checkpoints == 0 || checkpoints > most {
            return Err(RollupError::UnprovableEpoch { checkpoints, most });
        }
        Ok(CheckpointNumber(self.start.0 + checkpoints as u64 - 1))
    }

    /// The part of the public inputs that the contract does not know itself.
    #[must_use]
    pub const fn public_inputs(&self) -> contracts::PublicInputArgs {
        contracts::PublicInputArgs {
            previousArchive: self.previous_archive,
            endArchive: self.end_archive,
            outHash: self.out_hash,
            proverId: self.prover_id,
        }
    }

    /// The fees as the contract takes them: recipient and value by turns, zeros for the checkpoints that are not there.
    #[must_use]
    pub fn fee_words(&self) -> Vec<B256> {
        let of = |fee: &CheckpointFee| [fee.recipient.into_word(), fee.value.into()];
        let mut words: Vec<B256> = self.fees.iter().flat_map(of).collect();
        words.resize(words.len().max(2 * MAX_CHECKPOINTS_PER_EPOCH), B256::ZERO);
        words
    }
}

/// All blobs of an epoch, added up with weights, opened at one point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobOpening {
    /// The point.
    pub z: B256,
    /// The value there.
    pub y: B256,
    /// KZG commitment to the sum.
    pub commitment: Bytes48,
    /// KZG proof of the value.
    pub proof: Bytes48,
}

impl BlobOpening {
    /// The opening of the zero polynomial at zero. It is valid, and says nothing about any blob.
    #[must_use]
    pub fn of_nothing() -> Self {
        let mut infinity = Bytes48::ZERO;
        infinity[0] = 0xc0;
        Self { z: B256::ZERO, y: B256::ZERO, commitment: infinity, proof: infinity }
    }

    /// As the contract hands it to the precompile: versioned hash, point, value, commitment, proof.
    #[must_use]
    pub fn to_input(&self) -> Bytes {
        let hash = kzg_to_versioned_hash(self.commitment.as_slice());
        let parts: [&[u8]; 5] =
            [hash.as_slice(), self.z.as_slice(), self.y.as_slice(), self.commitment.as_slice(), self.proof.as_slice()];
        parts.concat().into()
    }

    /// Reads what [`BlobOpening::to_input`] writes. The versioned hash follows from the commitment and is not looked at.
    ///
    /// # Errors
    /// [`RollupError::BlobOpening`] where it has another length.
    pub fn from_input(input: &[u8]) -> Result<Self> {
        if input.len() != BLOB_OPENING_BYTES {
            return Err(RollupError::BlobOpening { expected: BLOB_OPENING_BYTES, found: input.len() });
        }
        Ok(Self {
            z: B256::from_slice(&input[32..64]),
            y: B256::from_slice(&input[64..96]),
            commitment: Bytes48::from_slice(&input[96..144]),
            proof: Bytes48::from_slice(&input[144..]),
        })
    }
}

/// What a prover makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochProof {
    /// The opening of the epoch's blobs.
    pub opening: BlobOpening,
    /// The proof itself.
    pub proof: Bytes,
}

/// An epoch's proof with all that L1 wants to see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochProofSubmission {
    /// What is claimed.
    pub claim: EpochClaim,
    /// Attestations of the last checkpoint, as they were proposed.
    pub attestations: contracts::CommitteeAttestations,
    /// The proof.
    pub proof: EpochProof,
}

impl EpochProofSubmission {
    /// The call as data for the rollup contract.
    ///
    /// # Errors
    /// As [`EpochClaim::end`].
    pub fn calldata(&self) -> Result<Bytes> {
        let call = IRollup::submitEpochRootProofCall {
            _args: contracts::SubmitEpochRootProofArgs {
                start: U256::from(self.claim.start.0),
                end: U256::from(self.claim.end()?.0),
                args: self.claim.public_inputs(),
                fees: self.claim.fee_words(),
                attestations: self.attestations.clone(),
                blobInputs: self.proof.opening.to_input(),
                proof: self.proof.proof.clone(),
            },
        };
        Ok(call.abi_encode().into())
    }
}

#[cfg(test)]
mod tests {
    use alloy::eips::eip4844::c_kzg::{Bytes32 as CkzgBytes32, ethereum_kzg_settings};

    use super::*;
    use crate::pack_blobs;

    fn claim(checkpoints: usize) -> EpochClaim {
        let fee = |n: usize| CheckpointFee { recipient: Address::repeat_byte(n as u8 + 1), value: U256::from(n) };
        EpochClaim {
            start: CheckpointNumber(5),
            previous_archive: B256::repeat_byte(4),
            end_archive: B256::repeat_byte(7),
            out_hash: B256::ZERO,
            prover_id: Address::repeat_byte(0xee),
            fees: (0..checkpoints).map(fee).collect(),
        }
    }

    fn is_valid(opening: &BlobOpening) -> bool {
        let bytes = |word: B256| CkzgBytes32::new(word.0);
        let (commitment, proof) = (opening.commitment.0.into(), opening.proof.0.into());
        let verified =
            ethereum_kzg_settings(0).verify_kzg_proof(&commitment, &bytes(opening.z), &bytes(opening.y), &proof);
        verified.expect("points of the curve")
    }

    #[test]
    fn a_claim_ends_with_its_last_fee_and_is_none_without_one_or_with_too_many() {
        assert_eq!(claim(3).end().expect("three"), CheckpointNumber(7));
        assert_eq!(claim(MAX_CHECKPOINTS_PER_EPOCH).end().expect("as many as there may be"), CheckpointNumber(36));
        for checkpoints in [0, MAX_CHECKPOINTS_PER_EPOCH + 1] {
            assert!(matches!(claim(checkpoints).end(), Err(RollupError::UnprovableEpoch { .. })), "{checkpoints}");
        }
    }

    #[test]
    fn the_fees_are_recipient_and_value_by_turns_and_zeros_to_the_end() {
        let words = claim(2).fee_words();
        assert_eq!(words.len(), 2 * MAX_CHECKPOINTS_PER_EPOCH);
        assert_eq!(words[..2], [Address::repeat_byte(1).into_word(), B256::ZERO]);
        assert_eq!(words[2..4], [Address::repeat_byte(2).into_word(), B256::with_last_byte(1)]);
        assert!(words[4..].iter().all(B256::is_zero));
    }

    #[test]
    fn the_opening_of_nothing_is_valid_and_another_value_is_not() {
        let nothing = BlobOpening::of_nothing();
        assert!(is_valid(&nothing));
        assert!(!is_valid(&BlobOpening { y: B256::with_last_byte(1), ..nothing }));
    }

    #[test]
    fn an_opening_of_a_real_blob_reads_back_valid_and_one_of_another_length_is_refused() {
        let blob = &pack_blobs(b"blocks").expect("fits")[0];
        let (settings, z) = (ethereum_kzg_settings(0), B256::with_last_byte(7));
        let blob = alloy::eips::eip4844::AsCkzg::as_ckzg(blob);
        let commitment = settings.blob_to_kzg_commitment(blob).expect("in range");
        let (proof, y) = settings.compute_kzg_proof(blob, &CkzgBytes32::new(z.0)).expect("in range");
        let opening = BlobOpening {
            z,
            y: B256::from_slice(y.as_slice()),
            commitment: Bytes48::from_slice(commitment.to_bytes().as_slice()),
            proof: Bytes48::from_slice(proof.to_bytes().as_slice()),
        };
        assert!(is_valid(&opening));
        let input = opening.to_input();
        assert_eq!(BlobOpening::from_input(&input).expect("own encoding"), opening);
        for other in [&input[1..], &[]] {
            assert!(matches!(BlobOpening::from_input(other), Err(RollupError::BlobOpening { expected: 192, .. })));
        }
    }
}
