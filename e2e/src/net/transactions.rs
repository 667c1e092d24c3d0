//! The transactions in L1's blocks, for a timeline.

use std::time::Duration;

use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionReceipt;

use crate::timeline::L1Transactions;
use crate::{Happening, Mark, Net};

/// How long L1 may take to tell them all: it may be what the test failed of.
const PATIENCE: Duration = Duration::from_secs(3);

impl Net {
    /// Those of the blocks that are in the timeline, the newest first: they are what a failure is most likely about.
    pub(super) async fn l1_transactions(&self) -> L1Transactions {
        let heads = self.since(Mark::default()).into_iter().filter_map(|entry| {
            let Happening::L1Block(head) = entry.what else { return None };
            Some(head)
        });
        let heads: Vec<_> = heads.collect();
        let mut told = L1Transactions::default();
        let telling = async {
            for head in heads.iter().rev() {
                told.not_before = Some(head.number + 1);
                // By its hash: another block may have its number by now.
                let receipts = self.chain().provider.get_block_receipts(head.hash.into()).await.ok().flatten();
                told.found.extend(receipts.into_iter().flatten().map(|receipt| (head.hash, in_words(&receipt))));
            }
        };
        if tokio::time::timeout(PATIENCE, telling).await.is_ok() {
            told.not_before = None;
        }
        told
    }
}

fn in_words(receipt: &TransactionReceipt) -> String {
    let end = if receipt.status() { "succeeded" } else { "reverted" };
    let to = receipt.to.map_or_else(|| "nobody".to_owned(), |to| to.to_string());
    let blobs = receipt.blob_gas_used.unwrap_or(0) / alloy::eips::eip4844::DATA_GAS_PER_BLOB;
    format!("{} from {} to {to} {end}, {blobs} blobs, {} gas", receipt.transaction_hash, receipt.from, receipt.gas_used)
}
