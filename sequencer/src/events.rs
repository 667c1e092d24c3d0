//! What happens, as it happens: for tests, subscriptions and the lines that `fermata dev` prints.

use alloy::primitives::{Address, B256};
use fermata_primitives::{CheckpointNumber, Epoch, Slot};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::actions::ActionsReport;
use crate::phases::Phase;

/// Something that happened. A slow listener loses the oldest and is told how many.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum SequencerEvent {
    /// The slot is ours and building begins.
    PreparingCheckpoint {
        /// The slot.
        slot: Slot,
        /// The checkpoint it will be.
        checkpoint: CheckpointNumber,
        /// Whose turn it is.
        proposer: Address,
    },
    /// The slot is ours, and goes on with what was signed for it before a stop or a crash.
    SlotResumed {
        /// The slot.
        slot: Slot,
        /// The checkpoint it will be.
        checkpoint: CheckpointNumber,
        /// Blocks that were signed before.
        blocks: usize,
    },
    /// A slot of ours is busy with something else.
    PhaseEntered {
        /// The slot.
        slot: Slot,
        /// With this.
        phase: Phase,
    },
    /// The slot is ours, and has no checkpoint for a reason that lies with L1; it votes all the same.
    CheckpointLeftOut {
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// A block of ours was built.
    BlockBuilt {
        /// The slot.
        slot: Slot,
        /// Its place in the checkpoint, from 0.
        index: u16,
        /// Block number.
        number: u64,
        /// Block hash.
        hash: B256,
        /// Transactions in it.
        transactions: usize,
        /// Gas they used.
        gas_used: u64,
    },
    /// A block of ours is signed, and the head. The others are told, of the slot's last block with the checkpoint.
    BlockProposed {
        /// The slot.
        slot: Slot,
        /// Its place in the checkpoint, from 0.
        index: u16,
        /// Block number.
        number: u64,
        /// Block hash.
        hash: B256,
    },
    /// Another proposer's block was executed here and is valid.
    BlockHeard {
        /// The slot.
        slot: Slot,
        /// Its place in the checkpoint, from 0.
        index: u16,
        /// Block number.
        number: u64,
        /// Block hash.
        hash: B256,
        /// Transactions in it.
        transactions: usize,
        /// The node it came from.
        from: String,
    },
    /// A block could not be built; the checkpoint goes on without it.
    BlockBuildFailed {
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// The checkpoint is complete and signed.
    CheckpointProposed {
        /// The slot.
        slot: Slot,
        /// The checkpoint.
        checkpoint: CheckpointNumber,
        /// Blocks in it.
        blocks: usize,
    },
    /// Another proposer's checkpoint is valid, and our members of its committee have attested it.
    CheckpointAttested {
        /// The slot.
        slot: Slot,
        /// The checkpoint.
        checkpoint: CheckpointNumber,
        /// Whose it is.
        proposer: Address,
        /// How many of our members attested.
        members: usize,
    },
    /// The committee has attested our checkpoint.
    AttestationsCollected {
        /// The slot.
        slot: Slot,
        /// The checkpoint.
        checkpoint: CheckpointNumber,
        /// How many attested.
        have: usize,
        /// The quorum.
        need: usize,
        /// Members who did not.
        missing: Vec<Address>,
        /// Time from the proposal to the quorum, in milliseconds.
        quorum_ms: u64,
    },
    /// The committee has attested our checkpoint, and it is not sent to L1, as the operator wants it.
    CheckpointWithheld {
        /// The slot.
        slot: Slot,
        /// The checkpoint.
        checkpoint: CheckpointNumber,
    },
    /// L1 has it, and the contract says so.
    CheckpointPublished {
        /// The slot.
        slot: Slot,
        /// What landed.
        landed: Box<PublishedCheckpoint>,
    },
    /// It is not known to have landed in its slot, and the L2 head went back to what L1 has. Where a stop cut it while its L1
    /// transaction was in flight, it may land yet: the drain report names the transaction, and the head follows L1.
    CheckpointPublishFailed {
        /// The slot.
        slot: Slot,
        /// The checkpoint.
        checkpoint: CheckpointNumber,
        /// Why.
        reason: String,
    },
    /// What a slot sent to L1 has ended, and how each of its actions did.
    ActionsEnded {
        /// The slot.
        slot: Slot,
        /// The transaction that carried them; `None` when nothing was sent.
        l1_tx: Option<B256>,
        /// What was sent, succeeded, failed, expired, was left out.
        actions: Box<ActionsReport>,
    },
    /// The slot was ours and no checkpoint was proposed.
    SlotMissed {
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// A member of ours has not attested a slot's checkpoint.
    DutyMissed {
        /// The slot.
        slot: Slot,
        /// The member.
        member: Address,
        /// Why.
        reason: String,
    },
    /// What another node told was refused, and changes nothing.
    ProposalRefused {
        /// The slot it is for.
        slot: Slot,
        /// The node it came from.
        from: String,
        /// Why.
        reason: String,
    },
    /// A proposer has signed two different proposals for one duty.
    EquivocationSeen {
        /// The slot.
        slot: Slot,
        /// The proposer.
        proposer: Address,
        /// What it proposed twice.
        duty: String,
    },
    /// Another node signs with a key of ours. The key is halted until an operator has stopped the other one and lifts it.
    KeyHalted {
        /// The slot of what was seen.
        slot: Slot,
        /// The key.
        validator: Address,
        /// What it signed elsewhere.
        duty: String,
    },
    /// What another proposer had under way, or what was withheld here, lost its place; the head went back.
    ProposalDropped {
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// The contract has dropped checkpoints; the head went back, and their transactions wait for a place again.
    L1WentBack {
        /// Why.
        cause: StepBack,
        /// The newest checkpoint before.
        from: CheckpointNumber,
        /// The newest checkpoint now.
        to: CheckpointNumber,
        /// The L1 block.
        l1_block: u64,
    },
    /// What was being built, or was on its way, lost its place.
    CheckpointDiscarded {
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
    /// A proof of ours landed: the contract has the epoch as proven.
    EpochProven {
        /// The epoch.
        epoch: Epoch,
        /// Its first checkpoint.
        from: CheckpointNumber,
        /// Its last checkpoint.
        to: CheckpointNumber,
        /// The L1 transaction.
        l1_tx: B256,
    },
    /// The epoch is over and could not be proven yet; it is tried again until the contract prunes it.
    EpochProofFailed {
        /// The epoch.
        epoch: Epoch,
        /// Its first checkpoint.
        from: CheckpointNumber,
        /// Its last checkpoint.
        to: CheckpointNumber,
        /// Why.
        reason: String,
    },
    /// L1's tip moved.
    L1TipMoved {
        /// The L1 block.
        l1_block: u64,
        /// The newest checkpoint on L1.
        checkpoint: CheckpointNumber,
    },
}

/// Why the contract has fewer checkpoints than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepBack {
    /// They were not proven in time.
    Pruned,
    /// One had bad attestations.
    Invalidated,
    /// L1 itself went back.
    Reorged,
}

/// A checkpoint that landed, as `fermata dev` prints it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedCheckpoint {
    /// Its number.
    pub checkpoint: CheckpointNumber,
    /// Blocks in it.
    pub blocks: usize,
    /// Transactions in them.
    pub transactions: usize,
    /// Signatures it carries.
    pub attestations: usize,
    /// Members of its committee.
    pub committee: usize,
    /// Its L1 transaction.
    pub l1_tx: B256,
    /// The L1 block that holds it.
    pub l1_block: u64,
    /// Gas its L1 transaction used.
    pub l1_gas: u64,
    /// Blobs it carries.
    pub blobs: usize,
    /// Bytes of payload in the blobs.
    pub payload_bytes: usize,
}

impl SequencerEvent {
    /// Its name in the RPC, the metrics and the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PreparingCheckpoint { .. } => "preparing-checkpoint",
            Self::SlotResumed { .. } => "slot-resumed",
            Self::PhaseEntered { .. } => "phase-entered",
            Self::CheckpointLeftOut { .. } => "checkpoint-left-out",
            Self::BlockBuilt { .. } => "block-built",
            Self::BlockProposed { .. } => "block-proposed",
            Self::BlockHeard { .. } => "block-heard",
            Self::CheckpointAttested { .. } => "checkpoint-attested",
            Self::AttestationsCollected { .. } => "attestations-collected",
            Self::DutyMissed { .. } => "duty-missed",
            Self::ProposalRefused { .. } => "proposal-refused",
            Self::EquivocationSeen { .. } => "equivocation-seen",
            Self::KeyHalted { .. } => "key-halted",
            Self::ProposalDropped { .. } => "proposal-dropped",
            Self::L1WentBack { .. } => "l1-went-back",
            Self::BlockBuildFailed { .. } => "block-build-failed",
            Self::CheckpointProposed { .. } => "checkpoint-proposed",
            Self::CheckpointWithheld { .. } => "checkpoint-withheld",
            Self::CheckpointPublished { .. } => "checkpoint-published",
            Self::CheckpointPublishFailed { .. } => "checkpoint-publish-failed",
            Self::ActionsEnded { .. } => "actions-ended",
            Self::SlotMissed { .. } => "slot-missed",
            Self::CheckpointDiscarded { .. } => "checkpoint-discarded",
            Self::EpochProven { .. } => "epoch-proven",
            Self::EpochProofFailed { .. } => "epoch-proof-failed",
            Self::L1TipMoved { .. } => "l1-tip-moved",
        }
    }

    /// The slot it is about, where it is about one.
    #[must_use]
    pub const fn slot(&self) -> Option<Slot> {
        match self {
            Self::PreparingCheckpoint { slot, .. }
            | Self::SlotResumed { slot, .. }
            | Self::PhaseEntered { slot, .. }
            | Self::CheckpointLeftOut { slot, .. }
            | Self::BlockBuilt { slot, .. }
            | Self::BlockProposed { slot, .. }
            | Self::BlockHeard { slot, .. }
            | Self::BlockBuildFailed { slot, .. }
            | Self::CheckpointProposed { slot, .. }
            | Self::CheckpointAttested { slot, .. }
            | Self::AttestationsCollected { slot, .. }
            | Self::CheckpointWithheld { slot, .. }
            | Self::CheckpointPublished { slot, .. }
            | Self::CheckpointPublishFailed { slot, .. }
            | Self::ActionsEnded { slot, .. }
            | Self::SlotMissed { slot, .. }
            | Self::DutyMissed { slot, .. }
            | Self::ProposalRefused { slot, .. }
            | Self::EquivocationSeen { slot, .. }
            | Self::KeyHalted { slot, .. }
            | Self::ProposalDropped { slot, .. }
            | Self::CheckpointDiscarded { slot, .. } => Some(*slot),
            Self::L1WentBack { .. }
            | Self::EpochProven { .. }
            | Self::EpochProofFailed { .. }
            | Self::L1TipMoved { .. } => None,
        }
    }

    /// Whether a healthy chain never sees it.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::BlockBuildFailed { .. }
            | Self::CheckpointPublishFailed { .. }
            | Self::SlotMissed { .. }
            | Self::DutyMissed { .. }
            | Self::KeyHalted { .. }
            | Self::CheckpointDiscarded { .. }
            | Self::EpochProofFailed { .. } => true,
            Self::PreparingCheckpoint { .. }
            | Self::SlotResumed { .. }
            | Self::PhaseEntered { .. }
            | Self::CheckpointLeftOut { .. }
            | Self::BlockBuilt { .. }
            | Self::BlockProposed { .. }
            | Self::BlockHeard { .. }
            | Self::CheckpointAttested { .. }
            | Self::AttestationsCollected { .. }
            | Self::CheckpointWithheld { .. }
            | Self::ProposalRefused { .. }
            | Self::EquivocationSeen { .. }
            | Self::ProposalDropped { .. }
            | Self::L1WentBack { .. }
            | Self::CheckpointProposed { .. }
            | Self::CheckpointPublished { .. }
            | Self::ActionsEnded { .. }
            | Self::EpochProven { .. }
            | Self::L1TipMoved { .. } => false,
        }
    }
}

/// Where events are sent.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<SequencerEvent>);

impl Events {
    /// Events kept for a listener that is behind.
    const KEPT: usize = 1_024;

    /// Tells everyone who listens, and counts.
    pub fn emit(&self, event: SequencerEvent) {
        metrics::counter!("fermata_events_total", "event" => event.name()).increment(1);
        tracing::debug!(?event, "event");
        // No listener is not an error.
        let _ = self.0.send(event);
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<SequencerEvent> {
        self.0.subscribe()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(Self::KEPT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_name_in_the_rpc_and_in_the_metrics() {
        let event = SequencerEvent::SlotMissed { slot: Slot(1), reason: String::new() };
        let told = serde_json::to_value(&event).expect("plain data");
        assert_eq!(told["event"], event.name());
    }

    #[tokio::test]
    async fn a_listener_hears_what_is_emitted_from_then_on() {
        let events = Events::default();
        events.emit(SequencerEvent::L1TipMoved { l1_block: 1, checkpoint: CheckpointNumber(1) });
        let mut listener = events.subscribe();
        let second = SequencerEvent::L1TipMoved { l1_block: 2, checkpoint: CheckpointNumber(1) };
        events.emit(second.clone());
        assert_eq!(listener.recv().await, Ok(second));
    }
}
