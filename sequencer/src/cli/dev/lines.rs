//! A line for each block and each checkpoint.

use fermata_primitives::Slot;
use fermata_rollup::capacity_of;
use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::actions::{ActionKind, ActionsReport};
use crate::events::{PublishedCheckpoint, SequencerEvent, StepBack};

/// What the nodes do, each by its name.
pub(super) type Sources = Vec<(String, broadcast::Receiver<SequencerEvent>)>;

/// Prints what happens until `checkpoints` have landed; for ever, where there is no such number.
pub(super) async fn print(sources: Sources, checkpoints: Option<u64>) {
    let is_alone = sources.len() == 1;
    let mut told = futures::stream::select_all(sources.into_iter().map(|(node, events)| told_by(node, events).boxed()));
    let mut landed = 0;
    while let Some((node, told)) = told.next().await {
        let who = if is_alone { "" } else { node.as_str() };
        match told {
            Ok(event) => {
                if let Some(line) = line(who, &event) {
                    println!("{line}");
                }
                landed += u64::from(matches!(event, SequencerEvent::CheckpointPublished { .. }));
            }
            Err(lost) => println!("({lost} events went by too fast to print)"),
        }
        if checkpoints.is_some_and(|wanted| landed >= wanted) {
            return;
        }
    }
}

/// A node's events, or how many were lost.
fn told_by(
    node: String,
    events: broadcast::Receiver<SequencerEvent>,
) -> impl Stream<Item = (String, Result<SequencerEvent, u64>)> + Send {
    stream::unfold((node, events), |(node, mut events)| async move {
        let told = match events.recv().await {
            Ok(event) => Ok(event),
            Err(RecvError::Lagged(lost)) => Err(lost),
            Err(RecvError::Closed) => return None,
        };
        Some(((node.clone(), told), (node, events)))
    })
}

/// The event in one line; `None` where another event says it better.
fn line(who: &str, event: &SequencerEvent) -> Option<String> {
    let at = |slot: &Slot| if who.is_empty() { format!("slot {slot}") } else { format!("slot {slot} {who}") };
    Some(match event {
        SequencerEvent::BlockBuilt { slot, number, transactions, gas_used, hash, .. } => {
            let hash = hash.to_string();
            format!("{}   block {number:<5} {transactions:>4} txs {gas_used:>9} gas  {}…", at(slot), &hash[..10])
        }
        SequencerEvent::CheckpointPublished { slot, landed } => published(&at(slot), landed),
        SequencerEvent::CheckpointAttested { slot, checkpoint, members, .. } => {
            format!("{} ✓ attested checkpoint {checkpoint} with {members} of its members", at(slot))
        }
        SequencerEvent::AttestationsCollected { missing, .. } if missing.is_empty() => return None,
        SequencerEvent::AttestationsCollected { slot, have, missing, .. } => {
            let missing: Vec<_> = missing.iter().map(|member| member.to_string()[..10].to_owned()).collect();
            format!("{} ! {have} attested, missing {}", at(slot), missing.join(", "))
        }
        SequencerEvent::SlotResumed { slot, checkpoint, blocks } => {
            format!("{} - checkpoint {checkpoint} goes on with {blocks} blocks that were signed before", at(slot))
        }
        SequencerEvent::BlockBuildFailed { slot, reason } => format!("{} ✗ a block was not built: {reason}", at(slot)),
        SequencerEvent::CheckpointWithheld { slot, checkpoint } => {
            format!("{} - checkpoint {checkpoint} was withheld from L1: publishing is off", at(slot))
        }
        SequencerEvent::CheckpointPublishFailed { slot, checkpoint, reason } => {
            format!("{} ✗ checkpoint {checkpoint} was given up, the head went back: {reason}", at(slot))
        }
        SequencerEvent::CheckpointLeftOut { slot, reason } => format!("{} - no checkpoint: {reason}", at(slot)),
        SequencerEvent::SlotMissed { slot, reason } => format!("{} ✗ missed: {reason}", at(slot)),
        SequencerEvent::DutyMissed { slot, member, reason } => {
            format!("{} ✗ {}… did not attest: {reason}", at(slot), &member.to_string()[..10])
        }
        SequencerEvent::ProposalRefused { slot, from, reason } => {
            format!("{} ✗ refused from {from}: {reason}", at(slot))
        }
        SequencerEvent::EquivocationSeen { slot, proposer, duty } => {
            format!("{} ✗ {proposer} signed two for one {duty}", at(slot))
        }
        SequencerEvent::KeyHalted { slot, validator, duty } => {
            format!("{} ✗ another node signs with {validator}: its {duty} is not ours; it is halted", at(slot))
        }
        SequencerEvent::ProposalDropped { slot, reason } => {
            format!("{} ✗ its proposal was dropped: {reason}", at(slot))
        }
        SequencerEvent::L1WentBack { cause, from, to, .. } => {
            let why = match cause {
                StepBack::Pruned => "not proven in time",
                StepBack::Invalidated => "bad attestations",
                StepBack::Reorged => "L1 itself went back",
            };
            format!("L1 dropped checkpoints {} to {from} ({why}), the head went back {who}", to.next())
        }
        SequencerEvent::CheckpointDiscarded { slot, reason } => format!("{} ✗ discarded: {reason}", at(slot)),
        SequencerEvent::ActionsEnded { slot, actions, .. } => actions_line(&at(slot), actions)?,
        SequencerEvent::EpochProven { epoch, from, to, l1_tx } => {
            format!(
                "epoch {epoch} ▸ checkpoints {from} to {to} proven (by the mock verifier) ▸ {}…",
                &l1_tx.to_string()[..10]
            )
        }
        SequencerEvent::EpochProofFailed { epoch, from, to, reason } => {
            format!("epoch {epoch} ✗ checkpoints {from} to {to} are not proven: {reason}")
        }
        SequencerEvent::PreparingCheckpoint { .. }
        | SequencerEvent::PhaseEntered { .. }
        | SequencerEvent::BlockProposed { .. }
        | SequencerEvent::BlockHeard { .. }
        | SequencerEvent::CheckpointProposed { .. }
        | SequencerEvent::L1TipMoved { .. } => return None,
    })
}

/// What a slot did besides its checkpoint, whose own line says more; `None` when that was all.
fn actions_line(at: &str, actions: &ActionsReport) -> Option<String> {
    let is_all = actions.succeeded.iter().chain(&actions.expired).all(|action| *action == ActionKind::Propose)
        && actions.failed.iter().chain(&actions.dropped).all(|failure| failure.action == ActionKind::Propose);
    (!is_all).then(|| format!("{at} ▸ {actions}"))
}

fn published(at: &str, landed: &PublishedCheckpoint) -> String {
    let PublishedCheckpoint { checkpoint, blocks, transactions, attestations, committee, .. } = landed;
    let PublishedCheckpoint { l1_block, l1_gas, l1_tx, blobs, payload_bytes, .. } = landed;
    let capacity = capacity_of(*blobs).max(1);
    let used = 100.0 * *payload_bytes as f64 / capacity as f64;
    let tx = l1_tx.to_string();
    format!(
        "{at} ▸ checkpoint {checkpoint}: {blocks} blocks, {transactions} txs, {attestations}/{committee} attested \
         ▸ L1 block {l1_block} {}… {} k gas, {blobs} blob ({used:.1} % full)",
        &tx[..10],
        l1_gas / 1_000,
    )
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use fermata_primitives::CheckpointNumber;

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
        let told = line("", &SequencerEvent::CheckpointPublished { slot: Slot(31), landed: Box::new(landed) });
        assert_eq!(
            told.as_deref(),
            Some(
                "slot 31 ▸ checkpoint 7: 5 blocks, 12 txs, 3/4 attested ▸ L1 block 99 0xabababab… 314 k gas, 1 blob (25.0 % full)"
            )
        );
    }

    #[test]
    fn votes_have_a_line_and_a_checkpoint_alone_has_none_but_its_own() {
        let ended = |succeeded: &[ActionKind]| {
            let report = ActionsReport { succeeded: succeeded.to_vec(), ..ActionsReport::default() };
            line("", &SequencerEvent::ActionsEnded { slot: Slot(3), l1_tx: None, actions: Box::new(report) })
        };
        assert_eq!(ended(&[ActionKind::Propose]), None);
        let both = ended(&[ActionKind::Propose, ActionKind::GovernanceSignal]);
        assert_eq!(both.as_deref(), Some("slot 3 ▸ propose succeeded, governance-signal succeeded"));
    }

    #[test]
    fn every_failure_has_a_line() {
        let failed = SequencerEvent::SlotMissed { slot: Slot(3), reason: "no peers".into() };
        assert!(failed.is_failure());
        assert_eq!(line("b", &failed).as_deref(), Some("slot 3 b ✗ missed: no peers"));
    }
}
