//! What the task that owns the connection is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use fermata_primitives::{Slot, UnixTime};
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::judge::{Verdict, Wanted};
use super::ledger::Signed;
use super::link::{Fault, Trouble};
use super::owner::Owner;
use crate::eth::judging::{EthJudgement, EthWanted};

/// What the task is asked for.
pub(super) enum Request {
    /// Leave to sign, each payload answered on its own.
    Reserve(Reserve),
    /// Leave to sign for Ethereum's keys, each payload answered on its own.
    ReserveEth(EthReserve),
    /// A signature that was made.
    Signed(Signed),
    /// Something that is done on its own, between two batches.
    Errand(Errand),
    /// Forget what lies at or below the horizon.
    Prune(Prune),
    /// Answer what is queued, then close.
    Close,
}

/// Work that answers for itself. The task tries it once.
pub(super) type Errand = Box<dyn for<'a> FnOnce(&'a mut Owner) -> BoxFuture<'a, ()> + Send>;

/// Why a request has no verdicts.
#[derive(Clone, Debug)]
pub(super) enum Unanswered {
    Closed,
    Fault(Fault),
    /// The server was too slow for the caller.
    TooSlow {
        ambiguous: bool,
    },
    /// The caller's deadline passed before anything was sent.
    TooLate {
        by: UnixTime,
    },
}

pub(super) struct Reserve {
    pub(super) wanted: Vec<Wanted>,
    /// Nothing is sent once the clock has reached it.
    pub(super) by: Option<UnixTime>,
    pub(super) stage: Arc<Stage>,
    pub(super) reply: oneshot::Sender<Result<Vec<Verdict>, Unanswered>>,
}

/// Unanswered by the task, its caller was too slow or the store is closed.
pub(super) struct EthReserve {
    pub(super) wanted: Vec<EthWanted>,
    pub(super) stage: Arc<Stage>,
    pub(super) reply: oneshot::Sender<Result<Vec<EthJudgement>, Fault>>,
}

pub(super) struct Prune {
    pub(super) horizon: Slot,
    pub(super) removed: u64,
    pub(super) is_marked: bool,
    pub(super) reply: oneshot::Sender<Result<u64, Trouble>>,
}

/// How far a request has come: whether a caller that gives up knows that nothing was sent.
#[derive(Default, Debug)]
pub(super) struct Stage(AtomicU8);

impl Reserve {
    /// The deadline, if it has passed before anything was sent.
    fn missed(&self, now: UnixTime) -> Option<UnixTime> {
        self.by.filter(|by| *by <= now && self.stage.is_queued())
    }
}

impl Stage {
    const QUEUED: u8 = 0;
    const SENT: u8 = 1;
    const WITHDRAWN: u8 = 2;

    /// The caller gives up. True: it will never be sent.
    pub(super) fn withdraw(&self) -> bool {
        self.leave_queue(Self::WITHDRAWN) != Self::SENT
    }

    fn is_queued(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::QUEUED
    }

    /// It is about to be sent, now or again. False: its caller gave it up before.
    pub(super) fn send(&self) -> bool {
        self.leave_queue(Self::SENT) != Self::WITHDRAWN
    }

    /// The stage it had left the queue for before, or the queue.
    fn leave_queue(&self, to: u8) -> u8 {
        match self.0.compare_exchange(Self::QUEUED, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(before) | Err(before) => before,
        }
    }
}

/// Gives each caller of a batch its verdicts.
pub(super) fn answer(batch: Vec<Reserve>, verdicts: Vec<Verdict>) {
    let mut verdicts = verdicts.into_iter();
    for Reserve { wanted, reply, .. } in batch {
        // Nobody may be waiting any more; the duties stay pinned.
        let _ = reply.send(Ok(verdicts.by_ref().take(wanted.len()).collect()));
    }
}

/// Tells all callers of a batch why they have none.
pub(super) fn refuse(batch: Vec<Reserve>, failure: &Unanswered) {
    for Reserve { reply, .. } in batch {
        let _ = reply.send(Err(failure.clone()));
    }
}

/// Answers those whose deadline passed before anything was sent; gives the others.
pub(super) fn refuse_late(batch: Vec<Reserve>, now: UnixTime) -> Vec<Reserve> {
    let mut in_time = Vec::with_capacity(batch.len());
    for reserve in batch {
        match reserve.missed(now) {
            None => in_time.push(reserve),
            Some(by) => refuse(vec![reserve], &Unanswered::TooLate { by }),
        }
    }
    in_time
}
