//! The store's own thread: it alone touches LMDB, and turns whatever waits in its queue into one durable transaction.

use std::collections::VecDeque;
use std::path::PathBuf;

use fermata_primitives::{Clock as _, SharedClock, Slot, SystemClock, UnixTime, crash_point};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, warn};

use super::failure::Failure;
use super::keeper::Keeper;
use super::ledger::{Ledger, Wanted};
use super::linger::Linger;
use super::lock::OwnerLock;
use super::record::Record;
use crate::eth::judging::{EthJudgement, EthWanted};
use crate::eth::rules::EthVerdict;
use crate::permit::{Attempt, Reservation, Safe, SigningPermit};
use crate::rules::Verdict;
use crate::{Duty, EthPolicy, SignerError};

pub(super) type Answer = Result<Safe, SignerError>;

/// Signatures kept in memory before a transaction is made for them alone. They ride with the next reservation: losing
/// one costs a repeat of the same signature, nothing more.
const UNWRITTEN_SIGNATURES: usize = 1024;

/// What the thread is asked for.
pub(super) enum Request {
    /// Leave to sign, each payload answered on its own.
    Reserve(Reserve),
    /// Leave to sign for Ethereum's keys, each payload answered on its own.
    ReserveEth(EthReserve),
    /// A signature that was made.
    Signed(Duty, Record),
    /// Something rare, in a transaction of its own.
    Errand(Errand),
    /// Forget what lies at or below the horizon.
    Prune(Prune),
    /// Answer what is queued, then close.
    Close,
}

pub(super) struct Reserve {
    pub(super) wanted: Vec<Wanted>,
    /// Nothing is recorded for it from this moment on.
    pub(super) by: Option<UnixTime>,
    pub(super) reply: oneshot::Sender<Vec<Answer>>,
}

/// Work that answers for itself.
pub(super) type Errand = Box<dyn FnOnce(&mut Writer) + Send>;

pub(super) struct EthReserve {
    pub(super) wanted: Vec<EthWanted>,
    pub(super) policy: EthPolicy,
    pub(super) reply: oneshot::Sender<Vec<Result<EthJudgement, SignerError>>>,
}

pub(super) struct Prune {
    pub(super) horizon: Slot,
    pub(super) removed: u64,
    pub(super) reply: oneshot::Sender<Result<u64, SignerError>>,
}

/// State of the thread. Fields are dropped in this order: LMDB is closed and the last anchor written before the lock is
/// freed, and only then do those who wait for the close hear of it.
pub(super) struct Writer {
    ledger: Ledger,
    keeper: Keeper,
    _lock: OwnerLock,
    _closed: watch::Sender<()>,
    path: PathBuf,
    queue: mpsc::Receiver<Request>,
    batch_duties: usize,
    linger: Linger,
    unwritten: Vec<(Duty, Record)>,
    errands: Vec<Errand>,
    prunes: VecDeque<Prune>,
    eth: Vec<EthReserve>,
    broken: Option<Failure>,
    clock: SharedClock,
}

/// What the thread owns from the start.
pub(super) struct Owned {
    pub(super) ledger: Ledger,
    pub(super) keeper: Keeper,
    pub(super) lock: OwnerLock,
    pub(super) closed: watch::Sender<()>,
    pub(super) path: PathBuf,
    /// Tells whether a deadline has passed.
    pub(super) clock: SharedClock,
}

impl Writer {
    pub(super) fn new(owned: Owned, queue: mpsc::Receiver<Request>, batch_duties: usize) -> Self {
        Self {
            ledger: owned.ledger,
            keeper: owned.keeper,
            _lock: owned.lock,
            _closed: owned.closed,
            path: owned.path,
            queue,
            batch_duties,
            linger: Linger::default(),
            unwritten: Vec::new(),
            errands: Vec::new(),
            prunes: VecDeque::new(),
            eth: Vec::new(),
            broken: None,
            clock: owned.clock,
        }
    }

    /// Runs until the store is closed, or its last handle is gone.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.collect() {
            if !batch.is_empty() || self.unwritten.len() >= UNWRITTEN_SIGNATURES {
                self.commit(batch);
            }
            self.commit_eth();
            for errand in std::mem::take(&mut self.errands) {
                errand(&mut self);
            }
            self.prune_a_piece();
            self.keeper.note(self.ledger.commits(), std::iter::empty());
        }
        self.finish();
    }

    /// Waits for work and takes what is there, up to a batch; with pruning to do it does not wait. `None` at the end.
    fn collect(&mut self) -> Option<Vec<Reserve>> {
        let mut next =
            if self.prunes.is_empty() { Some(self.queue.blocking_recv()?) } else { self.queue.try_recv().ok() };
        let begun = SystemClock.monotonic();
        let mut batch = Vec::new();
        let mut duties = 0;
        while let Some(request) = next {
            match request {
                // Whoever stopped waiting before the transaction began has nothing recorded.
                Request::Reserve(reserve) if reserve.reply.is_closed() => {}
                Request::Reserve(reserve) => {
                    duties += reserve.wanted.len();
                    batch.push(reserve);
                }
                Request::ReserveEth(reserve) if reserve.reply.is_closed() => {}
                Request::ReserveEth(reserve) => {
                    duties += reserve.wanted.len();
                    self.eth.push(reserve);
                }
                Request::Signed(duty, record) => self.unwritten.push((duty, record)),
                Request::Errand(errand) => self.errands.push(errand),
                Request::Prune(prune) => self.prunes.push_back(prune),
                Request::Close => self.queue.close(),
            }
            next =
                if duties < self.batch_duties { self.linger.next(&mut self.queue, batch.len(), begun) } else { None };
        }
        Some(batch)
    }

    /// One transaction for the whole batch; each caller then gets its own answers.
    fn commit(&mut self, batch: Vec<Reserve>) {
        let batch = self.drop_late(batch);
        self.linger.answered(batch.len());
        let wanted: Vec<Wanted> = batch.iter().flat_map(|reserve| reserve.wanted.iter().cloned()).collect();
        match self.unless_broken(|writer| writer.ledger.apply(&writer.unwritten, &wanted)) {
            Ok(verdicts) => {
                self.unwritten.clear();
                let pinned = wanted.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Pin));
                let pinned = pinned.map(|(wanted, _)| (wanted.duty.validator, wanted.duty.slot));
                self.keeper.note(self.ledger.commits(), pinned);
                answer(batch, verdicts, self.ledger.attempt());
            }
            Err(failure) => {
                for reserve in batch {
                    reserve.refuse(|_| failure.of_store(&self.path));
                }
            }
        }
    }

    /// Answers those whose deadline has passed; nothing is recorded for them.
    fn drop_late(&self, batch: Vec<Reserve>) -> Vec<Reserve> {
        if batch.iter().all(|reserve| reserve.by.is_none()) {
            return batch;
        }
        let now = self.clock.now();
        let (late, in_time): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|reserve| reserve.by.is_some_and(|by| by <= now));
        for reserve in late {
            let by = reserve.by.unwrap_or(now);
            reserve.refuse(|duty| SignerError::DeadlinePassed { duty, by });
        }
        in_time
    }

    /// Does rare work on the records, unless the store is broken.
    pub(super) fn on_ledger<T>(
        &mut self,
        work: impl FnOnce(&mut Ledger) -> Result<T, Failure>,
    ) -> Result<T, SignerError> {
        let outcome = self.unless_broken(|writer| work(&mut writer.ledger));
        outcome.map_err(|failure| failure.of_store(&self.path))
    }

    /// Makes the signatures that came in durable now.
    pub(super) fn write_signatures(&mut self) -> Result<(), SignerError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let written = self.unless_broken(|writer| writer.ledger.apply(&writer.unwritten, &[]));
        written.map_err(|failure| failure.of_store(&self.path))?;
        self.unwritten.clear();
        Ok(())
    }

    /// One transaction for what was asked for Ethereum's keys: it seldom comes together with a rollup's duties.
    fn commit_eth(&mut self) {
        let batch = std::mem::take(&mut self.eth);
        let Some(policy) = batch.first().map(|reserve| reserve.policy) else { return };
        let wanted: Vec<_> = batch.iter().flat_map(|reserve| reserve.wanted.iter().copied()).collect();
        let outcome = self.unless_broken(|writer| writer.ledger.apply_eth(&wanted, policy));
        if let Ok(judged) = &outcome {
            let recorded = wanted.iter().zip(judged).filter(|(_, judged)| **judged == Ok(EthVerdict::Record));
            self.keeper.note_eth(recorded.map(|(wanted, _)| (wanted.public_key, wanted.duty)));
        }
        let mut judged = outcome.as_ref().map(|judged| judged.iter().copied());
        for EthReserve { wanted, reply, .. } in batch {
            let answers = wanted.iter().map(|_| match &mut judged {
                Ok(judged) => Ok(judged.next().expect("the ledger judges each duty it is asked for")),
                Err(failure) => Err(failure.of_store(&self.path)),
            });
            // Nobody may be waiting any more; the duties stay on record.
            let _ = reply.send(answers.collect());
        }
    }

    /// Prunes a piece and lets signatures pass before the next.
    fn prune_a_piece(&mut self) {
        let Some(mut prune) = self.prunes.pop_front() else { return };
        match self.unless_broken(|writer| writer.ledger.prune(prune.horizon)) {
            Ok(0) => {
                debug!(horizon = %prune.horizon, removed = prune.removed, "pruned duties");
                let _ = prune.reply.send(Ok(prune.removed));
            }
            Ok(removed) => {
                prune.removed += removed as u64;
                self.prunes.push_front(prune);
            }
            Err(failure) => {
                let _ = prune.reply.send(Err(failure.of_store(&self.path)));
            }
        }
    }

    /// Does a transaction, unless one broke the store before: from then on every answer is that failure.
    fn unless_broken<T>(&mut self, transaction: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        if let Some(failure) = &self.broken {
            return Err(failure.clone());
        }
        let outcome = transaction(self);
        if let Err(failure @ Failure::Broken(reason)) = &outcome {
            error!(path = %self.path.display(), %reason, "the signing store has failed; nothing is signed any more");
            self.broken = Some(failure.clone());
        }
        outcome
    }

    /// Writes what is left, closes LMDB, frees the directory, and lets the waiters know.
    fn finish(mut self) {
        if !self.unwritten.is_empty() {
            let outcome = self.unless_broken(|writer| writer.ledger.apply(&writer.unwritten, &[]));
            if let Err(failure) = outcome {
                // The duties are pinned; their payloads can be signed anew.
                warn!(path = %self.path.display(), ?failure, "closing without the last signatures");
            }
        }
        self.keeper.note(self.ledger.commits(), std::iter::empty());
        crash_point!("signer.after_last_signatures");
        self.ledger.close();
    }
}

/// Leave to sign is given here and nowhere else: the transaction of these verdicts is durable.
fn answer(batch: Vec<Reserve>, verdicts: Vec<Verdict>, attempt: Attempt) {
    let mut verdicts = verdicts.into_iter();
    for Reserve { wanted, reply, .. } in batch {
        let answers = wanted.into_iter().zip(verdicts.by_ref()).map(|(wanted, verdict)| match verdict {
            Verdict::Pin => Ok(Safe::Granted(Reservation::after_commit(wanted.duty, wanted.digest, attempt))),
            Verdict::Resume => Ok(Safe::Resume(SigningPermit::after_commit(wanted.duty, wanted.digest))),
            Verdict::Done(signature) => Ok(Safe::Done(signature)),
            Verdict::Refused(refusal) => Err(refusal.into()),
        });
        // Nobody may be waiting any more; the duties stay pinned.
        let _ = reply.send(answers.collect());
    }
}

impl Reserve {
    fn refuse(self, error: impl Fn(Duty) -> SignerError) {
        // Nobody may be waiting any more.
        let _ = self.reply.send(self.wanted.iter().map(|wanted| Err(error(wanted.duty))).collect());
    }
}
