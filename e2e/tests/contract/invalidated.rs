//! Checkpoints with bad attestations, which the contract takes and lets anyone drop.

use alloy::primitives::U256;
use alloy::sol_types::SolEvent;
use fermata_rollup::contracts::IRollup;

use crate::candidate::{Candidate, sign};
use crate::chain::{Chain, refusal_of};

async fn pending(chain: &Chain) -> U256 {
    chain.rollup.getPendingCheckpointNumber().call().await.expect("a number")
}

/// Lands a good checkpoint and, in the next slot, one whose attestations `spoil` has made bad.
async fn good_then(
    chain: &Chain,
    spoil: impl FnOnce(&Candidate) -> fermata_rollup::CommitteeAttestations,
) -> (Candidate, fermata_rollup::Propose) {
    let good = chain.candidate(chain.slot().next()).await;
    assert!(chain.land(&good.propose(&good.attest()), &good.blobs).await.status());
    let bad = chain.candidate(chain.slot().next()).await;
    let propose = bad.propose(&spoil(&bad));
    assert!(chain.land(&propose, &bad.blobs).await.status(), "L1 checks the proposer alone");
    assert_eq!(pending(chain).await, U256::from(2));
    (bad, propose)
}

fn is_invalidated(receipt: &alloy::rpc::types::TransactionReceipt, number: u64) -> bool {
    let mut events =
        receipt.logs().iter().filter_map(|log| IRollup::CheckpointInvalidated::decode_log(&log.inner).ok());
    receipt.status() && events.any(|event| event.checkpointNumber == U256::from(number))
}

#[tokio::test]
async fn a_checkpoint_with_too_few_attestations_can_be_invalidated() {
    let chain = Chain::start().await;
    let (bad, propose) = good_then(&chain, |bad| bad.attest_by(bad.committee.quorum() - 1)).await;
    let members = bad.committee.members.clone();
    let read = propose.committee_attestations(members.len()).expect("our own packing");
    assert!(read.count() < bad.committee.quorum() && read.bad_seats(bad.digest()).is_empty());
    let call = chain.rollup.invalidateInsufficientAttestations(U256::from(2), propose.attestations, members);
    let receipt = chain.send(call.into_transaction_request()).await;
    assert!(is_invalidated(&receipt, 2));
    assert_eq!(pending(&chain).await, U256::from(1));
}

#[tokio::test]
async fn a_checkpoint_with_a_signature_over_something_else_can_be_invalidated_by_the_seat_we_find() {
    let chain = Chain::start().await;
    let (bad, propose) = good_then(&chain, |bad| {
        let (mut attestations, seat) = (bad.attest(), bad.other_seat());
        let wrong = sign(bad.key(seat), alloy::primitives::B256::repeat_byte(9));
        attestations.add(bad.committee.members[seat], wrong).expect("a member");
        attestations
    })
    .await;
    let members = bad.committee.members.clone();
    let read = propose.committee_attestations(members.len()).expect("our own packing");
    let seats = read.bad_seats(propose.payload_digest());
    assert_eq!(seats, [bad.other_seat()]);
    let call = |seat: usize| {
        let (attestations, members) = (propose.attestations.clone(), members.clone());
        chain.rollup.invalidateBadAttestation(U256::from(2), attestations, members, U256::from(seat))
    };
    let refused = call(bad.proposer_seat()).call().await.map(drop).expect_err("the proposer's attestation is good");
    assert_eq!(refusal_of(&refused), "Rollup__AttestationsAreValid");
    let receipt = chain.send(call(seats[0]).into_transaction_request()).await;
    assert!(is_invalidated(&receipt, 2));
    assert_eq!(pending(&chain).await, U256::from(1));
}

#[tokio::test]
async fn a_checkpoint_with_a_quorum_cannot_be_invalidated() {
    let chain = Chain::start().await;
    let (bad, propose) = good_then(&chain, Candidate::attest_by_quorum).await;
    let members = bad.committee.members.clone();
    let call = chain.rollup.invalidateInsufficientAttestations(U256::from(2), propose.attestations, members);
    let refused = call.call().await.map(drop).expect_err("there are enough");
    assert_eq!(refusal_of(&refused), "ValidatorSelection__InsufficientAttestations");
}
