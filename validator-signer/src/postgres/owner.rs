//! The task that owns the connection, and turns whatever waits in its queue into one transaction.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use alloy::primitives::Address;
use fermata_primitives::{Backoff, Clock as _, SharedClock, Slot, SystemClock, UnixTime};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use super::judge::{Asker, FIRST_FENCE, Verdict, Wanted};
use super::ledger::{Settling, Signed};
use super::link::{Fault, Link, Trouble, trouble};
use super::pruning::{delete_below, raise_marks};
use super::session::ServerError;
use crate::permit::Attempt;
use crate::{Duty, Halt, KeyChange, Sighting};

/// Signatures kept in memory while the server is away. Losing one costs a repeat of the same signature.
const UNWRITTEN_SIGNATURES: usize = 4096;
/// How often what is remembered of the server is written down, while there is anything to remember.
const REMEMBER_EVERY: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_millis(500);

/// What the task is asked for.
pub(super) enum Request {
    /// Leave to sign, each payload answered on its own.
    Reserve(Reserve),
    /// A signature that was made.
    Signed(Signed),
    /// Something that is done on its own.
    Errand(Errand),
    /// Forget what lies at or below the horizon.
    Prune(Prune),
    /// Answer what is queued, then close.
    Close,
}

/// Errands are tried once.
pub(super) enum Errand {
    Cancel { duty: Duty, attempt: Attempt, reply: oneshot::Sender<Result<bool, Trouble>> },
    ChangeKey { key: Address, change: KeyChange, reply: oneshot::Sender<Result<(), Trouble>> },
    Observe { seen: Halt, reply: oneshot::Sender<Result<Sighting, Trouble>> },
}

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
    fn send(&self) -> bool {
        self.leave_queue(Self::SENT) != Self::WITHDRAWN
    }

    /// The stage it had left the queue for before, or the queue.
    fn leave_queue(&self, to: u8) -> u8 {
        match self.0.compare_exchange(Self::QUEUED, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(before) | Err(before) => before,
        }
    }
}

/// State of the task. Whoever waits for the close hears of it when `closed` is dropped.
pub(super) struct Owner {
    pub(super) link: Link,
    pub(super) asker: Asker,
    pub(super) queue: mpsc::Receiver<Request>,
    pub(super) closed: watch::Sender<()>,
    pub(super) batch_duties: usize,
    /// Longest wait for the server in one try.
    pub(super) patience: Duration,
    /// Tells whether a deadline has passed.
    pub(super) clock: SharedClock,
    pub(super) unwritten: Vec<Signed>,
    pub(super) errands: Vec<Errand>,
    pub(super) prunes: VecDeque<Prune>,
    pub(super) remembered_at: Duration,
}

impl Owner {
    /// Runs until the store is closed, or its last handle is gone.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.collect().await {
            if !batch.is_empty() || !self.unwritten.is_empty() {
                self.serve(batch).await;
            }
            for errand in std::mem::take(&mut self.errands) {
                self.run_errand(errand).await;
            }
            self.prune_a_piece().await;
            self.link.tell_of_keys();
            self.remember(REMEMBER_EVERY).await;
        }
        if !self.unwritten.is_empty() {
            // A failure leaves the duties pinned; their payloads can be signed anew.
            self.serve(Vec::new()).await;
        }
        self.remember(Duration::ZERO).await;
        self.link.close().await;
        drop(self.closed);
    }

    /// Waits for work and takes what is there, up to a batch; with pruning to do it does not wait. `None` at the end.
    async fn collect(&mut self) -> Option<Vec<Reserve>> {
        let mut next = if self.prunes.is_empty() { Some(self.queue.recv().await?) } else { self.queue.try_recv().ok() };
        let mut batch = Vec::new();
        let mut duties = 0;
        while let Some(request) = next {
            match request {
                Request::Reserve(reserve) => {
                    duties += reserve.wanted.len();
                    batch.push(reserve);
                }
                Request::Signed(signed) if self.unwritten.len() < UNWRITTEN_SIGNATURES => self.unwritten.push(signed),
                Request::Signed(signed) => warn!(duty = %signed.duty, "a signature is not kept: the server is away"),
                Request::Errand(errand) => self.errands.push(errand),
                Request::Prune(prune) => self.prunes.push_back(prune),
                Request::Close => self.queue.close(),
            }
            next = if duties < self.batch_duties { self.queue.try_recv().ok() } else { None };
        }
        Some(batch)
    }

    /// Settles a batch, and tries again under the same tokens for as long as anybody waits for it. Signatures alone are
    /// tried once, and ride with the next batch if that fails.
    async fn serve(&mut self, mut batch: Vec<Reserve>) {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        loop {
            batch = refuse_late(batch, self.clock.now());
            // Whoever stopped waiting before the first try has nothing recorded.
            batch.retain(|reserve| !reserve.reply.is_closed() && reserve.stage.send());
            if batch.is_empty() && self.unwritten.is_empty() {
                return;
            }
            match self.settle(&batch).await {
                Ok(verdicts) => return answer(batch, verdicts),
                Err(Trouble::Lasting(fault)) => {
                    let failure = fault.of_store(&self.link.name);
                    error!(%failure, "the signing database is not to be used; nothing is signed");
                    return refuse(batch, &Unanswered::Fault(fault));
                }
                Err(Trouble::Passing(reason)) => {
                    debug!(store = %self.link.name, %reason, "the signing database did not answer");
                }
            }
            if batch.is_empty() {
                return;
            }
            // Ends early when nobody waits any more.
            let left = join_all(batch.iter_mut().map(|reserve| reserve.reply.closed()));
            let _ = timeout(backoff.wait(), left).await;
        }
    }

    /// One try. Gives a verdict to each payload of the batch, one after the other.
    async fn settle(&mut self, batch: &[Reserve]) -> Result<Vec<Verdict>, Trouble> {
        let all: Vec<Wanted> = batch.iter().flat_map(|reserve| reserve.wanted.iter().copied()).collect();
        let (wanted, places) = without_repeats(&all);
        let (patience, signed) = (self.patience, std::mem::take(&mut self.unwritten));
        let outcome = match self.settling().await {
            Ok(mut settling) => {
                let outcome = timeout(patience, settling.settle(&signed, &wanted)).await;
                self.outcome(outcome)
            }
            Err(trouble) => Err(trouble),
        };
        match outcome {
            Ok(verdicts) => Ok(share(&verdicts, &places)),
            Err(trouble) => {
                self.unwritten = signed;
                Err(trouble)
            }
        }
    }

    /// What settles, over a session that is open.
    async fn settling(&mut self) -> Result<Settling<'_>, Trouble> {
        let connected = timeout(self.patience, self.link.session()).await;
        let (session, book, memory) = connected.unwrap_or_else(|_| Err(too_long()))?;
        Ok(Settling { session, book, memory, asker: &self.asker })
    }

    /// After a failure the connection is dropped: what is left of a transaction on it must not reach the next.
    fn outcome<T>(&mut self, outcome: Result<Result<T, ServerError>, Elapsed>) -> Result<T, Trouble> {
        match outcome {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                self.link.drop_session();
                Err(trouble(error))
            }
            Err(_) => {
                self.link.drop_session();
                Err(too_long())
            }
        }
    }

    async fn run_errand(&mut self, errand: Errand) {
        // Nobody may be waiting any more; the errand is done all the same.
        match errand {
            Errand::Cancel { duty, attempt, reply } => {
                let _ = reply.send(self.cancel(duty, attempt).await);
            }
            Errand::ChangeKey { key, change, reply } => {
                let _ = reply.send(self.change_key(key, change).await);
            }
            Errand::Observe { seen, reply } => {
                let _ = reply.send(self.observe(seen).await);
            }
        }
    }

    async fn cancel(&mut self, duty: Duty, attempt: Attempt) -> Result<bool, Trouble> {
        let patience = self.patience;
        let outcome = timeout(patience, self.settling().await?.cancel(duty, attempt)).await;
        self.outcome(outcome)
    }

    async fn change_key(&mut self, key: Address, change: KeyChange) -> Result<(), Trouble> {
        let patience = self.patience;
        let outcome = timeout(patience, self.settling().await?.change_key(key, |state| change.apply(state))).await;
        let outcome = self.outcome(outcome);
        self.link.tell_of_keys();
        outcome
    }

    async fn observe(&mut self, seen: Halt) -> Result<Sighting, Trouble> {
        let patience = self.patience;
        let outcome = timeout(patience, self.settling().await?.observe(seen)).await;
        let outcome = self.outcome(outcome);
        self.link.tell_of_keys();
        outcome
    }

    /// Prunes a piece and lets signatures pass before the next.
    async fn prune_a_piece(&mut self) {
        let Some(mut prune) = self.prunes.pop_front() else { return };
        let outcome = self.prune(&prune).await;
        match outcome {
            Ok(0) if prune.is_marked => {
                debug!(horizon = %prune.horizon, removed = prune.removed, "pruned duties");
                let _ = prune.reply.send(Ok(prune.removed));
            }
            Ok(removed) => {
                prune.removed += removed;
                prune.is_marked = true;
                self.prunes.push_front(prune);
            }
            Err(failure) => {
                let _ = prune.reply.send(Err(failure));
            }
        }
    }

    /// Moves the marks, and once they are moved removes a piece.
    async fn prune(&mut self, prune: &Prune) -> Result<u64, Trouble> {
        let patience = self.patience;
        let settling = self.settling().await?;
        let work = async {
            if prune.is_marked {
                return delete_below(settling.session, prune.horizon).await;
            }
            raise_marks(settling.session, prune.horizon).await.map(|()| 0)
        };
        let outcome = timeout(patience, work).await;
        self.outcome(outcome)
    }

    /// Writes down what is remembered of the server, if that was last done longer than `every` ago.
    async fn remember(&mut self, every: Duration) {
        let now = SystemClock.monotonic();
        if now.saturating_sub(self.remembered_at) < every {
            return;
        }
        self.remembered_at = now;
        if let Err(failure) = self.link.memory.save().await {
            warn!(store = %self.link.name, %failure, "what the signing database was last seen at is not written down");
        }
    }
}

fn too_long() -> Trouble {
    Trouble::Passing("it took too long".to_owned())
}

/// The verdicts of all, by their places. Where several calls share one, none of them is alone with its pin, and none may
/// take it back.
fn share(verdicts: &[Verdict], places: &[usize]) -> Vec<Verdict> {
    let mut calls = vec![0; verdicts.len()];
    for &at in places {
        calls[at] += 1;
    }
    let share = places.iter().map(|&at| match &verdicts[at] {
        Verdict::Granted if calls[at] > 1 => Verdict::Resumed { fence: FIRST_FENCE },
        Verdict::Granted | Verdict::Resumed { .. } | Verdict::Done(_) | Verdict::Busy { .. } | Verdict::Refused(_) => {
            verdicts[at].clone()
        }
    });
    share.collect()
}

/// The payloads without repeats, and for each of all its place among them.
fn without_repeats(all: &[Wanted]) -> (Vec<Wanted>, Vec<usize>) {
    let mut wanted: Vec<Wanted> = Vec::with_capacity(all.len());
    let mut known = HashMap::new();
    let places = all
        .iter()
        .map(|one| {
            *known.entry((one.duty, one.digest)).or_insert_with(|| {
                wanted.push(*one);
                wanted.len() - 1
            })
        })
        .collect();
    (wanted, places)
}

fn answer(batch: Vec<Reserve>, verdicts: Vec<Verdict>) {
    let mut verdicts = verdicts.into_iter();
    for Reserve { wanted, reply, .. } in batch {
        // Nobody may be waiting any more; the duties stay pinned.
        let _ = reply.send(Ok(verdicts.by_ref().take(wanted.len()).collect()));
    }
}

fn refuse(batch: Vec<Reserve>, failure: &Unanswered) {
    for Reserve { reply, .. } in batch {
        let _ = reply.send(Err(failure.clone()));
    }
}

/// Answers those whose deadline passed before anything was sent; gives the others.
fn refuse_late(batch: Vec<Reserve>, now: UnixTime) -> Vec<Reserve> {
    let mut in_time = Vec::with_capacity(batch.len());
    for reserve in batch {
        match reserve.missed(now) {
            None => in_time.push(reserve),
            Some(by) => refuse(vec![reserve], &Unanswered::TooLate { by }),
        }
    }
    in_time
}
