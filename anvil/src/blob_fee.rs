//! What a unit of blob gas costs, set.
//!
//! Anvil has no cheat for it. It computes the price of the next block when a state is loaded, from the newest block in that
//! state. So a state is loaded that holds nothing but one block, with the excess of blob gas that the price stands for
//! and a number that the chain will never reach: the chain itself stays as it is.

use alloy::eips::eip7840::BlobParams;
use alloy::primitives::{Bytes, U256};
use alloy::providers::{DynProvider, Provider};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{AnvilError, Result};

/// Beyond the number of any block of a chain.
const NUMBER: u64 = 1 << 62;
/// Of the block that is loaded: so low that it sets no bound to the price of blob gas (EIP-7918).
const BASE_FEE: u64 = 7;

/// An excess at which a unit costs more than any account has.
const HIGHEST: u64 = 1 << 29;

/// Makes blob gas cost `wei`, or as little more as an excess of blob gas can stand for; gives the price.
pub(crate) async fn set(anvil: &DynProvider, wei: u128) -> Result<u128> {
    let params = BlobParams::osaka();
    let excess = excess_for(&params, wei);
    load_excess(anvil, excess).await?;
    Ok(params.calc_blob_fee(excess))
}

/// Makes the next block have that excess of blob gas, and the base fee it would have had.
pub(crate) async fn load_excess(anvil: &DynProvider, excess: u64) -> Result<()> {
    let pending: Value = ask(anvil, "eth_getBlockByNumber", json!(["pending", false])).await?;
    let mut header: Value = ask(anvil, "eth_getBlockByNumber", json!(["latest", false])).await?;
    for (field, value) in [
        ("number", NUMBER),
        ("baseFeePerGas", BASE_FEE),
        ("gasUsed", 0),
        ("blobGasUsed", 0),
        // Anvil takes it for the next block's as it is.
        ("excessBlobGas", excess),
    ] {
        header[field] = json!(U256::from(value));
    }
    let block = json!({ "header": header, "transactions": [], "ommers": [] });
    let state =
        json!({ "block": null, "accounts": {}, "best_block_number": null, "blocks": [block], "transactions": [] });
    let loaded: bool = ask(anvil, "anvil_loadState", json!([Bytes::from(state.to_string().into_bytes())])).await?;
    if !loaded {
        return Err(AnvilError::CheatFailed { action: "load a block of another price" });
    }
    // The base fee was computed from that block as well.
    ask::<Value>(anvil, "anvil_setNextBlockBaseFeePerGas", json!([pending["baseFeePerGas"]])).await.map(drop)
}

/// The smallest excess of blob gas at which a unit costs at least `wei`.
fn excess_for(params: &BlobParams, wei: u128) -> u64 {
    let (mut low, mut high) = (0u64, HIGHEST);
    while low < high {
        let middle = low + (high - low) / 2;
        if params.calc_blob_fee(middle) >= wei { high = middle } else { low = middle + 1 }
    }
    low
}

async fn ask<R>(anvil: &DynProvider, method: &'static str, params: Value) -> Result<R>
where
    R: DeserializeOwned + std::fmt::Debug + Send + Sync + Unpin + 'static,
{
    anvil.raw_request(method.into(), params).await.map_err(AnvilError::rpc("set the price of blob gas"))
}
