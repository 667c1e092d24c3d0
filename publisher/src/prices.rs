//! What L1 asks for, as several sources tell it.
//!
//! A source may be wrong: a node suggests a tip out of thin air, or computes the blob base fee by the rules of an old fork.
//! The higher of two is believed, as far as it may be bid at all: too low a bid costs the slot.

use std::sync::{Mutex, PoisonError};

use tracing::{info, warn};

use crate::{FeeConfig, ForkSchedule, L1HeadInfo};

/// Two tips differ by a bound when one is more than this many times the other: fees of blocks are no exact science.
const TIP_FACTOR: u128 = 8;

/// Tips are asked for again after so many blocks: when none of those they are of is among the last ones any more.
const TIPS_LAST: u64 = 10;

/// What the sources said at one head. All in wei; `None` where a source says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PriceSources {
    /// The tip that the node suggests (`eth_maxPriorityFeePerGas`).
    pub suggested_tip: Option<u128>,
    /// The median tip of the last blocks (`eth_feeHistory`).
    pub paid_tip: Option<u128>,
    /// The blob base fee of the head, as the node tells it (`eth_blobBaseFee`).
    pub told_blob_base_fee: Option<u128>,
    /// The same by the head's excess blob gas and the chain's forks.
    pub computed_blob_base_fee: Option<u128>,
}

/// What is bid by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Prices {
    pub(crate) tip: u128,
    pub(crate) blob_base_fee: Option<u128>,
}

/// Something that the sources do not agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disputed {
    /// The tips are far apart.
    Tip,
    /// The blob base fees are further apart than two blocks in a row can be.
    BlobBaseFee,
}

/// How the prices of L1 were told last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PricesStatus {
    /// What each source said.
    pub sources: PriceSources,
    /// What they do not agree on.
    pub disputed: Vec<Disputed>,
}

impl PriceSources {
    /// What is bid by, within `config`.
    pub(crate) fn agreed(&self, config: &FeeConfig) -> Prices {
        let tip = higher_within(self.suggested_tip, self.paid_tip, config.tip_cap);
        let ceiling = config.blob_fee_ceiling / 2;
        let blob_base_fee = higher_within(self.told_blob_base_fee, self.computed_blob_base_fee, ceiling);
        // Where no source has a tip, the configured floor decides.
        Prices { tip: tip.unwrap_or(0), blob_base_fee }
    }

    /// What they do not agree on.
    fn disputed(&self, config: &FeeConfig) -> Vec<Disputed> {
        let is_far = |one: Option<u128>, other: Option<u128>, is_far: &dyn Fn(u128, u128) -> bool| {
            one.zip(other).is_some_and(|(one, other)| is_far(one.min(other), one.max(other)))
        };
        let floor = config.tip_floor.max(1);
        let tips_are_far = |low: u128, high: u128| high.max(floor) / low.max(floor) > TIP_FACTOR;
        // A node may tell that of the next block: within one block it changes by an eighth at most.
        let fees_are_far = |low: u128, high: u128| high > low.saturating_add(low / 8).saturating_add(1);
        let mut disputed = Vec::new();
        if is_far(self.suggested_tip, self.paid_tip, &tips_are_far) {
            disputed.push(Disputed::Tip);
        }
        if is_far(self.told_blob_base_fee, self.computed_blob_base_fee, &fees_are_far) {
            disputed.push(Disputed::BlobBaseFee);
        }
        disputed
    }
}

/// The blob base fee of the head by its excess blob gas, where it tells that, and the chain's forks.
pub(crate) fn computed_blob_base_fee(head: &L1HeadInfo, forks: Option<&ForkSchedule>) -> Option<u128> {
    let (forks, excess) = forks.zip(head.excess_blob_gas)?;
    forks.blob_base_fee(head.timestamp, excess)
}

/// The higher of two, or the lower where the higher is more than may be bid.
fn higher_within(one: Option<u128>, other: Option<u128>, ceiling: u128) -> Option<u128> {
    let (low, high) = (one.into_iter().chain(other).min()?, one.into_iter().chain(other).max()?);
    Some(if high <= ceiling { high } else { low })
}

/// The median of the tips of blocks, in wei; `None` without any.
pub(crate) fn median(mut tips: Vec<u128>) -> Option<u128> {
    tips.sort_unstable();
    tips.get(tips.len() / 2).copied()
}

/// Remembers what was said last, and tells where sources begin and cease to disagree.
#[derive(Debug, Default)]
pub(crate) struct PriceWatch {
    seen: Mutex<PricesStatus>,
    /// The block at which tips were asked for last.
    tips_of: Mutex<Option<u64>>,
}

impl PriceWatch {
    /// True when the tips that are known are too old at this block.
    pub(crate) fn is_due(&self, block: u64) -> bool {
        let tips_of = *self.tips_of.lock().unwrap_or_else(PoisonError::into_inner);
        tips_of.is_none_or(|of| !(of..of + TIPS_LAST).contains(&block))
    }

    /// Tips were asked for at this block.
    pub(crate) fn note_tips_of(&self, block: u64) {
        *self.tips_of.lock().unwrap_or_else(PoisonError::into_inner) = Some(block);
    }

    /// What the sources say, with the tips they said last.
    pub(crate) fn with_last_tips(&self, told: PriceSources) -> PriceSources {
        let PriceSources { suggested_tip, paid_tip, .. } = self.status().sources;
        PriceSources { suggested_tip, paid_tip, ..told }
    }

    /// Takes in what the sources say now; gives what is bid by.
    pub(crate) fn see(&self, sources: PriceSources, config: &FeeConfig) -> Prices {
        let disputed = sources.disputed(config);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Blobs are not priced at every head.
        let is_about_blobs = sources.told_blob_base_fee.is_some();
        for what in [Disputed::Tip, Disputed::BlobBaseFee] {
            match (seen.disputed.contains(&what), disputed.contains(&what)) {
                (false, true) => warn!(?what, ?sources, "sources of L1's prices disagree: the higher is believed"),
                (true, false) if what == Disputed::Tip || is_about_blobs => info!(?what, "they agree again"),
                (true, false) | (false, false) | (true, true) => {}
            }
        }
        let is_kept = |what: &Disputed| *what == Disputed::BlobBaseFee && !is_about_blobs;
        let kept = seen.disputed.iter().copied().filter(is_kept);
        let disputed = disputed.iter().copied().chain(kept).collect();
        *seen = PricesStatus { sources, disputed };
        sources.agreed(config)
    }

    pub(crate) fn status(&self) -> PricesStatus {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use alloy::eips::eip7840::BlobParams;
    use alloy::primitives::B256;
    use fermata_primitives::L1Timestamp;

    use super::*;

    const GWEI: u128 = 1_000_000_000;

    fn tips(suggested: Option<u128>, paid: Option<u128>) -> PriceSources {
        PriceSources { suggested_tip: suggested, paid_tip: paid, ..PriceSources::default() }
    }

    fn blob_fees(told: u128, computed: u128) -> PriceSources {
        PriceSources {
            told_blob_base_fee: Some(told),
            computed_blob_base_fee: Some(computed),
            ..PriceSources::default()
        }
    }

    #[test]
    fn the_higher_tip_counts_unless_it_is_above_the_cap_and_one_source_is_enough() {
        let config = FeeConfig { tip_cap: 20 * GWEI, ..FeeConfig::default() };
        let cases = [
            (tips(Some(2), Some(3)), 3),
            (tips(Some(3), None), 3),
            (tips(None, Some(3)), 3),
            (tips(Some(500 * GWEI), Some(2 * GWEI)), 2 * GWEI),
            (tips(Some(500 * GWEI), Some(30 * GWEI)), 30 * GWEI),
            (tips(None, None), 0),
        ];
        for (sources, tip) in cases {
            assert_eq!(sources.agreed(&config).tip, tip, "{sources:?}");
        }
    }

    #[test]
    fn the_higher_blob_fee_counts_unless_no_first_send_may_bid_it() {
        let config = FeeConfig { blob_fee_ceiling: 200, ..FeeConfig::default() };
        for (told, computed, agreed) in [(7, 9, 9), (9, 7, 9), (101, 9, 9), (9, 101, 9), (300, 101, 101)] {
            assert_eq!(blob_fees(told, computed).agreed(&config).blob_base_fee, Some(agreed), "{told} {computed}");
        }
        assert_eq!(tips(None, None).agreed(&config).blob_base_fee, None);
    }

    #[test]
    fn what_one_block_can_explain_is_no_dispute_and_what_it_cannot_is() {
        let config = FeeConfig::default();
        let is_disputed = |sources: PriceSources| !sources.disputed(&config).is_empty();
        assert!(
            !is_disputed(blob_fees(1, 1)) && !is_disputed(blob_fees(1, 2)) && !is_disputed(blob_fees(1_000, 1_081))
        );
        assert_eq!(blob_fees(1_000, 1_200).disputed(&config), [Disputed::BlobBaseFee]);
        assert_eq!(blob_fees(1_200, 1_000).disputed(&config), [Disputed::BlobBaseFee]);
        assert!(!is_disputed(tips(Some(1), Some(GWEI))), "below the floor no tip matters");
        assert!(!is_disputed(tips(Some(2 * GWEI), Some(9 * GWEI))) && !is_disputed(tips(None, Some(90 * GWEI))));
        assert_eq!(tips(Some(2 * GWEI), Some(90 * GWEI)).disputed(&config), [Disputed::Tip]);
    }

    #[test]
    fn the_blob_fee_is_computed_from_the_excess_of_the_head_by_the_rules_of_its_time() {
        let (fork, excess) = (L1Timestamp(100), 200_000_000);
        let forks =
            ForkSchedule::new(L1Timestamp(0), vec![(L1Timestamp(0), BlobParams::osaka()), (fork, BlobParams::bpo2())]);
        let head = |at, excess_blob_gas| L1HeadInfo {
            number: 1,
            hash: B256::ZERO,
            timestamp: at,
            base_fee: 1,
            blob_base_fee: None,
            excess_blob_gas,
        };
        let computed = computed_blob_base_fee;
        let before = computed(&head(L1Timestamp(99), Some(excess)), Some(&forks));
        let after = computed(&head(fork, Some(excess)), Some(&forks));
        assert_eq!(before, Some(BlobParams::osaka().calc_blob_fee(excess)));
        assert_eq!(after, Some(BlobParams::bpo2().calc_blob_fee(excess)));
        assert!(before > after);
        assert_eq!(computed(&head(fork, None), Some(&forks)), None);
        assert_eq!(computed(&head(fork, Some(excess)), None), None);
    }

    #[test]
    fn a_dispute_is_shown_until_the_sources_agree_and_heads_without_blobs_settle_none() {
        let (watch, config) = (PriceWatch::default(), FeeConfig::default());
        assert_eq!(watch.see(blob_fees(1_000, 9), &config).blob_base_fee, Some(1_000));
        assert_eq!(watch.status().disputed, [Disputed::BlobBaseFee]);
        watch.see(tips(Some(1), None), &config);
        assert_eq!(watch.status().disputed, [Disputed::BlobBaseFee]);
        watch.see(blob_fees(9, 9), &config);
        assert_eq!(watch.status().disputed, []);
    }

    #[test]
    fn tips_last_a_few_blocks_and_are_asked_for_again_also_where_blocks_went_back() {
        let (watch, config) = (PriceWatch::default(), FeeConfig::default());
        assert!(watch.is_due(7), "none are known");
        watch.see(tips(Some(GWEI), Some(2 * GWEI)), &config);
        watch.note_tips_of(7);
        let due: Vec<_> = (5..19).filter(|block| watch.is_due(*block)).collect();
        assert_eq!(due, [5, 6, 17, 18]);
        let between = watch.with_last_tips(blob_fees(9, 9));
        assert_eq!(between, PriceSources { suggested_tip: Some(GWEI), paid_tip: Some(2 * GWEI), ..blob_fees(9, 9) });
    }

    #[test]
    fn the_median_of_the_tips_ignores_an_outlier() {
        assert_eq!((median(vec![5, 900, 1]), median(vec![4]), median(Vec::new())), (Some(5), Some(4), None));
    }
}
