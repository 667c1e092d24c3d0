//! `eth_feeHistory`: what recent blocks charged, and what their transactions paid on top.

use alloy::consensus::{Header, Transaction};
use alloy::rpc::types::FeeHistory;

use super::ChainReader;
use crate::evm::next_base_fee;
use crate::{BlockId, ExecutionError, RecoveredTx, Result};

/// Blocks that one answer covers at most; a wish for more is cut, as Ethereum's clients do.
const MOST_BLOCKS: u64 = 1024;
/// Percentiles that one question may ask for.
const MOST_PERCENTILES: usize = 100;

impl ChainReader {
    /// Base fees, gas use and priority-fee percentiles (weighted by gas, 0 to 100 and not falling) of up to `blocks`
    /// blocks of the chain that end with `newest`, oldest first, and the base fee of the block after them.
    ///
    /// # Errors
    /// `BadCall` where the percentiles are not such; `UnknownBlock` where `newest` is not on the chain; `Closed`, or a
    /// store that failed.
    pub fn fee_history(&self, newest: BlockId, blocks: u64, percentiles: &[f64]) -> Result<FeeHistory> {
        check_percentiles(percentiles)?;
        if !self.is_canonical(newest)? {
            return Err(ExecutionError::UnknownBlock(newest.hash));
        }
        let blocks = blocks.min(MOST_BLOCKS).min(newest.number + 1);
        let oldest = newest.number + 1 - blocks;
        let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
        let mut rewards = Vec::new();
        for number in oldest..=newest.number {
            let hash = self.hash_at(number)?.ok_or(ExecutionError::UnknownBlock(newest.hash))?;
            let header = self.header(hash)?.ok_or(ExecutionError::UnknownBlock(hash))?;
            history.base_fee_per_gas.push(base_fee(&header).into());
            history.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit as f64);
            // There are no blobs: the least blob base fee, never used.
            history.base_fee_per_blob_gas.push(1);
            history.blob_gas_used_ratio.push(0.0);
            if !percentiles.is_empty() {
                rewards.push(self.rewards(hash, &header, percentiles)?);
            }
            if number == newest.number {
                history.base_fee_per_gas.push(next_base_fee(&header).into());
                history.base_fee_per_blob_gas.push(1);
            }
        }
        history.reward = (!percentiles.is_empty()).then_some(rewards);
        Ok(history)
    }

    /// The priority fees at these percentiles of the block's gas; zeroes for a block without transactions.
    fn rewards(&self, hash: alloy::primitives::B256, header: &Header, percentiles: &[f64]) -> Result<Vec<u128>> {
        let block = self.block(hash)?.ok_or(ExecutionError::UnknownBlock(hash))?;
        let (senders, receipts) = self.outcome(hash)?.ok_or(ExecutionError::UnknownBlock(hash))?;
        let mut paid = Vec::with_capacity(receipts.len());
        let mut gas_before = 0;
        for ((raw, sender), receipt) in block.transactions().iter().zip(senders).zip(&receipts) {
            let tx = RecoveredTx::decode_known(raw.clone(), sender)?;
            let tip = tx.envelope().effective_tip_per_gas(base_fee(header)).unwrap_or_default();
            paid.push((tip, receipt.cumulative_gas_used() - gas_before));
            gas_before = receipt.cumulative_gas_used();
        }
        paid.sort_unstable();
        Ok(percentiles.iter().map(|percentile| at_percentile(&paid, header.gas_used, *percentile)).collect())
    }
}

fn base_fee(header: &Header) -> u64 {
    header.base_fee_per_gas.unwrap_or_default()
}

/// The tip below which this part of the gas was bought; `paid` is (tip, gas), sorted.
fn at_percentile(paid: &[(u128, u64)], gas_used: u64, percentile: f64) -> u128 {
    let threshold = (gas_used as f64 * percentile / 100.0) as u64;
    let mut gas = 0;
    let bought = paid.iter().find(|(_, used)| {
        gas += used;
        gas >= threshold
    });
    bought.or(paid.last()).map_or(0, |(tip, _)| *tip)
}

fn check_percentiles(percentiles: &[f64]) -> Result<()> {
    let valid = percentiles.iter().all(|p| (0.0..=100.0).contains(p)) && percentiles.is_sorted();
    if !valid || percentiles.len() > MOST_PERCENTILES {
        let what = format!("reward percentiles must be 0 to 100, not falling, at most {MOST_PERCENTILES}");
        return Err(ExecutionError::BadCall(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_weighted_by_gas() {
        let paid = [(1, 10), (5, 80), (9, 10)];
        let at = |percentile| at_percentile(&paid, 100, percentile);
        assert_eq!([at(0.0), at(10.0), at(11.0), at(90.0), at(91.0), at(100.0)], [1, 1, 5, 5, 9, 9]);
        assert_eq!(at_percentile(&[], 0, 50.0), 0);
    }

    #[test]
    fn percentiles_that_fall_or_leave_the_range_are_refused() {
        assert!(check_percentiles(&[0.0, 50.0, 50.0, 100.0]).is_ok());
        for bad in [vec![60.0, 50.0], vec![-1.0], vec![100.1], vec![f64::NAN], vec![1.0; 101]] {
            assert!(check_percentiles(&bad).is_err(), "{bad:?}");
        }
    }
}
