//! A line for each block and each checkpoint.

use fermata_rollup::capacity_of;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::events::{PublishedCheckpoint, SequencerEvent};

/// Prints what happens until `checkpoints` have landed; for ever, where there is no such number.
pub(super) async fn print(mut events: broadcast::Receiver<SequencerEvent>, checkpoints: Option<u64>) {
    let mut landed = 0;
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Some(line) = line(&event) {
                    println!("{line}");
                }
                landed += u64::from(matches!(event, SequencerEvent::CheckpointPublished { .. }));
            }
            Err(RecvError::Lagged(lost)) => println!("({lost} events went by too fast to print)"),
            Err(RecvError::Closed) => return,
        }
        if checkpoints.is_some_and(|wanted| landed >= wanted) {
            return;
        }
    }
}

/// The event in one line; `None` where another event says it better.
fn line(event: &SequencerEvent) -> Option<String> {
    Some(match event {
        SequencerEvent::BlockProposed { slot, number, transactions, gas_used, hash, .. } => {
            let hash = hash.to_string();
            format!("slot {slot}   block {number:<5} {transactions:>4} txs {gas_used:>9} gas  {}…", &hash[..10])
        }
        SequencerEvent::CheckpointPublished { slot, landed } => published(slot.0, landed),
        SequencerEvent::BlockBuildFailed { slot, reason } => format!("slot {slot} ✗ a block was not built: {reason}"),
        SequencerEvent::CheckpointPublishFailed { slot, checkpoint, reason } => {
            format!("slot {slot} ✗ checkpoint {checkpoint} was given up, the head went back: {reason}")
        }
        SequencerEvent::SlotMissed { slot, reason } => format!("slot {slot} ✗ missed: {reason}"),
        SequencerEvent::CheckpointDiscarded { slot, reason } => format!("slot {slot} ✗ discarded: {reason}"),
        SequencerEvent::PreparingCheckpoint { .. }
        | SequencerEvent::PhaseEntered { .. }
        | SequencerEvent::CheckpointProposed { .. }
        | SequencerEvent::L1TipMoved { .. } => return None,
    })
}

fn published(slot: u64, landed: &PublishedCheckpoint) -> String {
    let PublishedCheckpoint { checkpoint, blocks, transactions, attestations, committee, .. } = landed;
    let PublishedCheckpoint { l1_block, l1_gas, l1_tx, blobs, payload_bytes, .. } = landed;
    let capacity = capacity_of(*blobs).max(1);
    let used = 100.0 * *payload_bytes as f64 / capacity as f64;
    let tx = l1_tx.to_string();
    format!(
        "slot {slot} ▸ checkpoint {checkpoint}: {blocks} blocks, {transactions} txs, {attestations}/{committee} attested \
         ▸ L1 block {l1_block} {}… {} k gas, {blobs} blob ({used:.1} % full)",
        &tx[..10],
        l1_gas / 1_000,
    )
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use fermata_primitives::{CheckpointNumber, Slot};

    use super::*;

    #[test]
    fn a_landed_checkpoint_is_told_with_all_that_an_operator_looks_for() {
        let landed = PublishedCheckpoint {
            checkpoint: CheckpointNumber(7),
            blocks: 5,
            transactions: 12,
            attestations: 3,
            committee: 4,
            l1_tx: B256::repeat_byte(0xab),
            l1_block: 99,
            l1_gas: 314_159,
            blobs: 1,
            payload_bytes: capacity_of(1) / 4,
        };
        let told = line(&SequencerEvent::CheckpointPublished { slot: Slot(31), landed: Box::new(landed) });
        assert_eq!(
            told.as_deref(),
            Some(
                "slot 31 ▸ checkpoint 7: 5 blocks, 12 txs, 3/4 attested ▸ L1 block 99 0xabababab… 314 k gas, 1 blob (25.0 % full)"
            )
        );
    }

    #[test]
    fn every_failure_has_a_line() {
        let failed = SequencerEvent::SlotMissed { slot: Slot(3), reason: "no peers".into() };
        assert!(failed.is_failure());
        assert_eq!(line(&failed).as_deref(), Some("slot 3 ✗ missed: no peers"));
    }
}
