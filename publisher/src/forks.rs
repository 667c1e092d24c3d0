//! When a chain's rules for blobs change.

use alloy::eips::eip7840::BlobParams;
use fermata_primitives::L1Timestamp;

/// The form of the proofs that a blob transaction is handed over with. Its hash does not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SidecarVersion {
    /// One proof a blob (EIP-4844): before Osaka.
    V0,
    /// Cell proofs (EIP-7594): since Osaka.
    V1,
}

impl SidecarVersion {
    /// The one that this is not.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::V0 => Self::V1,
            Self::V1 => Self::V0,
        }
    }
}

/// A chain's rules for blobs, by the timestamps of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkSchedule {
    osaka: L1Timestamp,
    /// Since when which parameters hold, oldest first.
    params: Vec<(L1Timestamp, BlobParams)>,
}

/// The forks of one chain: Prague, Osaka, and the two that changed the blob parameters alone.
struct Forks {
    prague: u64,
    osaka: u64,
    bpo1: u64,
    bpo2: u64,
}

const MAINNET: Forks = Forks { prague: 1_746_612_311, osaka: 1_764_798_551, bpo1: 1_765_290_071, bpo2: 1_767_747_671 };
const SEPOLIA: Forks = Forks { prague: 1_741_159_776, osaka: 1_760_427_360, bpo1: 1_761_017_184, bpo2: 1_761_607_008 };
const HOLESKY: Forks = Forks { prague: 1_740_434_112, osaka: 1_759_308_480, bpo1: 1_759_800_000, bpo2: 1_760_389_824 };
const HOODI: Forks = Forks { prague: 1_742_999_832, osaka: 1_761_677_592, bpo1: 1_762_365_720, bpo2: 1_762_955_544 };

impl ForkSchedule {
    /// A schedule: cell proofs since `osaka`, and since when which parameters hold.
    #[must_use]
    pub fn new(osaka: L1Timestamp, mut params: Vec<(L1Timestamp, BlobParams)>) -> Self {
        params.sort_by_key(|(since, _)| *since);
        Self { osaka, params }
    }

    /// That of a public chain; `None` for any other.
    #[must_use]
    pub fn of_chain(chain_id: u64) -> Option<Self> {
        let forks = match chain_id {
            1 => MAINNET,
            17_000 => HOLESKY,
            560_048 => HOODI,
            11_155_111 => SEPOLIA,
            _ => return None,
        };
        let params = vec![
            (L1Timestamp(forks.prague), BlobParams::prague()),
            (L1Timestamp(forks.osaka), BlobParams::osaka()),
            (L1Timestamp(forks.bpo1), BlobParams::bpo1()),
            (L1Timestamp(forks.bpo2), BlobParams::bpo2()),
        ];
        Some(Self::new(L1Timestamp(forks.osaka), params))
    }

    /// What a block with this timestamp demands.
    #[must_use]
    pub fn sidecar_at(&self, block: L1Timestamp) -> SidecarVersion {
        if block < self.osaka { SidecarVersion::V0 } else { SidecarVersion::V1 }
    }

    /// The blob base fee, in wei, of a block with this timestamp and excess blob gas; `None` before the schedule begins.
    #[must_use]
    pub fn blob_base_fee(&self, block: L1Timestamp, excess_blob_gas: u64) -> Option<u128> {
        let held = self.params.iter().rev().find(|(since, _)| *since <= block);
        held.map(|(_, params)| params.calc_blob_fee(excess_blob_gas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blob gas that makes blobs cost something with every schedule.
    const EXCESS: u64 = 200_000_000;

    #[test]
    fn a_fork_changes_the_sidecar_and_the_price_in_its_first_block_and_no_earlier() {
        let mainnet = ForkSchedule::of_chain(1).unwrap();
        let before = |at: u64| L1Timestamp(at - 1);
        assert_eq!(mainnet.sidecar_at(before(MAINNET.osaka)), SidecarVersion::V0);
        assert_eq!(mainnet.sidecar_at(L1Timestamp(MAINNET.osaka)), SidecarVersion::V1);
        let fee = |at| mainnet.blob_base_fee(at, EXCESS);
        assert_eq!(fee(before(MAINNET.prague)), None, "older rules are not known");
        assert_eq!(fee(L1Timestamp(MAINNET.prague)), Some(BlobParams::prague().calc_blob_fee(EXCESS)));
        assert_eq!(fee(before(MAINNET.bpo1)), fee(L1Timestamp(MAINNET.prague)), "Osaka left the price as it was");
        assert_eq!(fee(L1Timestamp(MAINNET.bpo1)), Some(BlobParams::bpo1().calc_blob_fee(EXCESS)));
        assert_eq!(fee(L1Timestamp(MAINNET.bpo2)), Some(BlobParams::bpo2().calc_blob_fee(EXCESS)));
        assert!(fee(L1Timestamp(MAINNET.bpo2)) < fee(before(MAINNET.bpo2)), "more room makes the same excess cheaper");
    }

    #[test]
    fn every_public_chain_forked_in_this_order_and_another_chain_has_no_schedule() {
        for chain_id in [1, 17_000, 560_048, 11_155_111] {
            let schedule = ForkSchedule::of_chain(chain_id).unwrap();
            let since: Vec<_> = schedule.params.iter().map(|(since, _)| *since).collect();
            assert!(since.is_sorted() && since[1] == schedule.osaka, "{chain_id}: {since:?}");
        }
        assert_eq!(ForkSchedule::of_chain(31_337), None);
    }

    #[test]
    fn the_price_without_excess_is_the_least_there_is() {
        let now = L1Timestamp(MAINNET.bpo2);
        assert_eq!(ForkSchedule::of_chain(1).unwrap().blob_base_fee(now, 0), Some(1));
    }
}
