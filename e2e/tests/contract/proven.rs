//! What the contract takes as the proof of an epoch, and what it refuses.

use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::SolEvent;
use fermata_primitives::{CheckpointNumber, Epoch};
use fermata_rollup::contracts::{CommitteeAttestations, IRollup};
use fermata_rollup::{
    BlobOpening, CheckpointFee, EpochClaim, EpochProof, EpochProofSubmission, MAX_CHECKPOINTS_PER_EPOCH, Propose,
};
use fermata_sequencer::l1::{L1Client, RollupView};

use crate::candidate::Candidate;
use crate::chain::{Chain, refusal_of};

const PROVER: Address = Address::repeat_byte(0xee);

/// Two checkpoints of one epoch, which is over.
struct Proven {
    chain: Chain,
    epoch: Epoch,
    candidates: Vec<Candidate>,
    submission: EpochProofSubmission,
}

/// Makes one part of a submission wrong.
type Spoil = Box<dyn FnOnce(&mut EpochProofSubmission)>;

impl Proven {
    async fn begin() -> Self {
        let chain = Chain::start().await;
        let times = chain.constants.times;
        let epoch = times.epoch_of(chain.slot()).next();
        let mut slot = times.first_slot(epoch);
        let (mut candidates, mut proposes) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let candidate = chain.candidate(slot).await;
            let propose = candidate.propose(&candidate.attest());
            assert!(chain.land(&propose, &candidate.blobs).await.status());
            candidates.push(candidate);
            proposes.push(propose);
            slot = slot.next();
        }
        chain.enter(times.first_slot(epoch.next())).await;
        let submission = submission(&candidates, &proposes);
        Self { chain, epoch, candidates, submission }
    }

    /// Nothing, or the name of the error it is refused with.
    async fn refused(&self, spoil: impl FnOnce(&mut EpochProofSubmission)) -> Result<(), &'static str> {
        let mut submission = self.submission.clone();
        spoil(&mut submission);
        let call = IRollup::submitEpochRootProofCall {
            _args: <IRollup::submitEpochRootProofCall as alloy::sol_types::SolCall>::abi_decode(
                &submission.calldata().expect("few checkpoints"),
            )
            .expect("our own calldata")
            ._args,
        };
        let call = self.chain.rollup.submitEpochRootProof(call._args);
        call.block(alloy::eips::BlockId::latest()).call().await.map(drop).map_err(|error| refusal_of(&error))
    }

    async fn proven(&self) -> U256 {
        self.chain.rollup.getProvenCheckpointNumber().call().await.expect("a number")
    }
}

fn submission(candidates: &[Candidate], proposes: &[Propose]) -> EpochProofSubmission {
    let fee = |candidate: &Candidate| CheckpointFee { recipient: candidate.header.coinbase, value: U256::ZERO };
    let (first, last) = (&candidates[0].header, candidates.last().expect("two"));
    let claim = EpochClaim {
        start: CheckpointNumber(1),
        previous_archive: first.last_archive,
        end_archive: last.archive,
        out_hash: last.header.out_hash,
        prover_id: PROVER,
        fees: candidates.iter().map(fee).collect(),
    };
    let proof = EpochProof { opening: BlobOpening::of_nothing(), proof: Bytes::new() };
    let attestations = proposes.last().expect("two").attestations.clone();
    EpochProofSubmission { claim, attestations, proof }
}

#[tokio::test]
async fn an_epoch_is_proven_once_its_proof_is_in_and_a_second_time_changes_nothing() {
    let proven = Proven::begin().await;
    let (chain, calldata) = (&proven.chain, proven.submission.calldata().expect("two checkpoints"));
    let call = alloy::rpc::types::TransactionRequest::default().to(chain.addresses.rollup).input(calldata.into());
    let receipt = chain.send(call.clone()).await;
    assert!(receipt.status(), "it is refused");
    let event = receipt.logs().iter().find_map(|log| IRollup::L2ProofVerified::decode_log(&log.inner).ok());
    let event = event.expect("the event of a proof");
    assert_eq!((event.checkpointNumber, event.proverId), (U256::from(2), PROVER));
    assert_eq!(proven.proven().await, U256::from(2));
    assert_eq!(proven.refused(|_| {}).await, Err("Rollup__ProverHaveAlreadySubmitted"));
}

#[tokio::test]
async fn a_part_of_an_epoch_may_be_proven_first_and_the_whole_afterwards() {
    let proven = Proven::begin().await;
    let chain = &proven.chain;
    let first = &proven.candidates[..1];
    let part = submission(first, &[first[0].propose(&first[0].attest())]);
    for (submission, newest) in [(part, 1), (proven.submission.clone(), 2)] {
        let calldata = submission.calldata().expect("two checkpoints");
        let call = alloy::rpc::types::TransactionRequest::default().to(chain.addresses.rollup).input(calldata.into());
        assert!(chain.send(call).await.status());
        assert_eq!(proven.proven().await, U256::from(newest));
    }
}

#[tokio::test]
async fn the_contract_assembles_the_public_inputs_that_we_claim() {
    let proven = Proven::begin().await;
    let (claim, opening) = (&proven.submission.claim, BlobOpening::of_nothing());
    let inputs = proven.chain.rollup.getEpochProofPublicInputs(
        U256::from(1),
        U256::from(2),
        claim.public_inputs(),
        claim.fee_words(),
        opening.to_input(),
    );
    let inputs = inputs.call().await.expect("the claim fits the contract");
    assert_eq!(inputs[..3], [claim.previous_archive, claim.end_archive, claim.out_hash]);
    let hashes: Vec<_> = proven.candidates.iter().map(|candidate| candidate.header.hash()).collect();
    assert_eq!(inputs[3..5], hashes);
    let fees = 3 + MAX_CHECKPOINTS_PER_EPOCH;
    let constants = fees + 2 * MAX_CHECKPOINTS_PER_EPOCH;
    assert_eq!(inputs[fees..constants], claim.fee_words());
    assert_eq!(inputs[constants + 1], B256::from(U256::from(proven.chain.constants.version)));
    assert_eq!(inputs[constants + 4], PROVER.into_word());
    assert_eq!(inputs[constants + 6], opening.z);
    // The commitment in 31 and 17 bytes.
    let (head, tail) = opening.commitment.split_at(31);
    assert_eq!(inputs[constants + 10..], [B256::left_padding_from(head), B256::left_padding_from(tail)]);
}

#[tokio::test]
async fn each_wrong_part_of_a_submission_is_refused_by_name() {
    let proven = Proven::begin().await;
    assert_eq!(proven.refused(|_| {}).await, Ok(()));
    let wrong = B256::repeat_byte(9);
    let cases: [(&str, Spoil); 7] = [
        ("Rollup__InvalidPreviousArchive", Box::new(move |s| s.claim.previous_archive = wrong)),
        ("Rollup__InvalidArchive", Box::new(move |s| s.claim.end_archive = wrong)),
        ("Rollup__InvalidOutHash", Box::new(move |s| s.claim.out_hash = wrong)),
        ("Rollup__InvalidAttestations", Box::new(|s| s.attestations = CommitteeAttestations::default())),
        ("Rollup__InvalidBlobProof", Box::new(|s| s.proof.opening.y = B256::with_last_byte(1))),
        ("Rollup__InvalidCheckpointNumber", Box::new(|s| s.claim.fees.push(CheckpointFee::default()))),
        (
            "Rollup__StartIsNotFirstCheckpointOfEpoch",
            Box::new(|s| {
                s.claim.start = CheckpointNumber(2);
                s.claim.fees.pop();
            }),
        ),
    ];
    for (name, spoil) in cases {
        assert_eq!(proven.refused(spoil).await, Err(name));
    }
    let constants = &proven.chain.constants;
    let (window, times) = (constants.prune_epoch(proven.epoch), constants.times);
    proven.chain.warp_to(times.epoch_start(window).minus_secs(1)).await;
    assert_eq!(proven.refused(|_| {}).await, Ok(()), "in the last second");
    proven.chain.warp_to(times.epoch_start(window)).await;
    // The contract prunes before it looks, and then there is no such checkpoint.
    assert_eq!(proven.refused(|_| {}).await, Err("Rollup__InvalidCheckpointNumber"));
}

#[tokio::test]
async fn the_verifier_is_found_in_the_contracts_storage_and_takes_any_proof() {
    let chain = Chain::start().await;
    let client = L1Client::new(chain.provider.clone(), Duration::from_secs(10));
    let view = RollupView::open(client, chain.addresses.rollup, 1).await.expect("a rollup");
    let verifier = view.verifier().await.expect("an address");
    let code = alloy::providers::Provider::get_code_at(&chain.provider, verifier).await.expect("L1 answers");
    let out = fermata_anvil::find_artifacts().expect("the contracts are installed");
    let text = std::fs::read(out.join("MockVerifier.sol/MockVerifier.json")).expect("it is installed");
    let artifact: serde_json::Value = serde_json::from_slice(&text).expect("an artifact is JSON");
    let published: Bytes =
        artifact["deployedBytecode"]["object"].as_str().expect("its code").parse().expect("hexadecimal");
    assert_eq!(keccak256(&code), keccak256(&published));
    assert!(view.takes_any_proof(verifier).await.expect("L1 answers"));
    let checks = chain.addresses.rollup;
    assert!(!view.takes_any_proof(checks).await.expect("L1 answers"), "what reverts takes no proof");
}
