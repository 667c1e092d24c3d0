//! Receipts: whether a transaction is in a block, and what it did there.

use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::bindings::IMulticall3;
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolCall;
use fermata_primitives::L1Timestamp;

use crate::core::Core;
use crate::records::AttemptRecord;
use crate::tx::SignedTx;
use crate::{Error, L1HeadInfo, MinedEntry, MinedTx, SuccessRule};

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
    let entries = judge_entries(core, (attempt, receipt), rule, block_timestamp).await;
    Ok(MinedTx {
        tx_hash: receipt.transaction_hash,
        block_number,
        block_hash,
        block_timestamp,
        gas_used: receipt.gas_used,
        effective_gas_price: receipt.effective_gas_price,
        blob_gas_used: receipt.blob_gas_used,
        blob_gas_price: receipt
            .blob_gas_used
            .and_then(|_| receipt.blob_gas_price.or(attempt.fees.max_fee_per_blob_gas)),
        reverted: !receipt.status(),
        succeeded: holds(rule, receipt),
        revert_data,
        entries,
    })
}

/// What a reverted transaction reverted with; unknown when the replay does not revert, or cannot be made.
async fn replay(core: &Core, attempt: &AttemptRecord, block_number: u64) -> Option<Bytes> {
    let call = SignedTx::from_canonical(&attempt.signed)?.as_call();
    core.l1.revert_data(call, block_number).await.ok().flatten()
}

/// True when the receipt shows success by `rule`.
fn holds(rule: &SuccessRule, receipt: &TransactionReceipt) -> bool {
    let is_shown = match rule {
        SuccessRule::Status => true,
        SuccessRule::Event { address, topic0 } => count_events(receipt, (*address, *topic0)) > 0,
        SuccessRule::Each(_) => entries_shown(rule, receipt).into_iter().all(|shown| shown),
    };
    receipt.status() && is_shown
}

fn count_events(receipt: &TransactionReceipt, (address, topic0): (Address, B256)) -> usize {
    let is_meant = |log: &&alloy::rpc::types::Log| log.address() == address && log.topic0() == Some(&topic0);
    receipt.logs().iter().filter(is_meant).count()
}

/// Which entries of a bundle the receipt shows as successes. Entries with the same rule need an event each.
fn entries_shown(rule: &SuccessRule, receipt: &TransactionReceipt) -> Vec<bool> {
    let entries = rule.entries();
    let is_shown = |index: usize| match &entries[index].success {
        SuccessRule::Event { address, topic0 } => {
            let alike = entries[..index].iter().filter(|earlier| earlier.success == entries[index].success).count();
            count_events(receipt, (*address, *topic0)) > alike
        }
        // Refused before it was sent: nothing in a receipt tells such an entry.
        SuccessRule::Status | SuccessRule::Each(_) => false,
    };
    (0..entries.len()).map(|index| receipt.status() && is_shown(index)).collect()
}

/// What each entry of a bundle did; none for a single call.
async fn judge_entries(
    core: &Core,
    (attempt, receipt): (&AttemptRecord, &TransactionReceipt),
    rule: &SuccessRule,
    mined_at: L1Timestamp,
) -> Vec<MinedEntry> {
    let shown = entries_shown(rule, receipt);
    let replayed = match receipt.status() && shown.contains(&false) {
        true => replay_entries(core, attempt, receipt, mined_at).await.unwrap_or_default(),
        false => Vec::new(),
    };
    let reverted_with = |index: usize| {
        let replayed = replayed.get(index).filter(|replayed| !replayed.success)?;
        Some(replayed.returnData.clone())
    };
    let judged = shown.into_iter().enumerate();
    judged
        .map(|(index, succeeded)| MinedEntry {
            succeeded,
            revert_data: (!succeeded).then(|| reverted_with(index)).flatten(),
        })
        .collect()
}

/// What the entries of a bundle answer on the state before its block; unknown where it cannot be made.
async fn replay_entries(
    core: &Core,
    attempt: &AttemptRecord,
    receipt: &TransactionReceipt,
    mined_at: L1Timestamp,
) -> Option<Vec<IMulticall3::Result>> {
    let call = SignedTx::from_canonical(&attempt.signed)?.as_call();
    let parent = receipt.block_number?.checked_sub(1)?;
    let answer = core.l1.call_after(call, parent, mined_at).await.ok()?;
    IMulticall3::aggregate3Call::abi_decode_returns(&answer).ok()
}
