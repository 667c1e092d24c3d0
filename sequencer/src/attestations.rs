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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fermata_execution::mempool::MempoolConfig;
    use fermata_execution::{BlockAttributes, Genesis, Options, RevmExecution};
    use fermata_primitives::SystemClock;

    use super::*;

    async fn engine(dir: &Path) -> RevmExecution {
        let genesis = Genesis::dev(7, 0, &[Address::repeat_byte(1)]);
        let mempool = MempoolConfig::default();
        let options = Options { dir: dir.to_owned(), genesis, clock: Arc::new(SystemClock), mempool };
        RevmExecution::open(options).await.expect("a fresh store opens")
    }

    /// Two blocks of another node, and the genesis they are built on.
    async fn blocks_of(proposer: &RevmExecution) -> (B256, Vec<Block>) {
        let genesis = proposer.reader().genesis().hash;
        let (mut parent, mut blocks) = (genesis, Vec::new());
        for _ in 0..2 {
            let attributes = BlockAttributes {
                timestamp: 12,
                beneficiary: Address::repeat_byte(9),
                prev_randao: B256::ZERO,
                gas_limit: 30_000_000,
                max_payload_bytes: 1_000,
                transactions: Some(Vec::new()),
                deadline: None,
            };
            let job = proposer.begin(parent, attributes).await.expect("the parent is stored");
            let block = proposer.seal(job).await.expect("an empty block can be built");
            parent = block.hash();
            blocks.push(block);
        }
        (genesis, blocks)
    }

    #[tokio::test]
    async fn a_validator_executes_what_came_from_elsewhere_before_it_attests() {
        let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
        let proposer = engine(dirs[0].path()).await;
        let validator = Arc::new(engine(dirs[1].path()).await);
        let (genesis, blocks) = blocks_of(&proposer).await;
        let checker = BlockChecker::new(Arc::<RevmExecution>::clone(&validator) as Arc<dyn Execution>);
        assert_eq!(checker.check(genesis, &blocks).await.expect("they are valid"), blocks[1].hash());

        let mut header = blocks[1].header().clone();
        header.state_root = B256::repeat_byte(3);
        let forged = [blocks[0].clone(), Block::new(header, Vec::new())];
        let refused = checker.check(genesis, &forged).await.expect_err("its state root is false");
        assert!(matches!(&refused, SequencerError::BadProposal(why) if why.contains("state")), "{refused}");
        let skipped = checker.check(genesis, &blocks[1..]).await;
        assert!(matches!(skipped, Err(SequencerError::BadProposal(_))), "its parent is not the base");
    }
}
