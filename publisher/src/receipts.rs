//! Receipts: whether a transaction is in a block, and what it did there.

use alloy::primitives::Bytes;
use alloy::rpc::types::TransactionReceipt;
use futures::future::try_join_all;

use crate::core::Core;
use crate::records::{AttemptRecord, StoredTx};
use crate::tx::SignedTx;
use crate::{Error, L1HeadInfo, MinedTx, SuccessRule};

/// The attempt that is in a block, with its receipt; `None` when none is.
pub(crate) async fn find(core: &Core, tx: &StoredTx) -> Result<Option<(AttemptRecord, TransactionReceipt)>, Error> {
    let lookups = tx.attempts.iter().map(|attempt| core.l1.receipt(attempt.hash));
    let receipts = try_join_all(lookups).await?;
    let found = tx.attempts.iter().zip(receipts).find_map(|(attempt, receipt)| {
        let receipt = receipt.filter(|receipt| receipt.block_hash.is_some())?;
        Some((attempt.clone(), receipt))
    });
    Ok(found)
}

/// The receipt in short. `head` spares a look-up when it is the receipt's block.
pub(crate) async fn summarize(
    core: &Core,
    (attempt, receipt): (&AttemptRecord, &TransactionReceipt),
    rule: &SuccessRule,
    head: &L1HeadInfo,
) -> Result<MinedTx, Error> {
    let block_hash = receipt.block_hash.unwrap_or_default();
    let block_number = receipt.block_number.unwrap_or_default();
    let block_timestamp = match head.hash == block_hash {
        true => head.timestamp,
        false => core.l1.block_timestamp(block_hash).await?.unwrap_or_default(),
    };
    let revert_data = match receipt.status() {
        true => None,
        false => replay(core, attempt, block_number).await,
    };
    Ok(MinedTx {
        tx_hash: receipt.transaction_hash,
        block_number,
        block_hash,
        block_timestamp,
        gas_used: receipt.gas_used,
        effective_gas_price: receipt.effective_gas_price,
        blob_gas_used: receipt.blob_gas_used,
        succeeded: holds(rule, receipt),
        revert_data,
    })
}

/// What a reverted transaction reverted with; unknown when the replay does not revert, or cannot be made.
async fn replay(core: &Core, attempt: &AttemptRecord, block_number: u64) -> Option<Bytes> {
    let call = SignedTx::from_canonical(&attempt.signed)?.as_call();
    core.l1.revert_data(call, block_number).await.ok().flatten()
}

/// True when the receipt shows success by `rule`.
fn holds(rule: &SuccessRule, receipt: &TransactionReceipt) -> bool {
    let has_event = match rule {
        SuccessRule::Status => true,
        SuccessRule::Event { address, topic0 } => {
            receipt.logs().iter().any(|log| log.address() == *address && log.topic0() == Some(topic0))
        }
    };
    receipt.status() && has_event
}
