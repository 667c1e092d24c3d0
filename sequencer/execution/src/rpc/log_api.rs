//! `eth_getLogs`: found by the blocks' bloom filters, within bounds.

use alloy::primitives::B256;
use alloy::rpc::types::{Filter, FilterBlockOption, Log};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use super::RpcLimits;
use super::context::{Context, resolve};
use super::convert::executed;
use super::eth_error::EthError;
use crate::ChainReader;

#[rpc(server, namespace = "eth")]
pub(super) trait LogApi {
    /// Logs of the chain that match, in order.
    #[method(name = "getLogs")]
    async fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>>;
}

#[async_trait]
impl LogApiServer for Context {
    async fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>> {
        let limits = self.limits;
        self.read(move |reader| find(reader, &filter, &limits)).await
    }
}

fn find(reader: &ChainReader, filter: &Filter, limits: &RpcLimits) -> Result<Vec<Log>, EthError> {
    let mut found = Vec::new();
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            found = matching(reader, resolve(reader, Some(hash.into()))?.hash, filter)?;
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let from = resolve(reader, Some(from_block.unwrap_or_default().into()));
            // A range that ends beyond the chain ends with it.
            let last = reader.heads()?.unsafe_head.number;
            let to = match to_block.unwrap_or_default() {
                number if number.as_number().is_some_and(|number| number > last) => last,
                tag => resolve(reader, Some(tag.into()))?.number,
            };
            let from = match from {
                Err(EthError::BlockNotFound) => return Ok(Vec::new()),
                from => from?.number,
            };
            check_range(from, to, limits)?;
            for number in from..=to {
                // The chain may go back meanwhile; what has gone holds no logs.
                let Some(hash) = reader.hash_at(number)? else { break };
                found.extend(matching(reader, hash, filter)?);
                check_count(found.len(), limits)?;
            }
        }
    }
    check_count(found.len(), limits)?;
    Ok(found)
}

fn check_range(from: u64, to: u64, limits: &RpcLimits) -> Result<(), EthError> {
    if from > to {
        return Err(EthError::BadParams(format!("invalid block range params: fromBlock {from} is after toBlock {to}")));
    }
    if to - from >= limits.max_log_blocks {
        let what = format!(
            "exceed maximum block range: {} blocks asked for, limit {}; ask for a narrower range",
            to - from + 1,
            limits.max_log_blocks
        );
        return Err(EthError::LimitExceeded(what));
    }
    Ok(())
}

fn check_count(found: usize, limits: &RpcLimits) -> Result<(), EthError> {
    if found <= limits.max_logs {
        return Ok(());
    }
    let what = format!("query returned more than {} results; ask for a narrower range or filter", limits.max_logs);
    Err(EthError::LimitExceeded(what))
}

/// The block's logs that match; a block whose bloom filter rules them out is not read.
pub(super) fn matching(reader: &ChainReader, block: B256, filter: &Filter) -> Result<Vec<Log>, EthError> {
    let header = reader.header(block)?.ok_or(EthError::BlockNotFound)?;
    if !filter.matches_bloom(header.logs_bloom) {
        return Ok(Vec::new());
    }
    let logs = executed(reader, block)?.logs();
    Ok(logs.into_iter().filter(|log| filter.matches(&log.inner)).collect())
}
