//! What the contract takes.

use alloy::primitives::U256;
use alloy::providers::Provider;
use alloy::sol_types::SolEvent;
use fermata_primitives::Slot;
use fermata_rollup::contracts::{CheckpointHeaderValidationFlags, IRollup};
use fermata_rollup::{CheckpointPayload, decode_propose};

use crate::candidate::Candidate;
use crate::chain::{Chain, with_blob_hashes};

/// Proposes the candidate in a real blob transaction and checks all that L1 then says of it.
async fn propose_and_check(chain: &Chain, candidate: &Candidate, number: u64) {
    let propose = candidate.propose(&candidate.attest_by_quorum());
    let receipt = chain.land(&propose, &candidate.blobs).await;
    assert!(receipt.status(), "slot {} is refused", candidate.header.slot);
    let event = receipt.logs().iter().find_map(|log| IRollup::CheckpointProposed::decode_log(&log.inner).ok());
    let event = event.expect("the event of a proposal");
    assert_eq!(event.checkpointNumber, U256::from(number));
    assert_eq!(event.archive, candidate.archive);
    assert_eq!(event.versionedBlobHashes, candidate.commitments.versioned_hashes());
    assert_eq!(event.payloadDigest, propose.payload_digest());
    assert_eq!(event.attestationsHash, propose.attestations_hash());
    let log = chain.rollup.getCheckpoint(U256::from(number)).call().await.expect("a checkpoint");
    assert_eq!(log.headerHash, candidate.header.hash());
    assert_eq!((log.payloadDigest, log.archive), (propose.payload_digest(), candidate.archive));
    assert_eq!(log.slotNumber, U256::from(candidate.header.slot.0));
    let transaction = chain.provider.get_transaction_by_hash(receipt.transaction_hash).await.expect("L1 answers");
    let input = alloy::consensus::Transaction::input(&transaction.expect("the transaction")).clone();
    let read = decode_propose(&input, chain.addresses.rollup).expect("our own calldata");
    assert_eq!(read, propose);
    assert_eq!(read.committee_attestations(candidate.committee.members.len()).expect("ours").count(), 3);
    let blobs = chain.blobs_of(receipt.transaction_hash).await;
    assert_eq!(CheckpointPayload::from_blobs(&blobs).expect("our own blobs"), candidate.payload);
}

#[tokio::test]
async fn checkpoints_of_three_consecutive_slots_are_accepted_with_their_blobs() {
    let chain = Chain::start().await;
    let first = chain.slot().next();
    for (number, slot) in (1..=3).zip(first.0..) {
        let candidate = chain.candidate(Slot(slot)).await;
        propose_and_check(&chain, &candidate, number).await;
        assert_eq!(chain.rollup.archive().call().await.expect("an archive"), candidate.archive);
    }
    let tips = chain.rollup.getTips().call().await.expect("tips");
    assert_eq!((tips.pending, tips.proven), (U256::from(3), U256::ZERO));
}

#[tokio::test]
async fn a_propose_within_a_multicall_is_accepted_and_read_back() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let propose = candidate.propose(&candidate.attest());
    let receipt = chain.land_in_multicall(&propose, &candidate.blobs).await;
    assert!(receipt.status());
    let transaction = chain.provider.get_transaction_by_hash(receipt.transaction_hash).await.expect("L1 answers");
    let input = alloy::consensus::Transaction::input(&transaction.expect("the transaction")).clone();
    assert_eq!(decode_propose(&input, chain.addresses.rollup).expect("our own calldata"), propose);
    let pending = chain.rollup.getPendingCheckpointNumber().call().await.expect("a number");
    assert_eq!(pending, U256::from(1));
}

#[tokio::test]
async fn the_contract_computes_the_same_blob_hashes() {
    let chain = Chain::start().await;
    for slot in [chain.slot().next(), chain.slot().next().next()] {
        let candidate = chain.candidate(slot).await;
        let hashes = candidate.commitments.versioned_hashes();
        let call = chain.rollup.validateBlobs(candidate.commitments.to_input()).into_transaction_request();
        let call = with_blob_hashes(call, &candidate.commitments);
        let answer = chain.provider.call(call).await.expect("the blobs are good");
        let answer = <IRollup::validateBlobsCall as alloy::sol_types::SolCall>::abi_decode_returns(&answer);
        let answer = answer.expect("three values");
        assert_eq!((answer._0, answer._1), (hashes, candidate.commitments.hash()));
        assert_eq!(answer._1, candidate.header.blobs_hash);
        let commitments: Vec<_> = candidate.commitments.as_slice().iter().map(|one| one.to_vec()).collect();
        assert_eq!(answer._2, commitments);
    }
}

#[tokio::test]
async fn a_header_with_a_quorum_is_valid_before_it_is_sent() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let propose = candidate.propose(&candidate.attest_by_quorum());
    let valid = chain.validate(&propose, CheckpointHeaderValidationFlags { ignoreDA: false }).await;
    assert_eq!(valid, Ok(()));
}
