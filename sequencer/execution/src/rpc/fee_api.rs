//! What to pay.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{U64, U256};
use alloy::rpc::types::FeeHistory;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use super::context::{Context, resolve};
use super::eth_error::EthError;
use crate::ChainReader;

/// Blocks that a suggestion looks back over, and the percentile of the gas in each of them.
const SUGGEST_BLOCKS: u64 = 20;
const SUGGEST_PERCENTILE: f64 = 60.0;

#[rpc(server, namespace = "eth")]
pub(super) trait FeeApi {
    /// Wei per gas with which a legacy transaction goes into the next block: the base fee and the suggested priority fee.
    /// Where the base fee falls, the head's is taken, because that is what a call on the head must pay.
    #[method(name = "gasPrice")]
    async fn gas_price(&self) -> RpcResult<U256>;

    /// The suggested priority fee, in wei per gas.
    #[method(name = "maxPriorityFeePerGas")]
    async fn max_priority_fee_per_gas(&self) -> RpcResult<U256>;

    /// There are no blobs; a blob would cost the least there is.
    #[method(name = "blobBaseFee")]
    async fn blob_base_fee(&self) -> RpcResult<U256>;

    /// What recent blocks charged, and what their transactions paid on top.
    #[method(name = "feeHistory")]
    async fn fee_history(
        &self,
        block_count: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory>;
}

#[async_trait]
impl FeeApiServer for Context {
    async fn gas_price(&self) -> RpcResult<U256> {
        let floor = self.limits.min_suggested_priority_fee;
        self.read(move |reader| {
            let head = reader.heads()?.unsafe_head;
            let now = reader.header(head.hash)?.and_then(|header| header.base_fee_per_gas).unwrap_or_default();
            let base_fee = now.max(reader.next_base_fee(head.hash)?);
            Ok(U256::from(base_fee) + U256::from(suggestion(reader, floor)?))
        })
        .await
    }

    async fn max_priority_fee_per_gas(&self) -> RpcResult<U256> {
        let floor = self.limits.min_suggested_priority_fee;
        self.read(move |reader| Ok(U256::from(suggestion(reader, floor)?))).await
    }

    async fn blob_base_fee(&self) -> RpcResult<U256> {
        Ok(U256::ONE)
    }

    async fn fee_history(
        &self,
        block_count: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory> {
        let percentiles = percentiles.unwrap_or_default();
        self.read(move |reader| {
            let newest = resolve(reader, Some(newest.into()))?;
            Ok(reader.fee_history(newest, block_count.to(), &percentiles)?)
        })
        .await
    }
}

/// The middle of what recent blocks with transactions paid, at least `floor`.
fn suggestion(reader: &ChainReader, floor: u128) -> Result<u128, EthError> {
    let head = reader.heads()?.unsafe_head;
    let history = reader.fee_history(head, SUGGEST_BLOCKS, &[SUGGEST_PERCENTILE])?;
    let rewards = history.reward.unwrap_or_default();
    let used = history.gas_used_ratio.iter().map(|ratio| *ratio > 0.0);
    let mut paid: Vec<u128> =
        rewards.iter().zip(used).filter(|(_, used)| *used).filter_map(|(row, _)| row.first().copied()).collect();
    paid.sort_unstable();
    let middle = paid.get(paid.len() / 2).copied().unwrap_or_default();
    Ok(middle.max(floor))
}
