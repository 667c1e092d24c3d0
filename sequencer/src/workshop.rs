//! All that working on a slot needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy::primitives::Address;
use fermata_execution::Execution;
use fermata_primitives::{SharedClock, Slot, UnixTime};
use fermata_publisher::PublisherManager;
use fermata_rollup::Committee;
use fermata_validator_signer::ValidatorSigner;
use tokio::sync::watch;

use crate::chain::Chain;
use crate::error::{Result, SequencerError};
use crate::events::{Events, SequencerEvent};
use crate::l1::{Committees, RollupView};
use crate::network::NodeId;
use crate::own_keys::OwnKeys;
use crate::peers::Peers;
use crate::phases::Phases;
use crate::poll_loop::chain as error_chain;
use crate::publishing::Publishing;
use crate::refusal::Refusal;
use crate::roles::{Role, Roles};
use crate::side_duties::SideDuties;
use crate::timetable::Timetable;
use crate::verbs::LandedCheckpoint;

/// What a proposer may decide for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProposerSettings {
    /// Receives fees and rewards; the proposer's own address where there is none.
    pub coinbase: Option<Address>,
    /// Gas limit of a block, at most; the contract's mana limit may be lower.
    pub block_gas_limit: u64,
    /// A block with fewer transactions is not proposed.
    pub min_transactions: usize,
    /// Whether its checkpoints go to L1.
    pub publishing: Publishing,
}

/// All that working on a slot needs. It outlives every run.
#[derive(Debug)]
pub struct Workshop {
    /// What the node is for.
    pub roles: Roles,
    /// What slots and deadlines are measured on.
    pub clock: SharedClock,
    /// When what is due.
    pub timetable: Timetable,
    /// The rollup contract.
    pub view: RollupView,
    /// Who proposes and attests.
    pub committees: Arc<Committees>,
    /// The L2 chain.
    pub chain: Arc<Chain>,
    /// Builds and checks blocks.
    pub execution: Arc<dyn Execution>,
    /// Signs duties, once.
    pub signer: Arc<ValidatorSigner>,
    /// Looks at what others show under the names of its keys.
    pub(crate) own_keys: OwnKeys,
    /// The other nodes.
    pub peers: Peers,
    /// What a slot owes L1 besides its checkpoint.
    pub side: Arc<SideDuties>,
    /// Lands L1 transactions.
    pub publisher: Arc<PublisherManager>,
    /// Tells what happens.
    pub events: Events,
    /// What the slots under way are busy with.
    pub phases: Phases,
    /// The proposer's own choices. A slot is built with those it began with; whether its checkpoint is published is looked
    /// at when that is due.
    pub settings: watch::Receiver<ProposerSettings>,
    /// The newest checkpoint of ours that L1 confirmed.
    pub last_landed: watch::Sender<Option<LandedCheckpoint>>,
    /// The newest slot of ours whose checkpoint was withheld from L1.
    pub last_withheld: watch::Sender<Option<Slot>>,
}

impl Workshop {
    /// The members of the committee that attest here; none where the node is no validator.
    pub(crate) fn our_members(&self, committee: &Committee) -> Vec<Address> {
        if !self.roles.has(Role::Validator) {
            return Vec::new();
        }
        let ours: BTreeSet<Address> = self.signer.addresses().into_iter().collect();
        committee.members.iter().copied().filter(|member| ours.contains(member)).collect()
    }

    /// What another node told counts for nothing: it is counted, and that is all.
    pub(crate) fn refuse(&self, slot: Slot, from: &NodeId, refusal: &Refusal) {
        self.peers.refusals.count(refusal);
        let reason = error_chain(refusal);
        tracing::warn!(slot = slot.0, %from, reason, "refused what another node told");
        self.events.emit(SequencerEvent::ProposalRefused { slot, from: from.to_string(), reason });
    }

    /// The end of the slot: what is signed for it later can land no more, so that no duty is spent on it.
    pub(crate) fn end_of(&self, slot: Slot) -> UnixTime {
        self.timetable.times().end_of(slot).into()
    }

    /// Whether a checkpoint of ours that is attested now goes to L1.
    pub(crate) fn publishing(&self) -> Publishing {
        self.settings.borrow().publishing
    }

    /// A member of ours does not attest the slot's checkpoint.
    pub(crate) fn miss_duty(&self, slot: Slot, member: Address, reason: &str) {
        tracing::warn!(slot = slot.0, %member, reason, "a member of ours does not attest");
        self.events.emit(SequencerEvent::DutyMissed { slot, member, reason: reason.to_owned() });
    }
}

/// Awaits `work`, no longer than the slot lasts.
pub(crate) async fn before_it_ends<T>(
    workshop: &Workshop,
    slot: Slot,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        () = workshop.clock.sleep_until(workshop.end_of(slot)) => Err(SequencerError::TooLate("its slot was over")),
    }
}
