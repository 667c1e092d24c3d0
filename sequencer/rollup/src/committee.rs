//! Who sits in an epoch's committee, and who proposes in a slot.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::sol_types::SolValue;
use fermata_primitives::{Epoch, Slot};
use serde::{Deserialize, Serialize};

use crate::error::{Result, RollupError};

/// Draws `committee_size` distinct indices below `set_size`, as the contract does: each draw takes the index at a
/// pseudo-random position and puts the last one in its place.
///
/// # Errors
/// [`RollupError::TooFewValidators`] where the set is smaller than the committee.
pub fn sample_indices(seed: U256, set_size: u64, committee_size: u64) -> Result<Vec<u64>> {
    if committee_size > set_size {
        return Err(RollupError::TooFewValidators { committee: committee_size, set: set_size });
    }
    let mut moved = BTreeMap::new();
    let draw = |draw: u64| {
        let left = set_size - draw;
        let position = sample_position(seed, draw, left);
        let last = left - 1;
        let index = moved.get(&position).copied().unwrap_or(position);
        let last_index = moved.get(&last).copied().unwrap_or(last);
        moved.insert(position, last_index);
        index
    };
    Ok((0..committee_size).map(draw).collect())
}

/// The position below `count` that the draw of this number hits.
fn sample_position(seed: U256, draw: u64, count: u64) -> u64 {
    let hash = keccak256((seed, U256::from(draw)).abi_encode_packed());
    remainder(hash, count)
}

/// Which seat of a committee of `size` proposes in the slot; `None` where there is no committee.
#[must_use]
pub fn proposer_index(epoch: Epoch, slot: Slot, seed: U256, size: usize) -> Option<usize> {
    let size = u64::try_from(size).ok().filter(|&size| size > 0)?;
    let hash = keccak256((U256::from(epoch.0), U256::from(slot.0), seed).abi_encode_params());
    usize::try_from(remainder(hash, size)).ok()
}

fn remainder(hash: B256, count: u64) -> u64 {
    let remainder = U256::from_be_bytes(hash.0) % U256::from(count);
    u64::try_from(remainder).expect("a remainder is less than its 64-bit divisor")
}

/// How many of `committee_size` members must attest: more than two thirds.
#[must_use]
pub const fn quorum(committee_size: usize) -> usize {
    committee_size * 2 / 3 + 1
}

/// An epoch's committee, in the order the contract samples it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Committee {
    /// The epoch it serves.
    pub epoch: Epoch,
    /// The epoch's sample seed.
    pub seed: U256,
    /// Its members; empty where the rollup runs without a committee.
    pub members: Vec<Address>,
}

impl Committee {
    /// The seat that proposes in the slot, which must be of this committee's epoch; `None` without members.
    #[must_use]
    pub fn proposer_seat(&self, slot: Slot) -> Option<usize> {
        proposer_index(self.epoch, slot, self.seed, self.members.len())
    }

    /// Who proposes in the slot, which must be of this committee's epoch; `None` without members: then anyone may.
    #[must_use]
    pub fn proposer(&self, slot: Slot) -> Option<Address> {
        self.members.get(self.proposer_seat(slot)?).copied()
    }

    /// The member's seat.
    #[must_use]
    pub fn position(&self, member: Address) -> Option<usize> {
        self.members.iter().position(|&seat| seat == member)
    }

    /// How many members must attest a checkpoint; zero without members, since L1 then checks no attestation.
    #[must_use]
    pub const fn quorum(&self) -> usize {
        if self.members.is_empty() { 0 } else { quorum(self.members.len()) }
    }

    /// The committee's hash, as L1 stores it.
    #[must_use]
    pub fn commitment(&self) -> B256 {
        keccak256(self.members.abi_encode())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The contract's algorithm written the long way: a list from which each draw is swapped out.
    fn sample_by_list(seed: U256, set_size: u64, committee_size: u64) -> Vec<u64> {
        let mut list: Vec<u64> = (0..set_size).collect();
        (0..committee_size)
            .map(|draw| {
                let position = sample_position(seed, draw, list.len() as u64);
                list.swap_remove(usize::try_from(position).expect("small"))
            })
            .collect()
    }

    #[test]
    fn a_set_smaller_than_the_committee_is_refused() {
        let refused = sample_indices(U256::from(1), 3, 4);
        assert!(matches!(refused, Err(RollupError::TooFewValidators { committee: 4, set: 3 })));
    }

    #[test]
    fn the_quorum_is_more_than_two_thirds() {
        let quorums: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 24, 48].into_iter().map(quorum).collect();
        assert_eq!(quorums, [1, 2, 3, 3, 4, 5, 5, 17, 33]);
    }

    #[test]
    fn without_members_there_is_no_proposer_and_no_quorum() {
        let nobody = Committee { epoch: Epoch(1), seed: U256::from(1), members: Vec::new() };
        assert_eq!((nobody.proposer(Slot(3)), nobody.quorum()), (None, 0));
    }

    #[test]
    fn every_member_gets_its_turn() {
        let members: Vec<_> = (1..=4).map(Address::repeat_byte).collect();
        let committee = Committee { epoch: Epoch(3), seed: U256::from(99), members: members.clone() };
        let proposers: BTreeSet<_> = (0..200).filter_map(|slot| committee.proposer(Slot(slot))).collect();
        assert_eq!(proposers, members.iter().copied().collect());
        assert_eq!(committee.position(members[2]), Some(2));
        assert_eq!(committee.position(Address::ZERO), None);
    }

    proptest! {
        #[test]
        fn sampling_yields_distinct_indices_below_the_set_size(
            seed: [u8; 32], (set, committee) in (1_u64..200).prop_flat_map(|set| (Just(set), 0..=set)),
        ) {
            let seed = U256::from_be_bytes(seed);
            let indices = sample_indices(seed, set, committee).expect("large enough");
            prop_assert_eq!(indices.len() as u64, committee);
            prop_assert!(indices.iter().all(|&index| index < set));
            prop_assert_eq!(indices.iter().collect::<BTreeSet<_>>().len(), indices.len());
            prop_assert_eq!(indices, sample_by_list(seed, set, committee));
        }

        #[test]
        fn the_proposer_is_one_of_the_committee(epoch: u64, slot: u64, seed: [u8; 32], size in 1_usize..100) {
            let index = proposer_index(Epoch(epoch), Slot(slot), U256::from_be_bytes(seed), size);
            prop_assert!(index.is_some_and(|index| index < size));
        }

        #[test]
        fn the_commitment_changes_with_the_order(a: [u8; 20], b: [u8; 20]) {
            prop_assume!(a != b);
            let of = |members: [[u8; 20]; 2]| {
                let members = members.into_iter().map(Address::from).collect();
                Committee { epoch: Epoch(0), seed: U256::ZERO, members }.commitment()
            };
            prop_assert_ne!(of([a, b]), of([b, a]));
        }
    }
}
