//! What a key may sign once.

use std::fmt;

use alloy::primitives::{Address, B256, eip191_hash_message};
use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};

/// The rollup a store protects keys for. A store is made for one domain and opens for no other, because the same
/// duty on two rollups is two duties.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Chain id of the L1 the rollup contract lives on.
    pub l1_chain_id: u64,
    /// Address of the rollup contract.
    pub rollup: Address,
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rollup {} on L1 chain {}", self.rollup, self.l1_chain_id)
    }
}

/// One thing a validator's key may sign once: another payload for the same duty is refused for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Duty {
    /// The key that signs.
    pub validator: Address,
    /// The slot it signs for.
    pub slot: Slot,
    /// What it signs in that slot.
    pub kind: DutyKind,
}

/// The kinds of duty. Each is a room of its own: a proposal and an attestation in one slot do not conflict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum DutyKind {
    /// The proposal of one block, at this place in its checkpoint.
    BlockProposal {
        /// Place of the block in its checkpoint, from 0.
        index: u16,
    },
    /// The proposal of the slot's checkpoint. Once it is on record, no further block of the slot may be proposed.
    CheckpointProposal,
    /// A committee member's word for the slot's checkpoint.
    Attestation,
    /// The proposer's signature over the attestations it bundles.
    AttestationsAndSigners,
    /// The proposer's signal for a governance payload.
    GovernanceVote,
    /// The proposer's vote on whom to slash.
    SlashingVote,
}

/// What a digest is to the contract that checks its signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestForm {
    /// 32 bytes that are signed as an EIP-191 message.
    Message,
    /// The EIP-712 hash of typed data, which is signed as it stands.
    TypedData,
}

impl DutyKind {
    /// What a digest of this kind is: that of proposals and attestations is a message, that of votes is typed data.
    #[must_use]
    pub const fn digest_form(self) -> DigestForm {
        match self {
            Self::BlockProposal { .. }
            | Self::CheckpointProposal
            | Self::Attestation
            | Self::AttestationsAndSigners => DigestForm::Message,
            Self::GovernanceVote | Self::SlashingVote => DigestForm::TypedData,
        }
    }

    /// The 32 bytes that the key signs for `digest`.
    #[must_use]
    pub fn signed_hash(self, digest: B256) -> B256 {
        match self.digest_form() {
            DigestForm::Message => eip191_hash_message(digest),
            DigestForm::TypedData => digest,
        }
    }

    /// All kinds that marks are kept of: the blocks of a slot, whatever their place, share theirs.
    pub const MARKED: [Self; 6] = [
        Self::BlockProposal { index: 0 },
        Self::CheckpointProposal,
        Self::Attestation,
        Self::AttestationsAndSigners,
        Self::GovernanceVote,
        Self::SlashingVote,
    ];

    /// The kind, of [`MARKED`](Self::MARKED), whose marks are this one's.
    #[must_use]
    pub const fn marked(self) -> Self {
        match self {
            Self::BlockProposal { .. } => Self::BlockProposal { index: 0 },
            Self::CheckpointProposal
            | Self::Attestation
            | Self::AttestationsAndSigners
            | Self::GovernanceVote
            | Self::SlashingVote => self,
        }
    }

    /// The kind as one word, whatever the place of a block. No two of [`MARKED`](Self::MARKED) have the same.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BlockProposal { .. } => "block-proposal",
            Self::CheckpointProposal => "checkpoint-proposal",
            Self::Attestation => "attestation",
            Self::AttestationsAndSigners => "attestations-and-signers",
            Self::GovernanceVote => "governance-vote",
            Self::SlashingVote => "slashing-vote",
        }
    }

    /// Number of the kind on disk; never reused for another kind.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::BlockProposal { .. } => 1,
            Self::CheckpointProposal => 2,
            Self::Attestation => 3,
            Self::AttestationsAndSigners => 4,
            Self::GovernanceVote => 5,
            Self::SlashingVote => 6,
        }
    }

    const fn index(self) -> u16 {
        match self {
            Self::BlockProposal { index } => index,
            Self::CheckpointProposal
            | Self::Attestation
            | Self::AttestationsAndSigners
            | Self::GovernanceVote
            | Self::SlashingVote => 0,
        }
    }

    pub(crate) const fn from_code(code: u8, index: u16) -> Option<Self> {
        match (code, index) {
            (1, index) => Some(Self::BlockProposal { index }),
            (2, 0) => Some(Self::CheckpointProposal),
            (3, 0) => Some(Self::Attestation),
            (4, 0) => Some(Self::AttestationsAndSigners),
            (5, 0) => Some(Self::GovernanceVote),
            (6, 0) => Some(Self::SlashingVote),
            _ => None,
        }
    }
}

impl fmt::Display for DutyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockProposal { index } => write!(f, "proposal of block {index}"),
            Self::CheckpointProposal => f.write_str("checkpoint proposal"),
            Self::Attestation => f.write_str("attestation"),
            Self::AttestationsAndSigners => f.write_str("attestations and signers"),
            Self::GovernanceVote => f.write_str("governance vote"),
            Self::SlashingVote => f.write_str("slashing vote"),
        }
    }
}

/// Length of a duty's key on disk.
pub(crate) const KEY_LEN: usize = 8 + 1 + 2 + 20;

impl Duty {
    /// The duty that settles this one: once it is on record, this one may not be pinned any more.
    #[must_use]
    pub const fn seal(&self) -> Option<Self> {
        match self.kind {
            DutyKind::BlockProposal { .. } => {
                Some(Self { validator: self.validator, slot: self.slot, kind: DutyKind::CheckpointProposal })
            }
            DutyKind::CheckpointProposal
            | DutyKind::Attestation
            | DutyKind::AttestationsAndSigners
            | DutyKind::GovernanceVote
            | DutyKind::SlashingVote => None,
        }
    }

    /// The duty as a key: slot, kind, index, validator, big-endian.
    ///
    /// The slot comes first so that the duties of one slot lie on the same pages, and so that pruning is one range.
    pub(crate) fn key(&self) -> [u8; KEY_LEN] {
        let mut key = [0; KEY_LEN];
        key[..8].copy_from_slice(&self.slot.0.to_be_bytes());
        key[8] = self.kind.code();
        key[9..11].copy_from_slice(&self.kind.index().to_be_bytes());
        key[11..].copy_from_slice(self.validator.as_slice());
        key
    }

    /// The duty a key stands for; `None` for bytes that no duty has.
    pub(crate) fn from_key(key: &[u8]) -> Option<Self> {
        let key: &[u8; KEY_LEN] = key.try_into().ok()?;
        let (slot, rest) = key.split_first_chunk::<8>()?;
        let kind = DutyKind::from_code(rest[0], u16::from_be_bytes([rest[1], rest[2]]))?;
        Some(Self { validator: Address::from_slice(&rest[3..]), slot: Slot(u64::from_be_bytes(*slot)), kind })
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in slot {} by {}", self.kind, self.slot, self.validator)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_kind() -> impl Strategy<Value = DutyKind> {
        prop_oneof![
            any::<u16>().prop_map(|index| DutyKind::BlockProposal { index }),
            Just(DutyKind::CheckpointProposal),
            Just(DutyKind::Attestation),
            Just(DutyKind::AttestationsAndSigners),
            Just(DutyKind::GovernanceVote),
            Just(DutyKind::SlashingVote),
        ]
    }

    fn any_duty() -> impl Strategy<Value = Duty> {
        (any::<[u8; 20]>(), any::<u64>(), any_kind()).prop_map(|(validator, slot, kind)| Duty {
            validator: validator.into(),
            slot: Slot(slot),
            kind,
        })
    }

    proptest! {
        #[test]
        fn a_key_gives_back_its_duty_and_sorts_by_slot_first(a in any_duty(), b in any_duty()) {
            prop_assert_eq!(Duty::from_key(&a.key()), Some(a));
            prop_assert_eq!(a == b, a.key() == b.key());
            if a.slot != b.slot {
                prop_assert_eq!(a.slot < b.slot, a.key() < b.key());
            }
        }
    }

    #[test]
    fn bytes_that_no_duty_has_are_no_duty() {
        let duty = Duty { validator: Address::ZERO, slot: Slot(1), kind: DutyKind::Attestation };
        let mut unknown_kind = duty.key();
        unknown_kind[8] = 7;
        let mut indexed_attestation = duty.key();
        indexed_attestation[10] = 1;
        assert_eq!(Duty::from_key(&unknown_kind), None);
        assert_eq!(Duty::from_key(&indexed_attestation), None);
        assert_eq!(Duty::from_key(&duty.key()[1..]), None);
    }

    #[test]
    fn a_vote_signs_its_digest_and_a_proposal_an_eip_191_message_of_it() {
        let digest = B256::repeat_byte(7);
        assert_eq!(DutyKind::GovernanceVote.signed_hash(digest), digest);
        let mut message = b"\x19Ethereum Signed Message:\n32".to_vec();
        message.extend_from_slice(digest.as_slice());
        assert_eq!(DutyKind::Attestation.signed_hash(digest), alloy::primitives::keccak256(message));
    }
}
