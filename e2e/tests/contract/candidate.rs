//! A checkpoint that might be proposed: made whole, so that a test can spoil one thing.

use std::collections::BTreeMap;

use alloy::eips::eip4844::Blob;
use alloy::primitives::{Address, B256, I256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use fermata_rollup::{
    BlobCommitments, CheckpointHeader, CheckpointPayload, Committee, CommitteeAttestations, L1Signature, PayloadBlock,
    Propose, attestations_and_signers_digest, payload_digest, signing_hash,
};

/// The validators' keys.
pub(crate) type Keys = BTreeMap<Address, PrivateKeySigner>;

/// A checkpoint that might be proposed.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) header: CheckpointHeader,
    pub(crate) archive: B256,
    pub(crate) payload: CheckpointPayload,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) commitments: BlobCommitments,
    pub(crate) committee: Committee,
    pub(crate) keys: Keys,
}

/// Two blocks, whose content follows from `slot`; the second blob is needed for every other slot.
pub(crate) fn some_payload(slot: u64) -> CheckpointPayload {
    let noise = |salt: u64, bytes: usize| -> Vec<u8> {
        let words = (0..bytes.div_ceil(32) as u64).map(|n| keccak256([slot, salt, n].map(u64::to_be_bytes).concat()));
        words.flat_map(|word| word.0).take(bytes).collect()
    };
    let large = if slot.is_multiple_of(2) { 200_000 } else { 300 };
    let block = |salt| PayloadBlock {
        header: noise(salt, 580).into(),
        transactions: vec![noise(salt + 1, 110).into(), noise(salt + 2, large / 2).into()],
    };
    CheckpointPayload { blocks: vec![block(10), block(20)] }
}

impl Candidate {
    /// What the committee attests.
    pub(crate) fn digest(&self) -> B256 {
        payload_digest(self.archive, I256::ZERO, self.header.hash())
    }

    /// The seat that proposes.
    pub(crate) fn proposer_seat(&self) -> usize {
        self.committee.proposer_seat(self.header.slot).expect("there is a committee")
    }

    /// The key of a seat.
    pub(crate) fn key(&self, seat: usize) -> &PrivateKeySigner {
        &self.keys[&self.committee.members[seat]]
    }

    /// A seat that does not propose.
    pub(crate) fn other_seat(&self) -> usize {
        (self.proposer_seat() + 1) % self.committee.members.len()
    }

    /// Everybody's attestations.
    pub(crate) fn attest(&self) -> CommitteeAttestations {
        let mut attestations = CommitteeAttestations::unsigned(&self.committee.members);
        for &member in &self.committee.members {
            attestations.add(member, sign(&self.keys[&member], self.digest())).expect("a member");
        }
        attestations
    }

    /// As few attestations as the quorum asks for, the proposer's among them.
    pub(crate) fn attest_by_quorum(&self) -> CommitteeAttestations {
        self.attest_by(self.committee.quorum())
    }

    /// The attestations of this many members, the proposer's among them.
    pub(crate) fn attest_by(&self, count: usize) -> CommitteeAttestations {
        let mut attestations = self.attest();
        for seat in (0..self.committee.members.len()).filter(|&seat| seat != self.proposer_seat()) {
            if attestations.count() > count {
                attestations = attestations.without(seat);
            }
        }
        assert_eq!(attestations.count(), count);
        attestations
    }

    /// The proposal with these attestations.
    pub(crate) fn propose(&self, attestations: &CommitteeAttestations) -> Propose {
        let (packed, signers) = (attestations.pack(), attestations.signers());
        let digest = attestations_and_signers_digest(&packed, &signers);
        let signature = L1Signature::from(sign(self.key(self.proposer_seat()), digest));
        Propose {
            archive: self.archive,
            fee_asset_price_modifier: I256::ZERO,
            header: self.header,
            attestations: packed,
            signers,
            attestations_and_signers_signature: signature,
            commitments: self.commitments.clone(),
        }
    }

    /// The same with a header changed by `change`, attested anew by everybody.
    pub(crate) fn propose_with(&self, change: impl FnOnce(&mut CheckpointHeader)) -> Propose {
        let mut changed = self.clone();
        change(&mut changed.header);
        changed.propose(&changed.attest())
    }
}

/// A key's signature over a digest, as an Ethereum message.
pub(crate) fn sign(key: &PrivateKeySigner, digest: B256) -> alloy::primitives::Signature {
    key.sign_hash_sync(&signing_hash(digest)).expect("a local key signs")
}
