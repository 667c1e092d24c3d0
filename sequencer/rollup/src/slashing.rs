//! Votes on whom to slash: their rounds, their packing, and what is signed.

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{SolCall, SolStruct};
use fermata_primitives::{Epoch, Slot};

use crate::contracts::ISlashingProposer;
use crate::{L1Signature, VerifyingContract};

/// Seats that one byte of a vote has room for.
const SEATS_PER_BYTE: usize = 4;

/// A round of votes: a run of slots whose proposers vote on the same committees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlashRound(pub u64);

/// How much a seat shall lose, in the contract's three steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct SlashUnits(u8);

impl SlashUnits {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The greatest step.
    pub const MOST: Self = Self(3);

    /// This many units; more than the greatest step is the greatest step.
    #[must_use]
    pub const fn capped(units: u64) -> Self {
        if units < Self::MOST.0 as u64 { Self(units as u8) } else { Self::MOST }
    }

    /// Both together, up to the greatest step.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::capped(self.0 as u64 + other.0 as u64)
    }
}

/// How the slashing contract counts, as it was deployed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlashingRules {
    /// Slots of a round.
    pub round_slots: u64,
    /// Epochs of a round.
    pub round_epochs: u64,
    /// Seats of a committee.
    pub committee_size: u64,
    /// Votes needed in a round.
    pub quorum: u64,
    /// Rounds by which the epochs voted on are older than the vote.
    pub offset_rounds: u64,
    /// Full rounds that a result waits after its round.
    pub execution_delay_rounds: u64,
    /// Rounds after its own in which a result can be executed.
    pub lifetime_rounds: u64,
}

impl SlashingRules {
    /// The round that a vote in the slot belongs to.
    #[must_use]
    pub const fn round_of(&self, slot: Slot) -> SlashRound {
        SlashRound(slot.0 / self.round_slots)
    }

    /// The epochs whose committees the round votes on, in the order of the vote; empty while voting has not opened.
    #[must_use]
    pub fn target_epochs(&self, round: SlashRound) -> Vec<Epoch> {
        let Some(target) = round.0.checked_sub(self.offset_rounds) else { return Vec::new() };
        let first = target * self.round_epochs;
        (first..first + self.round_epochs).map(Epoch).collect()
    }

    /// The rounds whose results can be executed in the slot, oldest first.
    #[must_use]
    pub fn executable_in(&self, slot: Slot) -> Vec<SlashRound> {
        let current = self.round_of(slot).0;
        // Before the offset nobody could vote.
        let oldest = current.saturating_sub(self.lifetime_rounds).max(self.offset_rounds);
        let end = current.saturating_sub(self.execution_delay_rounds);
        (oldest..end).map(SlashRound).collect()
    }
}

/// What is signed, as the contract has it.
mod typed {
    alloy::sol! {
        #[derive(serde::Serialize)]
        struct Vote {
            bytes votes;
            uint256 slot;
        }
    }
}

/// A vote of the slot's proposer on every seat of the round's committees. The contract counts one a slot, in that slot
/// alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlashVote {
    /// The slot it is cast in.
    pub slot: Slot,
    votes: Bytes,
}

impl SlashVote {
    /// A vote for these units: seat by seat in committee order, epoch by epoch. Two bits a seat, the first seat in a
    /// byte's lowest bits.
    #[must_use]
    pub fn pack(slot: Slot, seats: &[SlashUnits]) -> Self {
        let byte = |seats: &[SlashUnits]| seats.iter().rev().fold(0, |byte, units| byte << 2 | units.0);
        Self { slot, votes: seats.chunks(SEATS_PER_BYTE).map(byte).collect() }
    }

    /// The packed units, as the contract keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.votes
    }

    /// The EIP-712 hash the proposer signs as it stands, for the slashing contract.
    #[must_use]
    pub fn digest(&self, slashing_proposer: VerifyingContract) -> B256 {
        self.typed().eip712_signing_hash(&slashing_proposer.domain("TallySlashingProposer"))
    }

    /// What [`digest`](Self::digest) is the hash of, for a signer that hashes it itself.
    #[must_use]
    pub fn typed_data(&self, slashing_proposer: VerifyingContract) -> TypedData {
        TypedData::from_struct(&self.typed(), Some(slashing_proposer.domain("TallySlashingProposer")))
    }

    fn typed(&self) -> typed::Vote {
        typed::Vote { votes: self.votes.clone(), slot: U256::from(self.slot.0) }
    }

    /// The call as data for the slashing contract. Anyone may send it.
    #[must_use]
    pub fn calldata(&self, signature: L1Signature) -> Bytes {
        ISlashingProposer::voteCall { _votes: self.votes.clone(), _sig: signature.into() }.abi_encode().into()
    }
}

impl SlashRound {
    /// The call that carries out the round's result, as data for the slashing contract; `committees` are those of the
    /// round's target epochs, in order. Anyone may send it.
    #[must_use]
    pub fn execute_calldata(self, committees: Vec<Vec<Address>>) -> Bytes {
        let call = ISlashingProposer::executeRoundCall { _round: U256::from(self.0), _committees: committees };
        call.abi_encode().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: SlashingRules = SlashingRules {
        round_slots: 20,
        round_epochs: 10,
        committee_size: 4,
        quorum: 11,
        offset_rounds: 2,
        execution_delay_rounds: 1,
        lifetime_rounds: 4,
    };

    #[test]
    fn a_round_votes_on_the_committees_of_the_offset_before_it() {
        assert_eq!(RULES.round_of(Slot(79)), SlashRound(3));
        assert_eq!(RULES.round_of(Slot(80)), SlashRound(4));
        assert_eq!(RULES.target_epochs(SlashRound(4)), (20..30).map(Epoch).collect::<Vec<_>>());
        assert_eq!(RULES.target_epochs(SlashRound(2)), (0..10).map(Epoch).collect::<Vec<_>>());
        assert!(RULES.target_epochs(SlashRound(1)).is_empty(), "voting has not opened");
    }

    #[test]
    fn a_result_can_be_executed_after_its_delay_and_within_its_lifetime() {
        let rounds = |slot| RULES.executable_in(Slot(slot)).iter().map(|round| round.0).collect::<Vec<_>>();
        assert_eq!(rounds(79), Vec::<u64>::new(), "in round 3, the result of round 2 waits");
        assert_eq!(rounds(80), [2]);
        assert_eq!(rounds(200), [6, 7, 8], "in round 10, that of round 5 was dropped");
    }

    #[test]
    fn the_first_seat_is_in_the_lowest_bits_of_the_first_byte() {
        let units = [1, 0, 2, 3, 0, 0, 0, 3].map(SlashUnits);
        assert_eq!(SlashVote::pack(Slot(1), &units).as_bytes().as_ref(), [0b1110_0001, 0b1100_0000]);
    }

    #[test]
    fn units_are_capped_at_the_greatest_step() {
        let cases = [(0, 0, 0), (1, 1, 2), (2, 1, 3), (3, 3, 3)];
        for (one, other, both) in cases {
            assert_eq!(SlashUnits::capped(one).and(SlashUnits::capped(other)), SlashUnits::capped(both));
        }
        assert_eq!(SlashUnits::capped(u64::MAX), SlashUnits::MOST);
    }

    #[test]
    fn the_typed_data_of_a_vote_hashes_to_its_digest() {
        let contract = VerifyingContract { l1_chain_id: 31_337, address: Address::repeat_byte(3) };
        let vote = SlashVote::pack(Slot(300), &[SlashUnits::MOST, SlashUnits::NONE, SlashUnits::capped(2)]);
        let written = serde_json::to_string(&vote.typed_data(contract)).expect("JSON");
        let read: TypedData = serde_json::from_str(&written).expect("typed data");
        assert_eq!(read.eip712_signing_hash().expect("a hash"), vote.digest(contract), "{written}");
    }

    #[test]
    fn the_votes_the_slot_and_the_contract_count_for_the_digest() {
        let contract = VerifyingContract { l1_chain_id: 31_337, address: Address::repeat_byte(3) };
        let vote = SlashVote::pack(Slot(7), &[SlashUnits::MOST; 4]);
        let digests = [
            vote.digest(contract),
            SlashVote::pack(Slot(8), &[SlashUnits::MOST; 4]).digest(contract),
            SlashVote::pack(Slot(7), &[SlashUnits::NONE; 4]).digest(contract),
            vote.digest(VerifyingContract { address: Address::ZERO, ..contract }),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    proptest! {
        #[test]
        fn every_seat_is_read_back_as_the_contract_does(units in proptest::collection::vec(0_u8..4, 0..40)) {
            let seats: Vec<_> = units.iter().copied().map(SlashUnits).collect();
            let vote = SlashVote::pack(Slot(1), &seats);
            let bytes = vote.as_bytes();
            prop_assert_eq!(bytes.len(), units.len().div_ceil(4));
            for (seat, units) in units.iter().enumerate() {
                prop_assert_eq!(bytes[seat / 4] >> (seat % 4 * 2) & 0x03, *units);
            }
        }
    }
}
