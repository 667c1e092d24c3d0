//! What a node tells about itself: the admin RPC, `GET /status` and `fermata status` show this value.

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{Slot, UnixTime};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::engine::{EngineStatus, Wish};
use crate::lifecycle::Lifecycle;
use crate::requests_tracker::{LiveRequest, RequestKind};
use crate::verbs::{Head, LandedCheckpoint};

/// Tells the status. It answers from memory and at once: no L1 call, no wait for a lock that a tick may hold.
pub trait StatusSource: Send + Sync {
    /// The status at this moment.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    fn status(&self) -> BoxFuture<'_, NodeStatus>;
}

/// The whole status. All moments are milliseconds since the Unix epoch on the node's clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Version of Fermata.
    pub version: String,
    /// The node's clock when this was told.
    pub now_ms: u64,
    /// What an operator wants; `None` when nobody has said yet.
    pub desired: Option<DesiredState>,
    /// What is.
    pub actual: ActualState,
    /// The three L2 heads.
    pub head: HeadsStatus,
    /// The newest checkpoint of ours that L1 confirmed.
    pub last_checkpoint: Option<LandedCheckpoint>,
    /// The L1 head as the node sees it; `None` before the first answer.
    pub l1: Option<L1Status>,
    /// Where in time the node is; `None` before the rollup's time model is known.
    pub slot: Option<SlotStatus>,
    /// The L1 accounts that publish.
    pub publishers: Vec<PublisherStatus>,
    /// The keys that sign.
    pub signer: SignerStatus,
    /// Sends under way.
    pub requests: Vec<RequestStatus>,
    /// How many runs there have been since the process began.
    pub runs: u64,
    /// Why the last run ended, where nobody asked it to.
    pub failure: Option<String>,
    /// Whether it makes progress.
    pub health: Health,
}

/// The state an operator asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredState {
    /// Running or stopped.
    pub state: Desired,
    /// Whose wish it is.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since_ms: u64,
}

/// What can be wished for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Slots are to be worked on.
    Running,
    /// They are not.
    Stopped,
}

/// The lifecycle as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActualState {
    /// The state.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Since when.
    pub since_ms: u64,
    /// Whether a start is under way.
    pub starting: bool,
}

/// The L2 heads.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct HeadsStatus {
    /// The newest block: parent of the next.
    #[serde(rename = "unsafe")]
    pub unsafe_head: Head,
    /// The newest block that L1 holds.
    pub safe: Head,
    /// The newest block that L1 holds finally.
    pub finalized: Head,
}

/// The L1 head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L1Status {
    /// Number of the newest L1 block seen.
    pub number: u64,
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// How far it lies behind the node's clock.
    pub lag_ms: u64,
}

/// The slots the node is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotStatus {
    /// The slot of the node's clock.
    pub current: Slot,
    /// The slot whose build frame is open.
    pub target: Slot,
    /// Who proposes in the target slot, where that is known.
    pub proposer: Option<Address>,
    /// Whether that is one of our keys.
    pub ours: bool,
}

/// One L1 account that sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherStatus {
    /// The account.
    pub address: Address,
    /// Its balance in wei, where L1 has answered.
    pub balance_wei: Option<U256>,
    /// Its next nonce.
    pub nonce: Option<u64>,
    /// Its transactions that are not settled.
    pub in_flight: Vec<InFlightTx>,
}

/// An L1 transaction that is not settled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlightTx {
    /// Hash of the newest attempt; `None` before it is signed.
    pub tx: Option<B256>,
    /// Its nonce.
    pub nonce: u64,
    /// How long ago it was recorded.
    pub age_ms: u64,
    /// What it is for.
    pub label: String,
}

/// The signer.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerStatus {
    /// The validators whose keys are here.
    pub keys: Vec<Address>,
}

/// A tracked send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestStatus {
    /// What it does.
    pub kind: RequestKind,
    /// The slot it is bound to.
    pub slot: Slot,
    /// How long it has been tracked.
    pub age_ms: u64,
}

/// Whether the node makes progress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Why it is not well, a sentence each.
    pub reasons: Vec<String>,
}

/// The verdict on a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It does what it is asked to; also when it is asked to stand still.
    Ok,
    /// It does not make the progress it should.
    Failing,
}

impl Health {
    /// Well where there is no reason to say otherwise.
    #[must_use]
    pub const fn from_reasons(reasons: Vec<String>) -> Self {
        let status = if reasons.is_empty() { HealthStatus::Ok } else { HealthStatus::Failing };
        Self { status, reasons }
    }
}

impl NodeStatus {
    /// Whether the node can do its work: it runs and it is well. A node that an operator has stopped is well, not ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.actual.lifecycle == Lifecycle::Running && self.health.status == HealthStatus::Ok
    }
}

impl From<Wish> for DesiredState {
    fn from(wish: Wish) -> Self {
        let state = if wish.running { Desired::Running } else { Desired::Stopped };
        Self { state, by: wish.author.by, reason: wish.author.reason, since_ms: wish.since.as_millis() }
    }
}

impl From<&EngineStatus> for ActualState {
    fn from(status: &EngineStatus) -> Self {
        Self { lifecycle: status.lifecycle, since_ms: status.since.as_millis(), starting: status.starting }
    }
}

impl From<&LiveRequest> for RequestStatus {
    fn from(request: &LiveRequest) -> Self {
        let age_ms = u64::try_from(request.age.as_millis()).unwrap_or(u64::MAX);
        Self { kind: request.kind, slot: request.slot, age_ms }
    }
}

impl NodeStatus {
    /// A status with what the engine tells, and nothing known of the rest.
    #[must_use]
    pub fn of_engine(engine: &EngineStatus, now: UnixTime) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now_ms: now.as_millis(),
            desired: None,
            actual: engine.into(),
            head: HeadsStatus::default(),
            last_checkpoint: None,
            l1: None,
            slot: None,
            publishers: Vec::new(),
            signer: SignerStatus::default(),
            requests: Vec::new(),
            runs: engine.runs,
            failure: engine.failure.clone(),
            health: Health::from_reasons(engine.failure.clone().into_iter().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(lifecycle: Lifecycle, failure: Option<&str>) -> NodeStatus {
        let engine = EngineStatus {
            lifecycle,
            runs: 2,
            failure: failure.map(str::to_owned),
            ..EngineStatus::at_rest(UnixTime::from_millis(5))
        };
        NodeStatus::of_engine(&engine, UnixTime::from_millis(9))
    }

    #[test]
    fn a_stopped_node_is_well_and_not_ready() {
        let stopped = status(Lifecycle::Stopped, None);
        assert_eq!((stopped.health.status, stopped.is_ready()), (HealthStatus::Ok, false));
        assert!(status(Lifecycle::Running, None).is_ready());
        assert!(!status(Lifecycle::Running, Some("a tick panicked")).is_ready());
    }

    #[test]
    fn the_json_names_are_those_of_the_docs_and_it_reads_back() {
        let json = serde_json::to_value(status(Lifecycle::Running, None)).expect("serialises");
        assert_eq!(json["actual"]["lifecycle"], "running");
        assert_eq!(json["actual"]["sinceMs"], 5);
        assert!(json["head"]["unsafe"]["hash"].is_string());
        let back: NodeStatus = serde_json::from_value(json).expect("reads back");
        assert_eq!(back, status(Lifecycle::Running, None));
    }
}
