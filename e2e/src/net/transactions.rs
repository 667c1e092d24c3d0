//! The transactions in L1's blocks, for a timeline.

use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionReceipt;

use crate::{Happening, Mark, Net};

/// How long L1 may take to tell them all: it may be what the test failed of.
const PATIENCE: Duration = Duration::from_secs(3);

impl Net {
    /// Those of the blocks that are in the timeline, by block, in words.
    pub(super) async fn l1_transactions(&self) -> Vec<(u64, String)> {
        let blocks = self.since(Mark::default()).into_iter().filter_map(|entry| {
            let Happening::L1Block(head) = entry.what else { return None };
            Some(head.number)
        });
        let mut told = Vec::new();
        let telling = async {
            for number in blocks {
                let block = BlockNumberOrTag::Number(number).into();
                let receipts = self.chain().provider.get_block_receipts(block).await.ok().flatten();
                told.extend(receipts.into_iter().flatten().map(|receipt| (number, in_words(&receipt))));
            }
        };
        let was_in_time = tokio::time::timeout(PATIENCE, telling).await.is_ok();
        tracing::debug!(was_in_time, count = told.len(), "transactions for a timeline");
        told
    }
}

fn in_words(receipt: &TransactionReceipt) -> String {
    let end = if receipt.status() { "succeeded" } else { "reverted" };
    let to = receipt.to.map_or_else(|| "nobody".to_owned(), |to| to.to_string());
    let blobs = receipt.blob_gas_used.unwrap_or(0) / alloy::eips::eip4844::DATA_GAS_PER_BLOB;
    format!("{} from {} to {to} {end}, {blobs} blobs, {} gas", receipt.transaction_hash, receipt.from, receipt.gas_used)
}
