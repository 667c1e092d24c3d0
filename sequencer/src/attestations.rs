//! The committee's part: checking a proposal, and attesting it.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use fermata_execution::{Block, Execution, Verdict};
use fermata_rollup::{Committee, CommitteeAttestations, attestations_and_signers_digest};
use fermata_validator_signer::{Duty, DutyKind, ValidatorSigner};

use crate::error::{Result, SequencerError};
use crate::proposal::CheckpointProposal;
use crate::slot::{ProposerTurn, Workshop};

/// Attestations with the proposer's signature over them: what the contract asks for.
#[derive(Clone, Debug)]
pub struct SignedAttestations {
    /// One seat a member, in committee order.
    pub attestations: CommitteeAttestations,
    /// The proposer's signature over attestations and signers.
    pub proposer_signature: fermata_rollup::L1Signature,
}

/// Has our keys in the committee attest the proposal, and the proposer sign the lot.
///
/// # Errors
/// [`SequencerError::TooFewAttestations`] below the quorum; the signer refused the proposer.
pub(crate) async fn attest(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposal: &CheckpointProposal,
) -> Result<SignedAttestations> {
    let attestations = attest_with(&workshop.signer, &turn.committee, turn.slot, proposal.payload_digest()).await?;
    let packed = attestations.pack();
    if turn.committee.members.is_empty() {
        let proposer_signature = fermata_rollup::L1Signature::EMPTY;
        return Ok(SignedAttestations { attestations, proposer_signature });
    }
    let digest = attestations_and_signers_digest(&packed, &attestations.signers());
    let duty = Duty { validator: turn.proposer, slot: turn.slot, kind: DutyKind::AttestationsAndSigners };
    let proposer_signature = workshop.signer.sign(duty, digest).await?.into();
    Ok(SignedAttestations { attestations, proposer_signature })
}

/// Every key of `signer` in the committee attests `digest`. A key that must not is left out; the others count.
async fn attest_with(
    signer: &ValidatorSigner,
    committee: &Committee,
    slot: fermata_primitives::Slot,
    digest: B256,
) -> Result<CommitteeAttestations> {
    let ours = signer.addresses();
    let members: Vec<Address> = committee.members.iter().copied().filter(|member| ours.contains(member)).collect();
    let duties: Vec<_> = members
        .iter()
        .map(|validator| (Duty { validator: *validator, slot, kind: DutyKind::Attestation }, digest))
        .collect();
    let mut attestations = CommitteeAttestations::unsigned(&committee.members);
    for (member, signed) in members.iter().zip(signer.sign_many(&duties).await) {
        match signed {
            Ok(signature) => attestations.add(*member, signature)?,
            Err(error) => {
                let error = crate::poll_loop::chain(&error);
                tracing::warn!(slot = slot.0, %member, error, "a key does not attest");
            }
        }
    }
    let (have, need) = (attestations.count(), committee.quorum());
    if have < need {
        return Err(SequencerError::TooFewAttestations { have, committee: committee.members.len(), need });
    }
    Ok(attestations)
}

/// Checks blocks of another node by executing them again, on an execution engine of the validator's own.
#[derive(Clone, Debug)]
pub struct BlockChecker {
    execution: Arc<dyn Execution>,
}

impl BlockChecker {
    /// A checker that executes on `execution`.
    #[must_use]
    pub const fn new(execution: Arc<dyn Execution>) -> Self {
        Self { execution }
    }

    /// Executes the blocks of a proposal that came from elsewhere, in order, each on the one before.
    ///
    /// # Errors
    /// [`SequencerError::BadProposal`] where a block is not what executing it gives: it must not be attested.
    pub async fn check(&self, base: B256, blocks: &[Block]) -> Result<B256> {
        let mut head = base;
        for block in blocks {
            if block.header().parent_hash != head {
                return Err(SequencerError::BadProposal(format!("block {} is not built on {head}", block.hash())));
            }
            match self.execution.insert(block.clone()).await? {
                Verdict::Valid => head = block.hash(),
                Verdict::Invalid { reason } => {
                    return Err(SequencerError::BadProposal(format!("block {}: {reason}", block.hash())));
                }
                Verdict::MissingParent => {
                    return Err(SequencerError::BadProposal(format!(
                        "the parent of block {} is unknown",
                        block.hash()
                    )));
                }
            }
        }
        Ok(head)
    }
}
