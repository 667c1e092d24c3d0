//! Checkpoints that landed with bad attestations: what is wrong with one, who drops it when, and the call that does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolCall, SolEvent};
use fermata_primitives::{CheckpointNumber, Slot};
use fermata_publisher::SuccessRule;
use fermata_rollup::contracts::{CommitteeAttestations, IRollup};
use fermata_rollup::{Committee, Propose};

use crate::actions::{ActionKind, L1Action};
use crate::error::Result;

/// What is wrong with a checkpoint's attestations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttestationsFault {
    /// The attestation of this seat is not its member's.
    Bad {
        /// Place in the committee.
        seat: usize,
    },
    /// There are fewer than the quorum.
    TooFew,
}

/// What is wrong with the attestations that landed with a proposal, if anything is. L1 checks the proposer's alone.
///
/// # Errors
/// They are malformed, which L1 refuses: it is another committee's size.
pub fn fault_of(propose: &Propose, committee: &Committee) -> Result<Option<AttestationsFault>> {
    let attestations = propose.committee_attestations(committee.members.len())?;
    let digest = propose.payload_digest();
    let is_good = |(seat, member): (usize, &Address)| match attestations.seats()[seat].signature {
        Some(signature) => signature.signer(digest) == Some(*member),
        None => attestations.seats()[seat].member == *member,
    };
    if let Some(seat) = committee.members.iter().enumerate().position(|seat| !is_good(seat)) {
        return Ok(Some(AttestationsFault::Bad { seat }));
    }
    Ok((attestations.count() < committee.quorum()).then_some(AttestationsFault::TooFew))
}

/// A checkpoint of the pending chain that the contract lets anyone drop, with all that is built on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidCheckpoint {
    /// Its number.
    pub number: CheckpointNumber,
    /// Its slot.
    pub slot: Slot,
    /// Who was to attest it.
    pub committee: Arc<Committee>,
    /// The attestations it landed with.
    pub attestations: CommitteeAttestations,
    /// What is wrong with them.
    pub fault: AttestationsFault,
}

impl InvalidCheckpoint {
    /// The action that drops it, in `slot`.
    #[must_use]
    pub fn action(&self, rollup: Address, slot: Slot) -> L1Action {
        let kind = match self.fault {
            AttestationsFault::Bad { .. } => ActionKind::InvalidateBadAttestation,
            AttestationsFault::TooFew => ActionKind::InvalidateTooFewAttestations,
        };
        let topic0 = IRollup::CheckpointInvalidated::SIGNATURE_HASH;
        let success = SuccessRule::Event { address: rollup, topic0 };
        L1Action { kind, slot, to: rollup, calldata: self.calldata(), success }
    }

    fn calldata(&self) -> Bytes {
        let (number, attestations) = (U256::from(self.number.0), self.attestations.clone());
        let committee = self.committee.members.clone();
        match self.fault {
            AttestationsFault::Bad { seat } => IRollup::invalidateBadAttestationCall {
                _checkpointNumber: number,
                _attestations: attestations,
                _committee: committee,
                _invalidIndex: U256::from(seat),
            }
            .abi_encode(),
            AttestationsFault::TooFew => IRollup::invalidateInsufficientAttestationsCall {
                _checkpointNumber: number,
                _attestations: attestations,
                _committee: committee,
            }
            .abi_encode(),
        }
        .into()
    }
}

/// As whom a node drops a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It proposes in the slot, and would have to build on it.
    Proposer,
    /// It has a seat in the slot's committee.
    Member,
    /// It has none.
    Anyone,
}

/// How long after the beginning of a bad checkpoint's slot a node drops it that does not propose; `None` never does. So
/// that not all of them pay for it at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidationDelays {
    /// As a member of the committee.
    pub as_member: Option<Duration>,
    /// As anyone.
    pub as_anyone: Option<Duration>,
}

impl InvalidationDelays {
    /// Whether it is time for a node of this standing, this long after the beginning of the bad checkpoint's slot.
    #[must_use]
    pub fn are_over(&self, standing: Standing, age: Duration) -> bool {
        match standing {
            Standing::Proposer => true,
            Standing::Member => self.as_member.is_some_and(|delay| age >= delay),
            Standing::Anyone => self.as_anyone.is_some_and(|delay| age >= delay),
        }
    }
}

/// What was asked for already: each checkpoint once in a slot.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<BTreeSet<(Slot, CheckpointNumber)>>);

impl Asked {
    /// Slots remembered.
    const KEPT: usize = 16;

    /// Whether this is the first time.
    pub(crate) fn is_new(&self, slot: Slot, number: CheckpointNumber) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = asked.insert((slot, number));
        while asked.len() > Self::KEPT {
            asked.pop_first();
        }
        is_new
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloy::primitives::{B256, I256};
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use fermata_primitives::Epoch;
    use fermata_rollup::{
        BlobCommitments, CheckpointHeader, CommitteeAttestations as Seats, L1Signature, payload_digest, signing_hash,
    };

    use super::*;

    const ARCHIVE: B256 = B256::repeat_byte(7);

    pub(crate) fn keys() -> Vec<PrivateKeySigner> {
        (1..=4).map(|n| PrivateKeySigner::from_bytes(&B256::repeat_byte(n)).expect("a valid key")).collect()
    }

    pub(crate) fn committee(keys: &[PrivateKeySigner]) -> Committee {
        let members = keys.iter().map(PrivateKeySigner::address).collect();
        Committee { epoch: Epoch(0), seed: U256::ZERO, members }
    }

    /// A proposal for which each seat that `signed` gives a key for has signed with that key.
    pub(crate) fn proposal(committee: &Committee, signed: &[Option<&PrivateKeySigner>]) -> Propose {
        let header = CheckpointHeader::default();
        let digest = payload_digest(ARCHIVE, I256::ZERO, header.hash());
        let mut seats = Seats::unsigned(&committee.members);
        for (member, key) in committee.members.iter().zip(signed) {
            if let Some(key) = key {
                seats.add(*member, key.sign_hash_sync(&signing_hash(digest)).expect("signs")).expect("a member");
            }
        }
        Propose {
            archive: ARCHIVE,
            fee_asset_price_modifier: I256::ZERO,
            header,
            attestations: seats.pack(),
            signers: seats.signers(),
            attestations_and_signers_signature: L1Signature::EMPTY,
            commitments: BlobCommitments::default(),
        }
    }

    fn invalid(fault: AttestationsFault) -> InvalidCheckpoint {
        let keys = keys();
        let committee = Arc::new(committee(&keys));
        let attestations = proposal(&committee, &[Some(&keys[0]), None, None, None]).attestations;
        InvalidCheckpoint { number: CheckpointNumber(5), slot: Slot(9), committee, attestations, fault }
    }

    #[test]
    fn a_fault_is_found_where_there_is_one() {
        let keys = keys();
        let committee = committee(&keys);
        let [a, b, c, d] = [&keys[0], &keys[1], &keys[2], &keys[3]].map(Some);
        let cases: [([Option<&PrivateKeySigner>; 4], _); 6] = [
            ([a, b, c, d], None),
            ([a, b, c, None], None),
            ([a, b, None, None], Some(AttestationsFault::TooFew)),
            ([a, b, c, c], Some(AttestationsFault::Bad { seat: 3 })),
            // A bad one tells more than that they are too few.
            ([a, d, None, None], Some(AttestationsFault::Bad { seat: 1 })),
            ([None; 4], Some(AttestationsFault::TooFew)),
        ];
        for (signed, fault) in cases {
            assert_eq!(fault_of(&proposal(&committee, &signed), &committee).expect("well-formed"), fault);
        }
    }

    #[test]
    fn a_seat_of_somebody_else_is_bad_also_where_it_did_not_sign() {
        let keys = keys();
        let of_others = committee(&keys);
        let mut ours = of_others.clone();
        ours.members[2] = Address::repeat_byte(9);
        let signed = [Some(&keys[0]), Some(&keys[1]), None, Some(&keys[3])];
        let fault = fault_of(&proposal(&of_others, &signed), &ours).expect("well-formed");
        assert_eq!(fault, Some(AttestationsFault::Bad { seat: 2 }));
    }

    #[test]
    fn attestations_of_another_size_are_an_error_and_no_fault() {
        let keys = keys();
        let four = committee(&keys);
        let mut nine = four.clone();
        nine.members.extend([Address::ZERO; 5]);
        assert!(fault_of(&proposal(&four, &[None; 4]), &nine).is_err());
    }

    #[test]
    fn each_fault_has_its_call_with_the_contracts_arguments() {
        let rollup = Address::repeat_byte(3);
        let bad = invalid(AttestationsFault::Bad { seat: 2 });
        let action = bad.action(rollup, Slot(12));
        assert_eq!((action.kind, action.slot, action.to), (ActionKind::InvalidateBadAttestation, Slot(12), rollup));
        let call = IRollup::invalidateBadAttestationCall::abi_decode(&action.calldata).expect("this call");
        assert_eq!((call._checkpointNumber, call._invalidIndex), (U256::from(5), U256::from(2)));
        assert_eq!((call._attestations, call._committee), (bad.attestations, bad.committee.members.clone()));

        let few = invalid(AttestationsFault::TooFew);
        let action = few.action(rollup, Slot(12));
        assert_eq!(action.kind, ActionKind::InvalidateTooFewAttestations);
        let call = IRollup::invalidateInsufficientAttestationsCall::abi_decode(&action.calldata).expect("this call");
        assert_eq!((call._checkpointNumber, call._attestations), (U256::from(5), few.attestations));
    }

    #[test]
    fn the_proposer_drops_at_once_a_member_later_and_anyone_last() {
        let secs = Duration::from_secs;
        let delays = InvalidationDelays { as_member: Some(secs(144)), as_anyone: Some(secs(432)) };
        let never = InvalidationDelays { as_member: None, as_anyone: None };
        let cases = [
            (Standing::Proposer, delays, secs(0), true),
            (Standing::Member, delays, secs(143), false),
            (Standing::Member, delays, secs(144), true),
            (Standing::Anyone, delays, secs(431), false),
            (Standing::Anyone, delays, secs(432), true),
            (Standing::Proposer, never, secs(0), true),
            (Standing::Member, never, secs(9_999), false),
            (Standing::Anyone, never, secs(9_999), false),
        ];
        for (standing, delays, age, is_time) in cases {
            assert_eq!(delays.are_over(standing, age), is_time, "{standing:?} after {age:?}");
        }
    }

    #[test]
    fn a_checkpoint_is_asked_for_once_a_slot_and_again_in_the_next() {
        let asked = Asked::default();
        assert!(asked.is_new(Slot(1), CheckpointNumber(4)));
        assert!(!asked.is_new(Slot(1), CheckpointNumber(4)));
        assert!(asked.is_new(Slot(1), CheckpointNumber(3)));
        assert!(asked.is_new(Slot(2), CheckpointNumber(4)));
        (3..40).for_each(|slot| assert!(asked.is_new(Slot(slot), CheckpointNumber(4))));
        assert_eq!(asked.0.lock().unwrap().len(), Asked::KEPT);
    }
}
