//! What a transaction bids, as pure functions.
//!
//! The first send is priced for the whole time left to its deadline: a cap that is too high costs only reserved balance,
//! while a replacement of a blob transaction doubles everything. So a rise of the base fee needs no second send.

use alloy::eips::eip4844::DATA_GAS_PER_BLOB;
use alloy::primitives::U256;
use serde::{Deserialize, Serialize};

/// One gwei in wei.
const GWEI: u128 = 1_000_000_000;
/// Most the base fee rises from one L1 block to the next (EIP-1559): 1.125.
const BASE_FEE_GROWTH: (u128, u128) = (1_125, 1_000);
/// Most the blob base fee rises from one L1 block to the next, with the blob schedule of Prague and later: 1.0817.
const BLOB_FEE_GROWTH: (u128, u128) = (10_817, 10_000);
/// The two bids, and how steeply rises what they have to keep up with.
const GAS: (FeeField, (u128, u128)) = (FeeField::MaxFee, BASE_FEE_GROWTH);
const BLOB_GAS: (FeeField, (u128, u128)) = (FeeField::BlobFee, BLOB_FEE_GROWTH);
/// Headroom is for at least this many L1 blocks.
const MIN_HORIZON: u64 = 3;
/// And for at most this many: more would reserve balance for a rise that a cancel outlives.
pub(crate) const MAX_HORIZON: u64 = 8;

/// What may be bid. All in wei.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeeConfig {
    /// Least tip; raises a node's suggestion.
    pub tip_floor: u128,
    /// Most tip of a first send; lowers a node's suggestion.
    pub tip_cap: u128,
    /// The most a transaction may bid for gas. A first send uses at most half, so that its cancel fits beneath.
    pub max_fee_ceiling: u128,
    /// The most a transaction may bid for blob gas. A first send uses at most half, so that its cancel fits beneath.
    pub blob_fee_ceiling: u128,
    /// The most that one transaction may cost besides its value, before it is cancelled. Without it, there is no limit.
    pub transaction_ceiling: Option<U256>,
    /// The most that all may cost within an hour, those in flight as dear as they can get. Without it, there is no limit.
    /// A cancel is never held back: what it takes back would cost more.
    pub hourly_ceiling: Option<U256>,
}

impl Default for FeeConfig {
    fn default() -> Self {
        Self {
            tip_floor: GWEI,
            tip_cap: 20 * GWEI,
            max_fee_ceiling: 2_000 * GWEI,
            blob_fee_ceiling: 3_000 * GWEI,
            transaction_ceiling: None,
            hourly_ceiling: None,
        }
    }
}

/// What L1 asks for now. All in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeMarket {
    /// Base fee of the head.
    pub base_fee: u128,
    /// Blob base fee; needed for a transaction with blobs.
    pub blob_base_fee: Option<u128>,
    /// The tip that L1's sources suggest.
    pub suggested_tip: u128,
}

/// What a transaction bids. All in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// Most for each gas, tip included.
    pub max_fee_per_gas: u128,
    /// Tip for each gas.
    pub tip: u128,
    /// Most for each blob gas; none without blobs.
    pub max_fee_per_blob_gas: Option<u128>,
}

impl Fees {
    /// True when they replace `old` by the pools' weaker rule, in every field.
    pub(crate) fn outbids(&self, old: &Self) -> bool {
        let rises = |old: u128, new: u128| new >= bumped(old, Replacement::Plain.percent());
        let blob_rises =
            old.max_fee_per_blob_gas.is_none_or(|old| self.max_fee_per_blob_gas.is_some_and(|new| rises(old, new)));
        rises(old.max_fee_per_gas, self.max_fee_per_gas) && rises(old.tip, self.tip) && blob_rises
    }

    /// True when they pay for the block after the one that `market` is of.
    pub(crate) fn pays(&self, market: &FeeMarket) -> bool {
        let pays_gas = self.max_fee_per_gas >= grow(market.base_fee, BASE_FEE_GROWTH, 1);
        let next_blob_fee = market.blob_base_fee.map(|base| grow(base, BLOB_FEE_GROWTH, 1));
        pays_gas && self.max_fee_per_blob_gas.is_none_or(|bid| next_blob_fee.is_none_or(|next| bid >= next))
    }

    /// The higher of both in every field.
    pub(crate) fn highest(self, other: Self) -> Self {
        Self {
            max_fee_per_gas: self.max_fee_per_gas.max(other.max_fee_per_gas),
            tip: self.tip.max(other.tip),
            max_fee_per_blob_gas: self.max_fee_per_blob_gas.max(other.max_fee_per_blob_gas),
        }
    }

    /// The most a transaction with these fees can cost besides its value.
    #[must_use]
    pub fn max_cost(&self, gas_limit: u64, blobs: usize) -> U256 {
        let gas = U256::from(gas_limit) * U256::from(self.max_fee_per_gas);
        let blob_gas = U256::from(blobs as u64 * DATA_GAS_PER_BLOB);
        gas + blob_gas * U256::from(self.max_fee_per_blob_gas.unwrap_or(0))
    }
}

/// What met its ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeeField {
    /// The fee for gas.
    MaxFee,
    /// The fee for blob gas.
    BlobFee,
    /// What one transaction may cost.
    Transaction,
    /// What all may cost within an hour.
    Hour,
}

impl FeeField {
    /// The word for it in figures.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::MaxFee => "gas",
            Self::BlobFee => "blob_gas",
            Self::Transaction => "transaction",
            Self::Hour => "hour",
        }
    }
}

/// It cannot be bid within the ceiling. It can be tried again when fees fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field:?} needs {needed} wei, and at most {ceiling} are allowed; raise the ceiling or wait until fees fall")]
pub struct CeilingExceeded {
    /// Which ceiling.
    pub field: FeeField,
    /// The least that would do, in wei.
    pub needed: u128,
    /// The most that is allowed, in wei.
    pub ceiling: u128,
}

/// The pool rule of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Without blobs: 10 % on every field.
    Plain,
    /// With blobs: 100 % on every field.
    Blob,
}

impl Replacement {
    const fn percent(self) -> u128 {
        match self {
            Self::Plain => 10,
            Self::Blob => 100,
        }
    }
}

/// L1 blocks of headroom for a transaction that has `secs_left` until its deadline.
pub(crate) fn horizon(secs_left: u64, ethereum_slot_secs: u64) -> u64 {
    secs_left.div_ceil(ethereum_slot_secs.max(1)).clamp(MIN_HORIZON, MAX_HORIZON)
}

/// Fees of a first send with headroom for `horizon` L1 blocks; less where the ceiling is nearer, but always enough for
/// the next block. A [`FeeMarket`] with a blob base fee prices a blob transaction.
///
/// # Errors
/// [`CeilingExceeded`] when half the ceiling is less than what the next block may ask for.
pub fn first_fees(market: &FeeMarket, horizon: u64, config: &FeeConfig) -> Result<Fees, CeilingExceeded> {
    let tip = market.suggested_tip.min(config.tip_cap).max(config.tip_floor);
    let bid = |(field, growth), base: u128, tip: u128, ceiling: u128| {
        let usable = ceiling.saturating_sub(1) / 2;
        let needed = grow(base, growth, 1).saturating_add(tip);
        if needed > usable {
            return Err(CeilingExceeded { field, needed, ceiling: usable });
        }
        Ok(grow(base, growth, horizon).saturating_add(tip).min(usable))
    };
    Ok(Fees {
        max_fee_per_gas: bid(GAS, market.base_fee, tip, config.max_fee_ceiling)?,
        tip,
        max_fee_per_blob_gas: match market.blob_base_fee {
            Some(base) => Some(bid(BLOB_GAS, base, 0, config.blob_fee_ceiling)?),
            None => None,
        },
    })
}

/// Fees that replace `live`: at least the pool's rule above it in every field, and enough for `horizon` L1 blocks.
///
/// # Errors
/// [`CeilingExceeded`] when the rule leads above the ceiling: never an illegal bid, and never one above the ceiling.
pub fn replacement_fees(
    live: &Fees,
    market: &FeeMarket,
    rule: Replacement,
    config: &FeeConfig,
) -> Result<Fees, CeilingExceeded> {
    let raise = |field, old: u128, fresh: u128, ceiling: u128| {
        let needed = bumped(old, rule.percent());
        if needed > ceiling {
            return Err(CeilingExceeded { field, needed, ceiling });
        }
        Ok(needed.max(fresh.min(ceiling)))
    };
    let fresh_tip = market.suggested_tip.min(config.tip_cap).max(config.tip_floor);
    let fresh_max = grow(market.base_fee, BASE_FEE_GROWTH, MAX_HORIZON).saturating_add(fresh_tip);
    let max_fee_per_gas = raise(FeeField::MaxFee, live.max_fee_per_gas, fresh_max, config.max_fee_ceiling)?;
    let max_fee_per_blob_gas = match live.max_fee_per_blob_gas {
        Some(old) => {
            let fresh = grow(market.blob_base_fee.unwrap_or(0), BLOB_FEE_GROWTH, MAX_HORIZON);
            Some(raise(FeeField::BlobFee, old, fresh, config.blob_fee_ceiling)?)
        }
        None => None,
    };
    let tip = bumped(live.tip, rule.percent()).max(fresh_tip).min(max_fee_per_gas);
    Ok(Fees { max_fee_per_gas, tip, max_fee_per_blob_gas })
}

/// `fee` after `blocks` blocks of steepest growth, rounded up at each.
fn grow(fee: u128, (numerator, denominator): (u128, u128), blocks: u64) -> u128 {
    (0..blocks).fold(fee, |fee, _| fee.saturating_mul(numerator).div_ceil(denominator))
}

/// The least bid a pool takes as a replacement: `percent` above, rounded up, and strictly above.
const fn bumped(old: u128, percent: u128) -> u128 {
    old.saturating_mul(100 + percent).div_ceil(100).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn market(base_gwei: u128, blob_wei: Option<u128>) -> FeeMarket {
        FeeMarket { base_fee: base_gwei * GWEI, blob_base_fee: blob_wei, suggested_tip: GWEI }
    }

    #[test]
    fn the_first_bid_survives_the_steepest_rise_until_the_deadline() {
        let fees = first_fees(&market(10, Some(1_000)), 8, &FeeConfig::default()).unwrap();
        let (mut base, mut blob) = (10.0 * 1e9, 1_000.0);
        for _ in 0..8 {
            base *= 1.125;
            blob *= 1.0817;
        }
        assert!(fees.max_fee_per_gas as f64 >= base + 1e9);
        assert!(fees.max_fee_per_blob_gas.unwrap() as f64 >= blob);
        assert!((fees.max_fee_per_gas as f64) < base * 1.2);
    }

    #[test]
    fn the_horizon_is_the_blocks_to_the_deadline_between_three_and_eight() {
        let cases = [(0, 12, 3), (12, 12, 3), (49, 12, 5), (72, 12, 6), (1_000, 12, 8), (4, 1, 4), (5, 0, 5)];
        for (secs, slot, blocks) in cases {
            assert_eq!(horizon(secs, slot), blocks, "{secs} s of {slot} s");
        }
    }

    #[test]
    fn the_tip_stays_between_floor_and_cap() {
        let config = FeeConfig { tip_floor: 5, tip_cap: 9, ..FeeConfig::default() };
        for (suggested, expected) in [(0, 5), (7, 7), (100, 9)] {
            let market = FeeMarket { base_fee: GWEI, blob_base_fee: None, suggested_tip: suggested };
            assert_eq!(first_fees(&market, 3, &config).unwrap().tip, expected);
        }
    }

    #[test]
    fn headroom_gives_way_to_the_ceiling_and_the_next_block_does_not() {
        let config = FeeConfig { max_fee_ceiling: 40 * GWEI + 1, ..FeeConfig::default() };
        let near = first_fees(&market(15, None), 8, &config).unwrap();
        assert_eq!(near.max_fee_per_gas, 20 * GWEI);
        let above = first_fees(&market(20, None), 8, &config).unwrap_err();
        assert_eq!((above.field, above.ceiling), (FeeField::MaxFee, 20 * GWEI));
        let config = FeeConfig { blob_fee_ceiling: 100, ..FeeConfig::default() };
        assert_eq!(first_fees(&market(1, Some(60)), 3, &config).unwrap_err().field, FeeField::BlobFee);
    }

    #[test]
    fn a_bid_of_one_wei_is_not_stuck_when_bumped() {
        assert_eq!((bumped(1, 10), bumped(3, 10), bumped(1, 100), bumped(0, 100)), (3, 5, 3, 1));
    }

    #[test]
    fn a_replacement_above_the_ceiling_is_refused_and_names_the_field() {
        let live = Fees { max_fee_per_gas: 60, tip: 1, max_fee_per_blob_gas: Some(1) };
        let config = FeeConfig { max_fee_ceiling: 100, tip_floor: 0, ..FeeConfig::default() };
        let quiet = FeeMarket { base_fee: 1, blob_base_fee: Some(1), suggested_tip: 0 };
        let refused = replacement_fees(&live, &quiet, Replacement::Blob, &config).unwrap_err();
        assert_eq!(refused, CeilingExceeded { field: FeeField::MaxFee, needed: 121, ceiling: 100 });
    }

    #[test]
    fn the_most_a_transaction_can_cost_counts_gas_and_blob_gas() {
        let fees = Fees { max_fee_per_gas: 10, tip: 1, max_fee_per_blob_gas: Some(3) };
        assert_eq!(fees.max_cost(1_000, 2), U256::from(10_000 + 2 * 131_072 * 3));
    }

    proptest! {
        #[test]
        fn a_replacement_is_legal_in_every_field_and_never_above_the_ceiling(
            max in 1u128..1_000 * GWEI, tip_part in 0u128..100, blob in 1u128..1_000 * GWEI,
            base in 0u128..900 * GWEI, blob_base in 0u128..900 * GWEI, suggested in 0u128..50 * GWEI,
        ) {
            let live = Fees { max_fee_per_gas: max, tip: max * tip_part / 100, max_fee_per_blob_gas: Some(blob) };
            let market = FeeMarket { base_fee: base, blob_base_fee: Some(blob_base), suggested_tip: suggested };
            let config = FeeConfig::default();
            if let Ok(new) = replacement_fees(&live, &market, Replacement::Blob, &config) {
                let new_blob = new.max_fee_per_blob_gas.unwrap();
                prop_assert!(new.max_fee_per_gas > 2 * max && new.max_fee_per_gas <= config.max_fee_ceiling);
                prop_assert!(new_blob > 2 * blob && new_blob <= config.blob_fee_ceiling);
                prop_assert!(new.tip <= new.max_fee_per_gas);
                prop_assert!(new.tip > 2 * live.tip);
            }
        }

        #[test]
        fn the_cancel_of_a_first_send_fits_beneath_the_ceiling(
            base in 1u128..3_000 * GWEI, blob in 1u128..3_000 * GWEI, blocks in 3u64..9,
        ) {
            let config = FeeConfig::default();
            let market = FeeMarket { base_fee: base, blob_base_fee: Some(blob), suggested_tip: GWEI };
            if let Ok(first) = first_fees(&market, blocks, &config) {
                prop_assert!(replacement_fees(&first, &market, Replacement::Blob, &config).is_ok());
            }
        }
    }
}
