//! What a node tells about itself: the admin RPC, `GET /status` and `fermata status` show this value.

mod health;
mod network;
mod prover;
mod publisher;
mod signer;
#[cfg(test)]
mod tests;
mod warnings;

use alloy::primitives::{Address, U256};
use fermata_primitives::{CheckpointNumber, Slot, UnixTime};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::engine::{DrainProgress, EngineStatus, Wish};
use crate::explain::Explanation;
use crate::feed::Told;
use crate::lifecycle::{Drain, Lifecycle};
use crate::phases::Phase;
use crate::publishing::Publishing;
use crate::requests_tracker::{LiveRequest, RequestKind};
use crate::roles::Roles;
use crate::verbs::{Head, LandedCheckpoint, StopAt};

pub use crate::own_keys::UnjudgedStatus;
pub use crate::pruning::PruningStatus;
pub use health::{Health, HealthStatus};
pub use network::NetworkStatus;
pub use prover::{EpochDue, ProverStatus};
pub use publisher::{
    BackendStatus, FeesNow, FunderStatus, InFlightTx, LastTopUp, PublisherAccount, PublisherReport, PublisherStatus,
    SendingStatus, WaitingStatus, Warning,
};
pub use signer::{KeyStanding, KeyStatus, SignerStatus};
pub(crate) use warnings::L1Time;

/// Tells what a node knows about itself. All of it may be dropped at any time.
pub trait StatusSource: Send + Sync {
    /// The status at this moment, from memory and the stores of this machine; L1 is not asked. The engine's owner, who may be
    /// waiting for a part that starts or stops, is waited for no longer than a second. Of what does not answer, what it told
    /// last is told again, or nothing.
    fn status(&self) -> BoxFuture<'_, NodeStatus>;

    /// Why the node does or does not propose in `slot`; without one, in the slot whose build frame is open. Asks L1.
    fn explain(&self, slot: Option<Slot>) -> BoxFuture<'_, Explanation>;

    /// The accounts that publish, and how far their money goes. Asks L1.
    fn publisher(&self) -> BoxFuture<'_, PublisherReport>;

    /// What happens from now on.
    fn news(&self) -> BoxStream<'static, Told>;
}

/// The whole status. All moments are milliseconds since the Unix epoch on the node's clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Version of Fermata.
    pub version: String,
    /// What the node is for.
    pub roles: Roles,
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
    /// Whether its checkpoints go to L1.
    pub publishing: Publishing,
    /// The L1 accounts that publish.
    pub publishers: Vec<PublisherStatus>,
    /// What they send through.
    pub sending: SendingStatus,
    /// The other nodes.
    pub network: NetworkStatus,
    /// The prover; `None` where the node is none.
    pub prover: Option<ProverStatus>,
    /// The keys that sign.
    pub signer: SignerStatus,
    /// Sends under way.
    pub requests: Vec<RequestStatus>,
    /// What the slots under way are busy with, oldest slot first.
    pub phases: Vec<SlotPhaseStatus>,
    /// Where a planned stop takes effect.
    pub stop_at: Option<StopAt>,
    /// The drain under way.
    pub drain: Option<DrainStatus>,
    /// How many ticks there have been since the process began.
    pub ticks: u64,
    /// How many runs there have been since the process began.
    pub runs: u64,
    /// Why the last run ended, where nobody asked it to.
    pub failure: Option<String>,
    /// Whether it makes progress.
    pub health: Health,
    /// Why it cannot do its work now, a sentence each; empty where it can. A node that an operator has stopped is healthy,
    /// and not ready.
    pub unready: Vec<String>,
}

/// What a slot is busy with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotPhaseStatus {
    /// The slot.
    pub slot: Slot,
    /// The phase.
    pub phase: Phase,
}

/// A drain under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainStatus {
    /// How hard.
    pub mode: Drain,
    /// Since when.
    pub since_ms: u64,
    /// When it becomes an interrupt, where it does.
    pub deadline_ms: Option<u64>,
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
    /// The newest checkpoint on L1 that the node has followed; `None` until it has followed one.
    pub checkpoint: Option<CheckpointNumber>,
    /// The newest proven one.
    pub proven: Option<CheckpointNumber>,
    /// Base fee of that block, in wei.
    pub base_fee_wei: U256,
    /// Its blob base fee, in wei, where the head tells it.
    pub blob_base_fee_wei: Option<U256>,
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
            roles: Roles::default(),
            network: NetworkStatus::default(),
            prover: None,
            now_ms: now.as_millis(),
            desired: None,
            actual: engine.into(),
            head: HeadsStatus::default(),
            last_checkpoint: None,
            l1: None,
            slot: None,
            publishing: Publishing::default(),
            publishers: Vec::new(),
            sending: SendingStatus::default(),
            signer: SignerStatus::default(),
            requests: Vec::new(),
            phases: Vec::new(),
            stop_at: engine.stop_at,
            drain: engine.drain.map(Into::into),
            ticks: 0,
            runs: engine.runs,
            failure: engine.failure.clone(),
            health: Health::from_reasons(engine.failure.clone().into_iter().collect()),
            unready: Vec::new(),
        }
        .judged([])
    }
}

impl From<DrainProgress> for DrainStatus {
    fn from(drain: DrainProgress) -> Self {
        let DrainProgress { mode, since, deadline } = drain;
        Self { mode, since_ms: since.as_millis(), deadline_ms: deadline.map(UnixTime::as_millis) }
    }
}
