//! What a unit of blob gas costs, set.
//!
//! Anvil has no cheat for it. It computes the price of the next block when a state is loaded, from the newest block in that
//! state. So a state is loaded that holds nothing but one block, with the excess of blob gas that the price stands for
//! and a number that the chain will never reach: the chain itself stays as it is.

use alloy::eips::eip7840::BlobParams;
use alloy::primitives::{Bytes, U64, U256};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Cheats, Result};

/// Beyond the number of any block of a chain.
const NUMBER: u64 = 1 << 62;
/// A base fee so high that the price of blob gas is bound by it (EIP-7918): an excess of blob gas stays as it is then, while
/// anvil takes a block's target off it else. It looks at the base fee that the next block was to have when the state came.
const BINDING_BASE_FEE: u64 = 1 << 62;

/// An excess at which a unit costs more than any account has.
const HIGHEST: u64 = 1 << 29;

/// What decides on the fees of the next block.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NextFees {
    base_fee_per_gas: U256,
    excess_blob_gas: U64,
}

impl NextFees {
    /// As they are.
    pub(crate) async fn read(cheats: &Cheats) -> Result<Self> {
        Self::of(cheats, "pending").await
    }

    /// As they were before `block`: to be read before a rollback, which leaves those of the blocks it takes back.
    pub(crate) async fn before(cheats: &Cheats, block: u64) -> Result<Self> {
        Self::of(cheats, &format!("{block:#x}")).await
    }

    async fn of(cheats: &Cheats, block: &str) -> Result<Self> {
        cheats.request("eth_getBlockByNumber", "tell a block's fees", json!([block, false])).await
    }

    /// The same base fee, and this excess of blob gas.
    pub(crate) fn with_excess(self, excess: u64) -> Self {
        Self { excess_blob_gas: U64::from(excess), ..self }
    }

    /// Makes them the next block's.
    pub(crate) async fn load(self, cheats: &Cheats) -> Result<()> {
        let latest = json!(["latest", false]);
        let mut header: Value = cheats.request("eth_getBlockByNumber", "read a block", latest).await?;
        for (field, value) in [
            ("number", U64::from(NUMBER)),
            ("gasUsed", U64::ZERO),
            ("blobGasUsed", U64::ZERO),
            ("excessBlobGas", self.excess_blob_gas),
        ] {
            header[field] = json!(value);
        }
        let block = json!({ "header": header, "transactions": [], "ommers": [] });
        let state =
            json!({ "block": null, "accounts": {}, "best_block_number": null, "blocks": [block], "transactions": [] });
        cheats.set_next_base_fee(U256::from(BINDING_BASE_FEE)).await?;
        cheats.load_state(&Bytes::from(state.to_string().into_bytes())).await?;
        // The base fee was computed from that block as well.
        cheats.set_next_base_fee(self.base_fee_per_gas).await
    }
}

/// Makes blob gas cost `wei`, or as little more as an excess of blob gas can stand for; gives the price.
pub(crate) async fn set(cheats: &Cheats, wei: u128) -> Result<u128> {
    let params = BlobParams::osaka();
    let excess = excess_for(&params, wei);
    NextFees::read(cheats).await?.with_excess(excess).load(cheats).await?;
    Ok(params.calc_blob_fee(excess))
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
