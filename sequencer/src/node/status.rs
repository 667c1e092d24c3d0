//! What a node tells about itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::U256;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use fermata_execution::Heads;
use fermata_primitives::{L1Timestamp, Slot};

use super::{Node, explain, funds, news, proving, sending};
use crate::explain::Explanation;
use crate::feed::Told;
use crate::lifecycle::Lifecycle;
use crate::poll_loop::chain;
use crate::roles::Role;
use crate::status::{
    HeadsStatus, Health, KeyStatus, L1Status, L1Time, NetworkStatus, NodeStatus, ProverStatus, PublisherReport,
    PublisherStatus, RequestStatus, SendingStatus, SignerStatus, SlotPhaseStatus, SlotStatus, StatusSource,
};
use crate::verbs::Head;

/// A node as the source of its status.
#[derive(Clone, Debug)]
pub struct NodeStatusSource {
    node: Node,
    known: Arc<Mutex<Known>>,
}

/// What a status tells again where its source does not answer.
#[derive(Debug, Default)]
struct Known {
    heads: Heads,
    requests: Vec<RequestStatus>,
}

/// How long a status waits for the engine's owner, who may be waiting for a part that starts or stops.
const OWNER_PATIENCE: Duration = Duration::from_secs(1);

/// L1 blocks that may be missing before the head is too old, and a node not well.
pub(crate) const L1_HEADS_MISSED: u32 = 8;
/// Slots without a checkpoint on L1 before a running node is not well.
const SLOTS_WITHOUT_CHECKPOINT: u32 = 4;

impl NodeStatusSource {
    pub(super) fn new(node: Node) -> Self {
        Self { node, known: Arc::default() }
    }

    /// The heads, or those that were read last.
    async fn heads(&self) -> HeadsStatus {
        let read = self.node.inner.workshop.chain.heads().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(heads) => known.heads = heads,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the L2 heads cannot be read; the last known are told")
            }
        }
        let head = |id: fermata_execution::BlockId| Head { number: id.number, hash: id.hash };
        let Heads { unsafe_head, safe, finalized } = known.heads;
        HeadsStatus { unsafe_head: head(unsafe_head), safe: head(safe), finalized: head(finalized) }
    }

    /// The sends under way, or those that were told last.
    async fn requests(&self) -> Vec<RequestStatus> {
        let told = tokio::time::timeout(OWNER_PATIENCE, self.node.engine.live_requests()).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(told) = told {
            known.requests = told.iter().map(RequestStatus::from).collect();
        }
        known.requests.clone()
    }

    async fn read(&self) -> NodeStatus {
        let inner = &self.node.inner;
        let engine = self.node.engine.status().borrow().clone();
        let l1 = self.l1();
        let last_checkpoint = inner.workshop.last_landed.borrow().clone();
        let ticks = self.node.engine.pulse().borrow().ticks;
        let phases = inner.workshop.phases.now().into_iter().map(|(slot, phase)| SlotPhaseStatus { slot, phase });
        let (publishers, sending) = self.sending(l1).await;
        let status = NodeStatus {
            desired: inner.store.wish().await.ok().flatten().map(Into::into),
            head: self.heads().await,
            last_checkpoint,
            l1: Some(l1),
            slot: Some(self.slot()),
            publishing: inner.workshop.publishing(),
            publishers,
            sending,
            roles: inner.config.roles,
            network: NetworkStatus::of(&inner.workshop.peers),
            prover: proving::tell(&self.node).await,
            signer: signer(&self.node),
            requests: self.requests().await,
            phases: phases.collect(),
            ticks,
            ..NodeStatus::of_engine(&engine, inner.clock.now())
        };
        let health = Health::from_reasons(self.ill_because(&status));
        let others = self.cannot_work_because(&status);
        NodeStatus { health, ..status }.judged(others)
    }

    fn l1(&self) -> L1Status {
        let head = *self.node.inner.head.borrow();
        let lag = self.node.inner.clock.now().since(head.timestamp.into());
        let tip = *self.node.inner.workshop.chain.tip().borrow();
        L1Status {
            number: head.number,
            timestamp: head.timestamp.0,
            lag_ms: lag.as_millis() as u64,
            checkpoint: tip.map(|tip| tip.number),
            proven: tip.map(|tip| tip.proven),
            base_fee_wei: U256::from(head.base_fee),
            blob_base_fee_wei: head.blob_base_fee.map(U256::from),
        }
    }

    /// Told without asking L1 for a committee it has not told before.
    fn slot(&self) -> SlotStatus {
        let workshop = &self.node.inner.workshop;
        let now = workshop.clock.now();
        let target = workshop.timetable.target_slot(now);
        let proposer = workshop.committees.known(target).and_then(|committee| committee.proposer(target));
        let ours = proposer.is_some_and(|proposer| workshop.signer.addresses().contains(&proposer));
        SlotStatus { current: workshop.timetable.times().slot_at_time(now), target, proposer, ours }
    }

    /// The accounts that publish, and what they send through.
    async fn sending(&self, l1: L1Status) -> (Vec<PublisherStatus>, SendingStatus) {
        let Ok(told) = self.node.inner.workshop.publisher.status().await else { return Default::default() };
        let (accounts, told) = sending::told(told);
        let all: Vec<_> = accounts.iter().collect();
        let told = told.judged(&all, l1_time(&self.node, l1.timestamp));
        (accounts, told)
    }

    fn ill_because(&self, status: &NodeStatus) -> Vec<String> {
        let times = self.node.timetable().times();
        let mut reasons: Vec<String> = status.failure.clone().into_iter().collect();
        let lag_ms = status.l1.map_or(0, |l1| l1.lag_ms);
        if u128::from(lag_ms) > (L1_HEADS_MISSED * times.ethereum_slot()).as_millis() {
            reasons.push(format!("the L1 head is {} s old; check the L1 endpoint", lag_ms / 1_000));
        }
        let still = self.node.inner.workshop.chain.tip_unmoved_for();
        if status.actual.lifecycle == Lifecycle::Running && still > SLOTS_WITHOUT_CHECKPOINT * times.slot() {
            let remedy = status.publishing.off_because().unwrap_or_else(|| "look at the log".to_owned());
            reasons.push(format!("no checkpoint has landed for {} s; {remedy}", still.as_secs()));
        }
        reasons.extend(status.prover.as_ref().and_then(ProverStatus::amiss));
        reasons.extend(status.signer.keys.iter().filter_map(KeyStatus::amiss));
        reasons.extend(status.signer.unjudged.amiss());
        reasons.extend(status.signer.pruning.amiss());
        reasons
    }

    /// What a node at work needs besides: a chain that is followed, a signer that signs, leave to publish, money.
    fn cannot_work_because(&self, status: &NodeStatus) -> Vec<String> {
        let mut reasons = Vec::new();
        if status.l1.is_none_or(|l1| l1.checkpoint.is_none()) {
            reasons.push("the chain on L1 has not been followed yet".to_owned());
        }
        if status.actual.lifecycle == Lifecycle::Running && !status.signer.started {
            reasons.push("the signer does not sign".to_owned());
        }
        reasons.extend(status.signer.listening().filter(|_| !status.signer.keys.is_empty()));
        reasons.extend(status.publishing.off_because().filter(|_| status.roles.has(Role::Sequencer)));
        let is_broke = |account: &PublisherStatus| account.balance_wei.is_some_and(|balance| balance.is_zero());
        if !status.publishers.is_empty() && status.publishers.iter().all(is_broke) {
            reasons.push(format!("no publisher has ETH; send some to {}", status.publishers[0].address));
        }
        reasons
    }
}

/// The keys that sign, and the store that they are asked of.
pub(super) fn signer(node: &Node) -> SignerStatus {
    let workshop = &node.inner.workshop;
    let protection = workshop.signer.protection();
    let (states, target) = (protection.key_states(), workshop.timetable.target_slot(workshop.clock.now()));
    let key = |address| KeyStatus::new(address, states.get(&address).copied().unwrap_or_default());
    SignerStatus {
        keys: workshop.signer.addresses().into_iter().map(key).collect(),
        started: workshop.signer.is_started(),
        listens_until: protection.listens_until().filter(|until| target < *until),
        unjudged: workshop.own_keys.unjudged(),
        pruning: node.inner.pruner.status().borrow().clone(),
    }
}

/// The time of L1 at a head with this timestamp.
pub(super) fn l1_time(node: &Node, timestamp: u64) -> L1Time {
    L1Time { now: L1Timestamp(timestamp).into(), slot: node.timetable().times().ethereum_slot() }
}

impl StatusSource for NodeStatusSource {
    fn status(&self) -> BoxFuture<'_, NodeStatus> {
        self.read().boxed()
    }

    fn explain(&self, slot: Option<Slot>) -> BoxFuture<'_, Explanation> {
        explain::explain(&self.node, slot).boxed()
    }

    fn publisher(&self) -> BoxFuture<'_, PublisherReport> {
        funds::report(&self.node).boxed()
    }

    fn news(&self) -> BoxStream<'static, Told> {
        news::of(&self.node)
    }
}
