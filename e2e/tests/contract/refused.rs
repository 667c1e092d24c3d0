//! What the contract refuses, each by its own name.

use alloy::primitives::{Address, B256};
use fermata_rollup::contracts::CheckpointHeaderValidationFlags;
use fermata_rollup::{
    BlobCommitments, CheckpointHeader, CommitteeAttestations, DamagedAttestations, L1Signature, Propose, RollupError,
    attestations_and_signers_digest, pack_blobs,
};

use crate::candidate::{Candidate, sign};
use crate::chain::Chain;

/// Makes one field of a header wrong.
type Spoil = Box<dyn FnOnce(&mut CheckpointHeader)>;

/// The proposer's signature over the packed attestations as they are now.
fn sign_anew(propose: &mut Propose, candidate: &Candidate) {
    let digest = attestations_and_signers_digest(&propose.attestations, &propose.signers);
    let signature = sign(candidate.key(candidate.proposer_seat()), digest);
    propose.attestations_and_signers_signature = L1Signature::from(signature);
}

#[tokio::test]
async fn one_attestation_below_the_quorum_is_refused() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let attestations = candidate.attest_by(candidate.committee.quorum() - 1);
    let flags = CheckpointHeaderValidationFlags { ignoreDA: false };
    let refused = chain.validate(&candidate.propose(&attestations), flags).await;
    assert_eq!(refused, Err("ValidatorSelection__InsufficientAttestations"));
}

#[tokio::test]
async fn each_wrong_field_of_the_header_is_refused_by_name() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let limit = chain.constants.mana_limit;
    let cases: [(&str, Spoil); 9] = [
        ("HeaderLib__InvalidSlotNumber", Box::new(|header| header.slot = header.slot.next())),
        ("Rollup__InvalidArchive", Box::new(|header| header.last_archive = B256::repeat_byte(1))),
        ("Rollup__InvalidTimestamp", Box::new(|header| header.timestamp = header.timestamp.plus_secs(1))),
        ("Rollup__InvalidCoinbase", Box::new(|header| header.coinbase = Address::ZERO)),
        ("Rollup__NonZeroDaFee", Box::new(|header| header.gas_fees.da = 1)),
        ("Rollup__InvalidManaMinFee", Box::new(|header| header.gas_fees.l2 += 1)),
        ("Rollup__ManaLimitExceeded", Box::new(move |header| header.total_mana_used = limit + 1)),
        ("Rollup__UnavailableTxs", Box::new(|header| header.blobs_hash = B256::repeat_byte(1))),
        ("Rollup__InvalidInHash", Box::new(|header| header.in_hash = B256::repeat_byte(1))),
    ];
    assert_eq!(chain.simulate(&candidate.propose(&candidate.attest()), &candidate.commitments).await, Ok(()));
    for (name, change) in cases {
        let refused = chain.simulate(&candidate.propose_with(change), &candidate.commitments).await;
        assert_eq!(refused, Err(name));
    }
}

#[tokio::test]
async fn a_proposal_that_comes_a_slot_late_is_refused() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let propose = candidate.propose(&candidate.attest());
    chain.enter(candidate.header.slot.next()).await;
    let refused = chain.simulate(&propose, &candidate.commitments).await;
    assert_eq!(refused, Err("HeaderLib__InvalidSlotNumber"));
    let receipt = chain.land(&propose, &candidate.blobs).await;
    assert!(!receipt.status(), "the transaction itself reverts");
}

#[tokio::test]
async fn a_second_checkpoint_in_a_slot_is_refused() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    assert!(chain.land(&candidate.propose(&candidate.attest()), &candidate.blobs).await.status());
    let second = candidate.propose_with(|header| header.last_archive = candidate.archive);
    let refused = chain.simulate(&second, &candidate.commitments).await;
    assert_eq!(refused, Err("Rollup__SlotAlreadyInChain"));
}

#[tokio::test]
async fn each_wrong_signature_of_the_proposer_is_refused_by_name() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let (seat, other) = (candidate.proposer_seat(), candidate.other_seat());
    let refusal = async |propose: &Propose| chain.simulate(propose, &candidate.commitments).await;

    let absent = candidate.propose(&candidate.attest().without(seat));
    assert_eq!(refusal(&absent).await, Err("ValidatorSelection__MissingProposerSignature"));

    let mut over_another_archive = candidate.attest();
    let wrong = sign(candidate.key(seat), B256::repeat_byte(7));
    over_another_archive.add(candidate.committee.members[seat], wrong).expect("a member");
    assert_eq!(over_another_archive.bad_seats(candidate.digest()), [seat]);
    let over_another_archive = candidate.propose(&over_another_archive);
    assert_eq!(refusal(&over_another_archive).await, Err("SignatureLib__InvalidSignature"));

    let mut by_another_member = candidate.propose(&candidate.attest());
    let digest = attestations_and_signers_digest(&by_another_member.attestations, &by_another_member.signers);
    by_another_member.attestations_and_signers_signature = sign(candidate.key(other), digest).into();
    assert_eq!(refusal(&by_another_member).await, Err("SignatureLib__InvalidSignature"));

    let mut empty = candidate.propose(&candidate.attest());
    empty.attestations_and_signers_signature = L1Signature::EMPTY;
    assert_eq!(refusal(&empty).await, Err("ECDSAInvalidSignature"));
}

#[tokio::test]
async fn another_committee_is_refused() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let mut members = candidate.committee.members.clone();
    members[candidate.other_seat()] = Address::repeat_byte(0xee);
    let mut attestations = CommitteeAttestations::unsigned(&members);
    let proposer = candidate.committee.members[candidate.proposer_seat()];
    attestations.add(proposer, sign(&candidate.keys[&proposer], candidate.digest())).expect("a member");
    let refused = chain.simulate(&candidate.propose(&attestations), &candidate.commitments).await;
    assert_eq!(refused, Err("ValidatorSelection__InvalidCommitteeCommitment"));
}

#[tokio::test]
async fn damaged_packing_is_refused_there_as_here() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let good = candidate.propose(&candidate.attest().without(candidate.other_seat()));
    let size = candidate.committee.members.len();
    let mut bitmap = good.clone();
    bitmap.attestations.signatureIndices = [good.attestations.signatureIndices.as_ref(), &[0]].concat().into();
    let mut data = good.clone();
    data.attestations.signaturesOrAddresses = [good.attestations.signaturesOrAddresses.as_ref(), &[0]].concat().into();
    let mut signers = good.clone();
    signers.signers.push(Address::repeat_byte(1));
    let cases = [
        (bitmap, "AttestationLib__SignatureIndicesSizeMismatch"),
        (data, "AttestationLib__SignaturesOrAddressesSizeMismatch"),
        (signers, "AttestationLib__SignersSizeMismatch"),
    ];
    for (mut propose, name) in cases {
        sign_anew(&mut propose, &candidate);
        assert_eq!(chain.simulate(&propose, &candidate.commitments).await, Err(name));
        let here = propose.committee_attestations(size).expect_err("refused here too");
        let RollupError::Attestations(fault) = here else { panic!("another error: {here}") };
        let agrees = match fault {
            DamagedAttestations::BitmapSize { .. } => name.contains("IndicesSize"),
            DamagedAttestations::DataSize { .. } => name.contains("AddressesSize"),
            DamagedAttestations::SignersSize { .. } => name.contains("SignersSize"),
        };
        assert!(agrees, "{fault} is {name} on L1");
    }
}

#[tokio::test]
async fn blobs_other_than_announced_are_refused() {
    let chain = Chain::start().await;
    let candidate = chain.candidate(chain.slot().next()).await;
    let propose = candidate.propose(&candidate.attest());
    let other_blobs = pack_blobs(b"something else").expect("fits");
    let other = BlobCommitments::of_blobs(&other_blobs).expect("in range");
    assert_eq!(chain.simulate(&propose, &other).await, Err("Rollup__InvalidBlobHash"));
    let receipt = chain.land(&propose, &other_blobs).await;
    assert!(!receipt.status(), "the transaction itself reverts");
    let mut without = propose;
    without.commitments = BlobCommitments::default();
    assert_eq!(chain.simulate(&without, &other).await, Err("Rollup__NoBlobsInCheckpoint"));
}
