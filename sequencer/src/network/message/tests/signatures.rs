//! Who may sign what, and what a signature is over.

use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, I256, U256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::{Epoch, UnixTime};
use fermata_rollup::{Committee, payload_digest};
use fermata_validator_signer::{
    Domain, DutyKind, LocalKeys, SignerError, SlashingProtection, StoreOptions, ValidatorSigner,
};

use super::*;
use crate::network::SignatureError;

const DOMAIN: Domain = Domain { l1_chain_id: 31_337, rollup: Address::repeat_byte(0xf1) };

fn key(byte: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).expect("a valid key")
}

/// `content` signed as the signer's duties sign it.
fn signed<T: Signable>(content: T, key: &PrivateKeySigner) -> Signed<T> {
    let hash = content.duty_kind().signed_hash(content.digest(&DOMAIN));
    let signature = key.sign_hash_sync(&hash).expect("signs");
    Signed::new(content, signature.into())
}

fn committee(members: Vec<Address>) -> Committee {
    Committee { epoch: Epoch(0), seed: U256::from(5), members }
}

#[test]
fn the_proposer_of_the_slot_is_recovered_and_nobody_else_is_taken_for_it() {
    let (ours, other) = (key(1), key(2));
    let members = committee(vec![ours.address()]);
    let proposal = signed(proposed_block(), &ours);
    assert_eq!(proposal.signed_by_proposer(&DOMAIN, &members), Ok(ours.address()));
    let (expected, found) = (ours.address(), other.address());
    let stolen = signed(proposed_block(), &other);
    let refused = SignatureError::NotTheProposer { expected, found };
    assert_eq!(stolen.signed_by_proposer(&DOMAIN, &members), Err(refused));
    assert_eq!(stolen.signed_by_proposer(&DOMAIN, &committee(Vec::new())), Ok(found), "then anyone may");
}

#[test]
fn a_forged_signature_is_nobodys() {
    let checkpoint = signed(proposed_checkpoint(), &key(1));
    let (content, signature) = (checkpoint.content().clone(), checkpoint.signature());
    let forged = Signed::new(content, L1Signature { v: 99, ..signature });
    assert_eq!(forged.signer(&DOMAIN), Err(SignatureError::Forged));
    assert_eq!(Signed::new(proposed_block(), L1Signature::EMPTY).signer(&DOMAIN), Err(SignatureError::Forged));
}

#[test]
fn a_member_attests_what_the_contract_recovers_it_from() {
    let (member, stranger) = (key(1), key(2));
    let members = committee(vec![member.address()]);
    let content = proposed_checkpoint().attestation();
    let attestation = signed(content, &member);
    assert_eq!(attestation.signed_by_member(&DOMAIN, &members), Ok(member.address()));
    let digest = payload_digest(content.archive, I256::ZERO, content.header.hash());
    assert_eq!(attestation.signature().signer(digest), Some(member.address()));
    let refused = SignatureError::NotAMember(stranger.address());
    assert_eq!(signed(content, &stranger).signed_by_member(&DOMAIN, &members), Err(refused));
}

#[test]
fn a_proposal_for_another_rollup_chain_slot_or_place_has_another_digest() {
    let content = proposed_block();
    let digest = content.digest(&DOMAIN);
    assert_eq!(content.digest(&DOMAIN), digest);
    assert_ne!(content.digest(&Domain { l1_chain_id: 1, ..DOMAIN }), digest);
    assert_ne!(content.digest(&Domain { rollup: Address::ZERO, ..DOMAIN }), digest);
    assert_ne!(ProposedBlock { slot: Slot(8), ..content.clone() }.digest(&DOMAIN), digest);
    assert_ne!(ProposedBlock { index: 3, ..content.clone() }.digest(&DOMAIN), digest);
    let body = Block::new(content.block.header().clone(), vec![Bytes::from_static(&[9])]);
    assert_ne!(ProposedBlock { block: body, ..content }.digest(&DOMAIN), digest, "the body is signed too");
    let checkpoint = proposed_checkpoint();
    assert_ne!(checkpoint.digest(&DOMAIN), checkpoint.attestation().digest(&DOMAIN));
}

#[test]
fn each_content_has_the_duty_that_allows_it_once() {
    assert_eq!(proposed_block().duty(Address::ZERO).kind, DutyKind::BlockProposal { index: 2 });
    assert_eq!(proposed_checkpoint().duty(Address::ZERO).kind, DutyKind::CheckpointProposal);
    let duty = proposed_checkpoint().attestation().duty(Address::repeat_byte(1));
    assert_eq!((duty.validator, duty.slot, duty.kind), (Address::repeat_byte(1), Slot(7), DutyKind::Attestation));
}

/// Later than any clock.
const BY: UnixTime = UnixTime::from_millis(u64::MAX / 2);

#[tokio::test]
async fn the_signer_signs_one_content_a_duty_and_what_it_signs_is_recovered() {
    let (dir, ours) = (tempfile::tempdir().expect("a directory"), key(1));
    let (store, validator) = (dir.path().join("signer"), ours.address());
    SlashingProtection::init(&store, DOMAIN).expect("a fresh store");
    let protection = SlashingProtection::open(&store, DOMAIN, StoreOptions::default()).expect("it opens");
    let keys = LocalKeys::from_signers([ours]).expect("one key");
    let signer = ValidatorSigner::owning(Arc::new(protection), Arc::new(keys));
    signer.start().expect("it starts");

    let block = Signed::sign(proposed_block(), validator, BY, &signer, &DOMAIN).await.expect("its duty is new");
    assert_eq!(block.signer(&DOMAIN), Ok(validator));
    let again = Signed::sign(proposed_block(), validator, BY, &signer, &DOMAIN).await;
    assert_eq!(again.expect("the same content").signature(), block.signature());
    let kept = signer.own_payload(proposed_block().duty(validator)).await.expect("it is open").expect("it was kept");
    assert_eq!(ProposedBlock::from_frame(&kept), Ok(proposed_block()));
    let body = Block::new(block_header(10, [[4; 32]; 4]), Vec::new());
    let other = Signed::sign(ProposedBlock { block: body, ..proposed_block() }, validator, BY, &signer, &DOMAIN).await;
    assert!(matches!(other, Err(SignerError::NotSafe(_))), "{other:?}");

    let checkpoint =
        Signed::sign(proposed_checkpoint(), validator, BY, &signer, &DOMAIN).await.expect("a duty of its own");
    assert_eq!(checkpoint.signer(&DOMAIN), Ok(validator));
    let attested = checkpoint.content().attestation();
    let attestation = Signed::sign(attested, validator, BY, &signer, &DOMAIN).await.expect("a duty of its own");
    assert_eq!(attestation.signer(&DOMAIN), Ok(validator));
    signer.close().await;
}
