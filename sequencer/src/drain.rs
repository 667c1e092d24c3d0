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

    /// Whether it did not end by itself.
    const fn is_cut(&self) -> bool {
        match self {
            Self::Cut | Self::InFlight { .. } | Self::Aborted | Self::Panicked => true,
            Self::Landed { .. } | Self::Withheld | Self::Attested { .. } | Self::Failed { .. } => false,
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

impl DrainReport {
    /// Whether anything of this node's own did not end by itself, so that the next start has something to reconcile. What
    /// others had in flight was theirs, however seeing it through ended.
    #[must_use]
    pub fn own_work_was_cut(&self) -> bool {
        let is_cut = |work: &DrainedWork| work.kind != WorkKind::Attestation && work.ending.is_cut();
        !self.failures.is_empty() || self.work.iter().any(is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(work: &[(WorkKind, Ending)], failures: &[&str]) -> DrainReport {
        let work = work.iter().map(|(kind, ending)| DrainedWork { kind: *kind, slot: Slot(7), ending: ending.clone() });
        DrainReport {
            outcome: DrainOutcome::Deadline,
            head: Head::default(),
            last_checkpoint: None,
            work: work.collect(),
            failures: failures.iter().map(|failure| (*failure).to_owned()).collect(),
            took_ms: 25_000,
        }
    }

    #[test]
    fn what_of_others_was_not_seen_through_is_no_work_of_ours_that_was_cut() {
        let landed = Ending::Landed { l1_tx: B256::ZERO };
        assert!(!drained(&[], &[]).own_work_was_cut());
        let others = [(WorkKind::Attestation, Ending::Cut), (WorkKind::Checkpoint, landed)];
        assert!(!drained(&others, &[]).own_work_was_cut());
        assert!(drained(&others, &["the publisher did not stop"]).own_work_was_cut());
    }

    #[test]
    fn work_of_ours_that_did_not_end_by_itself_was_cut() {
        let in_flight = Ending::InFlight { l1_tx: B256::ZERO, head: Head::default() };
        for ending in [Ending::Cut, in_flight, Ending::Aborted, Ending::Panicked] {
            for kind in [WorkKind::Build, WorkKind::Checkpoint, WorkKind::Fallback] {
                assert!(drained(&[(kind, ending.clone())], &[]).own_work_was_cut(), "{kind:?} {ending:?}");
            }
        }
        let failed = Ending::Failed { reason: "no quorum".to_owned() };
        for ending in [Ending::Withheld, failed, Ending::Attested { members: 1 }] {
            assert!(!drained(&[(WorkKind::Checkpoint, ending.clone())], &[]).own_work_was_cut(), "{ending:?}");
        }
    }
}
