//! What a drain did: the report that a stop answers with.

use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, Slot};
use serde::{Deserialize, Serialize};

/// How a drain ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainOutcome {
    /// All that was in flight ended by itself.
    Drained,
    /// It was asked to end early.
    Interrupted,
    /// The deadline of a graceful stop came first.
    Deadline,
}

/// An L2 block: where a chain ends.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
}

/// A checkpoint as far as this node knows it landed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LandedCheckpoint {
    /// Its number.
    pub number: CheckpointNumber,
    /// Its slot.
    pub slot: Slot,
    /// The L1 transaction that carried it.
    pub l1_tx: B256,
    /// The L1 block that holds it.
    pub l1_block: u64,
}

/// What a piece of a slot's work was for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// Building and proposing, within the tick.
    Build,
    /// Attestations and the L1 submission of a checkpoint.
    Checkpoint,
    /// Hearing and attesting another proposer's checkpoint.
    Attestation,
    /// Votes and prunes of a slot that could not build.
    Fallback,
}

impl WorkKind {
    /// The word for it in the RPC and the metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Checkpoint => "checkpoint",
            Self::Attestation => "attestation",
            Self::Fallback => "fallback",
        }
    }
}

impl Ending {
    /// The word for it in the RPC and the metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Landed { .. } => "landed",
            Self::Withheld => "withheld",
            Self::Attested { .. } => "attested",
            Self::Failed { .. } => "failed",
            Self::Cut => "cut",
            Self::InFlight { .. } => "in_flight",
            Self::Aborted => "aborted",
            Self::Panicked => "panicked",
        }
    }
}

/// How a piece of work ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase", tag = "ending")]
pub enum Ending {
    /// L1 has what it was for.
    Landed {
        /// The L1 transaction that carried it.
        l1_tx: B256,
    },
    /// It was attested and not sent, since publishing is off.
    Withheld,
    /// Our members have attested another proposer's checkpoint, and told it.
    Attested {
        /// How many of them.
        members: usize,
    },
    /// It ended by itself, and L1 does not have what it was for.
    Failed {
        /// Why.
        reason: String,
    },
    /// It was cut before anything of it was sent: nothing of it will land.
    Cut,
    /// It was cut after its L1 transaction may have gone out. Whether it lands is L1's to say; the next start reads it.
    InFlight {
        /// The L1 transaction.
        l1_tx: B256,
        /// Where the L2 head will be if it lands.
        head: Head,
    },
    /// It did not end when it was interrupted, and was given up where it stood. Whether anything of it was sent, and lands,
    /// is not known here; the next start reads it.
    Aborted,
    /// It panicked; contained and logged. What it had sent by then may land.
    Panicked,
}

/// A piece of work that ended while a run was drained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainedWork {
    /// What it was for.
    pub kind: WorkKind,
    /// The slot it was bound to.
    pub slot: Slot,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
}

/// What a drain did.
///
/// `head` is the parent of the next block that this node builds, unless an L1 transaction of `work` that is
/// [`Ending::InFlight`] lands: then its `head` is. Work that was [`Ending::Aborted`] may move it too, and so does a checkpoint
/// in it that does not land in its slot, as one that was [`Ending::Withheld`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainReport {
    /// How it ended.
    pub outcome: DrainOutcome,
    /// The head the node came to rest at.
    pub head: Head,
    /// The newest checkpoint of ours that L1 confirmed since the process began.
    pub last_checkpoint: Option<LandedCheckpoint>,
    /// What was in flight, oldest slot first, and how each piece of it ended.
    pub work: Vec<DrainedWork>,
    /// Parts that did not stop as they should, a sentence each. The node is stopped all the same.
    pub failures: Vec<String>,
    /// From the beginning of the drain to its end, in milliseconds.
    pub took_ms: u64,
}
