//! What a node tells about itself.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Node;
use crate::lifecycle::Lifecycle;
use crate::status::{
    HeadsStatus, Health, InFlightTx, L1Status, NodeStatus, PublisherStatus, RequestStatus, SignerStatus, SlotStatus,
    StatusSource,
};
use crate::verbs::Head;

/// A node as the source of its status.
#[derive(Clone, Debug)]
pub struct NodeStatusSource(Node);

/// L1 heads missed before a node is not well.
const L1_HEADS_MISSED: u32 = 8;
/// Slots without a checkpoint on L1 before a running node is not well.
const SLOTS_WITHOUT_CHECKPOINT: u32 = 4;

impl NodeStatusSource {
    pub(super) const fn new(node: Node) -> Self {
        Self(node)
    }

    async fn read(&self) -> NodeStatus {
        let inner = &self.0.inner;
        let now = inner.clock.now();
        let engine = self.0.engine.status().borrow().clone();
        let l1 = self.l1();
        let heads = inner.workshop.chain.heads().await.unwrap_or_default();
        let last_checkpoint = inner.workshop.last_landed.borrow().clone();
        let head = |id: fermata_execution::BlockId| Head { number: id.number, hash: id.hash };
        NodeStatus {
            desired: inner.store.wish().await.ok().flatten().map(Into::into),
            head: HeadsStatus {
                unsafe_head: head(heads.unsafe_head),
                safe: head(heads.safe),
                finalized: head(heads.finalized),
            },
            last_checkpoint,
            l1: Some(l1),
            slot: Some(self.slot()),
            publishers: self.publishers().await,
            signer: SignerStatus { keys: inner.workshop.signer.addresses() },
            requests: self.0.engine.live_requests().await.iter().map(RequestStatus::from).collect(),
            health: Health::from_reasons(self.ill_because(engine.lifecycle, &l1, engine.failure.as_ref())),
            ..NodeStatus::of_engine(&engine, now)
        }
    }

    fn l1(&self) -> L1Status {
        let head = *self.0.inner.head.borrow();
        let lag = self.0.inner.clock.now().since(head.timestamp.into());
        L1Status { number: head.number, timestamp: head.timestamp.0, lag_ms: lag.as_millis() as u64 }
    }

    /// Told without asking L1 for a committee it has not told before.
    fn slot(&self) -> SlotStatus {
        let workshop = &self.0.inner.workshop;
        let now = workshop.clock.now();
        let target = workshop.timetable.target_slot(now);
        let proposer = workshop.committees.known(target).and_then(|committee| committee.proposer(target));
        let ours = proposer.is_some_and(|proposer| workshop.signer.addresses().contains(&proposer));
        SlotStatus { current: workshop.timetable.times().slot_at_time(now), target, proposer, ours }
    }

    async fn publishers(&self) -> Vec<PublisherStatus> {
        let Ok(status) = self.0.inner.workshop.publisher.status().await else { return Vec::new() };
        let of_account = |account: fermata_publisher::AccountStatus| PublisherStatus {
            address: account.address,
            balance_wei: account.balance,
            nonce: Some(account.next_nonce),
            in_flight: account.in_flight.into_iter().map(in_flight).collect(),
        };
        status.accounts.into_iter().map(of_account).collect()
    }

    fn ill_because(&self, lifecycle: Lifecycle, l1: &L1Status, failure: Option<&String>) -> Vec<String> {
        let times = self.0.timetable().times();
        let mut reasons: Vec<String> = failure.cloned().into_iter().collect();
        if u128::from(l1.lag_ms) > (L1_HEADS_MISSED * times.ethereum_slot()).as_millis() {
            reasons.push(format!("the L1 head is {} s old; check the L1 endpoint", l1.lag_ms / 1_000));
        }
        let still = self.0.inner.workshop.chain.tip_unmoved_for();
        if lifecycle == Lifecycle::Running && still > SLOTS_WITHOUT_CHECKPOINT * times.slot() {
            reasons.push(format!("no checkpoint has landed for {} s; look at the log", still.as_secs()));
        }
        reasons
    }
}

fn in_flight(tx: fermata_publisher::InFlightTx) -> InFlightTx {
    InFlightTx { tx: tx.hashes.last().copied(), nonce: tx.nonce, age_ms: tx.age.as_millis() as u64, label: tx.label }
}

impl StatusSource for NodeStatusSource {
    fn status(&self) -> BoxFuture<'_, NodeStatus> {
        self.read().boxed()
    }
}
