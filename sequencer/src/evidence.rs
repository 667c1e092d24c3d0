//! What proposers have signed, and who has signed two things for one duty.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use alloy::primitives::{Address, B256};
use fermata_primitives::Slot;
use fermata_rollup::L1Signature;
use fermata_validator_signer::{Domain, Duty, DutyKind};
use serde::{Deserialize, Serialize};

use crate::network::{Signable, Signed};

/// A digest and its signature: what one can show to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proof {
    /// What was signed. It binds the slot, the kind, the rollup and the content.
    pub digest: B256,
    /// By whom it was signed can be recovered from it.
    pub signature: L1Signature,
}

/// Two proposals of one proposer for one duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Equivocation {
    /// The duty, and whose it is.
    pub duty: Duty,
    /// The proposal that came first.
    pub first: Proof,
    /// The other one.
    pub second: Proof,
}

/// What the memory says about a proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Memory {
    /// It is the first for its duty.
    New,
    /// It was heard before.
    Known,
    /// Another was heard before: here is the evidence. It is given once a duty.
    Conflicting(Option<Box<Equivocation>>),
}

/// Slots whose proposals are remembered.
const SLOTS: usize = 8;
/// Proposals remembered at most.
const PROPOSALS: usize = 4_096;
/// Pieces of evidence kept; the oldest go first.
const KEPT: usize = 256;

#[derive(Debug, Default)]
struct State {
    heard: BTreeMap<(Slot, DutyKind, Address), Proof>,
    evidence: VecDeque<Equivocation>,
}

/// Proposals heard of late, and the evidence against those who signed two.
#[derive(Debug, Default)]
pub struct Evidence(Mutex<State>);

impl Evidence {
    /// With what was seen before the process began.
    #[must_use]
    pub fn with(evidence: Vec<Equivocation>) -> Self {
        Self(Mutex::new(State { heard: BTreeMap::new(), evidence: evidence.into() }))
    }

    /// Remembers what `proposer` has signed, and says whether it is news. Its signature was checked.
    pub fn note<T: Signable>(&self, signed: &Signed<T>, proposer: Address, domain: &Domain) -> Memory {
        let duty = signed.content().duty(proposer);
        let second = Proof { digest: signed.content().digest(domain), signature: signed.signature() };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = state.heard.get(&(duty.slot, duty.kind, proposer)).copied() else {
            state.heard.insert((duty.slot, duty.kind, proposer), second);
            state.forget_old();
            return Memory::New;
        };
        if first.digest == second.digest {
            return Memory::Known;
        }
        if state.evidence.iter().any(|known| known.duty == duty) {
            return Memory::Conflicting(None);
        }
        let equivocation = Equivocation { duty, first, second };
        state.evidence.push_back(equivocation);
        if state.evidence.len() > KEPT {
            state.evidence.pop_front();
        }
        Memory::Conflicting(Some(Box::new(equivocation)))
    }

    /// The evidence so far, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Equivocation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).evidence.iter().copied().collect()
    }
}

impl State {
    fn forget_old(&mut self) {
        let slots: std::collections::BTreeSet<Slot> = self.heard.keys().map(|(slot, ..)| *slot).collect();
        if let Some(oldest) = slots.iter().rev().nth(SLOTS) {
            let oldest = *oldest;
            self.heard.retain(|(slot, ..), _| *slot > oldest);
        }
        // Where there is no committee anyone proposes, under any key.
        while self.heard.len() > PROPOSALS {
            self.heard.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::consensus::Header;
    use alloy::primitives::keccak256;
    use fermata_execution::Block;

    use super::*;
    use crate::network::ProposedBlock;

    const DOMAIN: Domain = Domain { l1_chain_id: 1, rollup: Address::ZERO };
    const PROPOSER: Address = Address::repeat_byte(7);

    fn signed(slot: u64, index: u16, number: u64) -> Signed<ProposedBlock> {
        let block = Block::new(Header { number, ..Header::default() }, Vec::new());
        let signature = L1Signature { v: 27, r: keccak256([number as u8]), s: B256::ZERO };
        Signed::new(ProposedBlock { slot: Slot(slot), index, block }, signature)
    }

    #[test]
    fn two_proposals_for_one_duty_are_evidence_once_and_the_same_one_twice_is_none() {
        let evidence = Evidence::default();
        assert_eq!(evidence.note(&signed(1, 0, 1), PROPOSER, &DOMAIN), Memory::New);
        assert_eq!(evidence.note(&signed(1, 0, 1), PROPOSER, &DOMAIN), Memory::Known);
        let Memory::Conflicting(Some(found)) = evidence.note(&signed(1, 0, 2), PROPOSER, &DOMAIN) else {
            panic!("another proposal for the same duty is evidence");
        };
        assert_eq!(found.duty, Duty { validator: PROPOSER, slot: Slot(1), kind: DutyKind::BlockProposal { index: 0 } });
        assert_ne!(found.first.digest, found.second.digest);
        assert_eq!(evidence.note(&signed(1, 0, 3), PROPOSER, &DOMAIN), Memory::Conflicting(None));
        assert_eq!(evidence.all(), [*found]);
    }

    #[test]
    fn another_place_or_another_slot_is_another_duty() {
        let evidence = Evidence::default();
        for (slot, index) in [(1, 0), (1, 1), (2, 0)] {
            assert_eq!(evidence.note(&signed(slot, index, slot), PROPOSER, &DOMAIN), Memory::New);
        }
        assert!(evidence.all().is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let evidence = Evidence::default();
        for slot in 0..100 {
            evidence.note(&signed(slot, 0, 1), PROPOSER, &DOMAIN);
            evidence.note(&signed(slot, 1, 1), PROPOSER, &DOMAIN);
        }
        assert_eq!(evidence.0.lock().expect("nobody panicked").heard.len(), 2 * SLOTS);
    }
}
