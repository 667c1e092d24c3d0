//! A recorded transaction: what is durable of it, and what this run has seen of it.

use std::sync::Arc;

use alloy::primitives::U256;
use fermata_primitives::{L1Timestamp, UnixTime};

use crate::classify::Verdict;
use crate::machine::job::Job;
use crate::machine::news::TxSight;
use crate::records::{AttemptKind, StoredTx};
use crate::{CeilingExceeded, Fees, L1TxState, Replacement};

/// A recorded transaction that is not final.
#[derive(Clone, Debug)]
pub(crate) struct Tx {
    pub(crate) stored: StoredTx,
    /// The request, if it came in this run and its caller was not told yet how it ended. Its blobs are not kept longer.
    pub(crate) job: Option<Arc<Job>>,
    /// How often its job was refused before.
    pub(crate) tries: u32,
    pub(crate) seen: Seen,
}

/// What was seen of a transaction in this run. Nothing of it outlives the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The attempt that is on its way to L1, by its number.
    pub(crate) sending: Option<usize>,
    /// What came of the first attempt; gone once it was acted upon.
    pub(crate) first_answer: Option<FirstAnswer>,
    /// What L1 showed when it was asked last, and at which beat.
    pub(crate) sight: Option<(u64, TxSight)>,
    /// The node has said that it has the last attempt.
    pub(crate) in_pool: bool,
    /// The beat at which the node was asked for it last, or answered for it.
    pub(crate) probed_at: u64,
    /// The beat at which the nonce was first seen used by an unknown transaction.
    pub(crate) foreign_since: Option<u64>,
    /// The beat at which the last attempt was recorded.
    pub(crate) attempted_at: u64,
    /// The beat at which bytes went out last.
    pub(crate) sent_at: u64,
    /// How often bytes went out again at this beat.
    pub(crate) resent: u32,
    /// L1 blocks that came without it since its last attempt was taken.
    pub(crate) missed: u64,
    /// The beat at which the last of them was counted.
    pub(crate) missed_at: u64,
    /// The node said that the last attempt bids too little to replace the one before.
    pub(crate) is_too_low: bool,
    /// The caller has interrupted it: it is only watched.
    pub(crate) is_interrupted: bool,
    /// Why its last replacement was not made.
    pub(crate) blocked: Option<CeilingExceeded>,
}

/// What came of handing the first attempt to L1.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum FirstAnswer {
    Verdict(Verdict),
    /// It was not handed over: its caller had interrupted it, or its deadline had passed.
    Withheld,
    /// An earlier run recorded it; whether it was handed over, nobody knows.
    Unknown,
}

impl Tx {
    /// A transaction of an earlier run, taken up at this beat.
    pub(crate) fn resumed(stored: StoredTx, at: u64) -> Self {
        let seen = Seen { first_answer: Some(FirstAnswer::Unknown), attempted_at: at, ..Seen::default() };
        Self { stored, job: None, tries: 0, seen }
    }

    pub(crate) const fn state(&self) -> L1TxState {
        self.stored.intent.state
    }

    /// What L1 showed at this beat, if it was asked since.
    pub(crate) fn sight_at(&self, beat: u64) -> Option<&TxSight> {
        self.seen.sight.as_ref().filter(|(at, _)| *at >= beat).map(|(_, sight)| sight)
    }

    /// When it could first have landed: its window was open, and it was there.
    pub(crate) fn since(&self) -> L1Timestamp {
        let recorded = self.stored.intent.recorded_at.since(UnixTime::default()).as_secs();
        L1Timestamp(self.stored.intent.not_before.0.max(recorded))
    }

    /// The last attempt is a cancel.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.stored.attempts.last().is_some_and(|attempt| attempt.kind == AttemptKind::Cancel)
    }

    /// How often its bid was raised.
    pub(crate) fn speed_ups(&self) -> usize {
        self.stored.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::SpeedUp).count()
    }

    /// The highest bid in every field, over all attempts: a pool may hold any of them.
    pub(crate) fn highest_fees(&self) -> Option<Fees> {
        let bids = self.stored.attempts.iter().map(|attempt| attempt.fees);
        bids.reduce(Fees::highest)
    }

    /// The rule of the pools for what replaces it.
    pub(crate) const fn replacement(&self) -> Replacement {
        if self.stored.intent.blob_count > 0 { Replacement::Blob } else { Replacement::Plain }
    }

    /// The most it can cost while it is not in a block: what the account must keep for it. In wei.
    pub(crate) fn reserved(&self) -> U256 {
        self.most_fees() + self.stored.intent.value
    }

    /// The most it can cost besides its value, in wei.
    pub(crate) fn most_fees(&self) -> U256 {
        let intent = &self.stored.intent;
        let most = self.highest_fees().map(|fees| fees.max_cost(intent.gas_limit, intent.blob_count));
        most.unwrap_or_default()
    }
}
