//! Re-executing somebody's block: it is valid where it comes out to the very header it came with.

use std::fmt::Debug;

use alloy::consensus::Header;

use super::build::build_from_list;
use super::{BlockEnvironment, Executed};
use crate::state::StateView;
use crate::{Block, ExecutionError, Result};

/// What re-execution has shown.
#[derive(Debug)]
pub(crate) enum Replayed {
    /// The same block came out.
    Same(Box<Executed>),
    /// It is no block of this chain, for this reason.
    Invalid(String),
}

/// Executes a block on its parent's state and compares every header field.
pub(crate) fn replay(parent_state: StateView, parent: &Header, chain_id: u64, block: &Block) -> Result<Replayed> {
    let header = block.header();
    if header.timestamp < parent.timestamp {
        let reason = format!("timestamp {} is before the parent's {}", header.timestamp, parent.timestamp);
        return Ok(Replayed::Invalid(reason));
    }
    let environment = BlockEnvironment::of(header, parent, chain_id);
    let executed = match build_from_list(parent_state, environment, block.transactions()) {
        Ok(executed) => executed,
        Err(refused @ ExecutionError::InvalidTransaction { .. }) => return Ok(Replayed::Invalid(refused.to_string())),
        Err(failure) => return Err(failure),
    };
    let ours = &executed.block.block;
    Ok(match difference(ours.header(), header) {
        Some(reason) => Replayed::Invalid(reason),
        None if ours.hash() == block.hash() => Replayed::Same(Box::new(executed)),
        None => Replayed::Invalid(format!("hash: ours {}, theirs {}", ours.hash(), block.hash())),
    })
}

/// The first field that differs, with our value and theirs. Roots come last: they differ whenever something else does.
fn difference(ours: &Header, theirs: &Header) -> Option<String> {
    field("number", &ours.number, &theirs.number)
        .or_else(|| field("base_fee_per_gas", &ours.base_fee_per_gas, &theirs.base_fee_per_gas))
        .or_else(|| field("ommers_hash", &ours.ommers_hash, &theirs.ommers_hash))
        .or_else(|| field("difficulty", &ours.difficulty, &theirs.difficulty))
        .or_else(|| field("nonce", &ours.nonce, &theirs.nonce))
        .or_else(|| field("extra_data", &ours.extra_data, &theirs.extra_data))
        .or_else(|| field("withdrawals_root", &ours.withdrawals_root, &theirs.withdrawals_root))
        .or_else(|| field("blob_gas_used", &ours.blob_gas_used, &theirs.blob_gas_used))
        .or_else(|| field("excess_blob_gas", &ours.excess_blob_gas, &theirs.excess_blob_gas))
        .or_else(|| field("parent_beacon_block_root", &ours.parent_beacon_block_root, &theirs.parent_beacon_block_root))
        .or_else(|| field("requests_hash", &ours.requests_hash, &theirs.requests_hash))
        .or_else(|| field("transactions_root", &ours.transactions_root, &theirs.transactions_root))
        .or_else(|| field("gas_used", &ours.gas_used, &theirs.gas_used))
        .or_else(|| field("logs_bloom", &ours.logs_bloom, &theirs.logs_bloom))
        .or_else(|| field("receipts_root", &ours.receipts_root, &theirs.receipts_root))
        .or_else(|| field("state_root", &ours.state_root, &theirs.state_root))
}

fn field<T: PartialEq + Debug>(name: &str, ours: &T, theirs: &T) -> Option<String> {
    (ours != theirs).then(|| format!("{name}: ours {ours:?}, theirs {theirs:?}"))
}
