//! The one task that owns the machine: it takes news in, makes steps durable, and lets them happen.
//!
//! ```text
//! mail -> observe -> decide -> commit -> apply -> effects -> ... until nothing is left to do -> look at L1 -> mail
//! ```

pub(crate) mod caller;
mod catch_up;
mod log;
pub(crate) mod look;
mod mark;
mod rest;
mod sending;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::{UnixTime, crash_point};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::core::Core;
use crate::desk::caller::Caller;
use crate::desk::mark::{Ended, Mark};
use crate::desk::rest::Rest;
use crate::l1::Reach;
use crate::machine::job::{Job, JobId};
use crate::machine::news::News;
use crate::machine::step::{Effect, Note, Step};
use crate::machine::{Machine, Rules};
use crate::records::{AttemptKind, IntentId};
use crate::status::WaitingRequest;
use crate::window::next_head;
use crate::{CeilingExceeded, Error, L1TxState};

pub(crate) use look::look_at;

/// Letters that may lie in the inbox; who writes more waits.
const INBOX: usize = 256;

/// The keys of a run.
pub(crate) type Signers = Arc<BTreeMap<Address, PrivateKeySigner>>;

/// What reaches the desk.
#[derive(Debug)]
pub(crate) enum Mail {
    News(News),
    /// A request, and whom to tell about it.
    Submit(Arc<Job>, Caller),
    /// L1 could not be looked at.
    LookFailed(Error),
}

/// What others see of an account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct AccountView {
    pub(crate) next_nonce: u64,
    /// Its transactions in blocks, as L1 last said.
    pub(crate) latest_nonce: Option<u64>,
    pub(crate) is_nonce_in_doubt: bool,
    pub(crate) balance: Option<U256>,
    /// A node said that it cannot pay, and its balance has not risen since.
    pub(crate) is_broke: bool,
    /// Transactions whose bid cannot be raised, by nonce.
    pub(crate) blocked: BTreeMap<u64, CeilingExceeded>,
}

/// The way to the desk.
#[derive(Clone, Debug)]
pub(crate) struct DeskHandle {
    mail: mpsc::Sender<Mail>,
    accounts: watch::Receiver<BTreeMap<Address, AccountView>>,
    waiting: watch::Receiver<Vec<WaitingRequest>>,
}

impl DeskHandle {
    /// Hands something in. When the desk has ended, nobody needs it.
    pub(crate) async fn post(&self, mail: Mail) {
        let _ = self.mail.send(mail).await;
    }

    pub(crate) fn accounts(&self) -> BTreeMap<Address, AccountView> {
        self.accounts.borrow().clone()
    }

    /// The requests that have no transaction yet, in the order they came.
    pub(crate) fn waiting(&self) -> Vec<WaitingRequest> {
        self.waiting.borrow().clone()
    }

    /// What others see of the accounts, told anew at every head and after every look.
    pub(crate) fn watch_accounts(&self) -> watch::Receiver<BTreeMap<Address, AccountView>> {
        self.accounts.clone()
    }
}

/// The desk of a run.
#[derive(Debug)]
pub(crate) struct Desk {
    core: Arc<Core>,
    machine: Machine,
    signers: Signers,
    callers: HashMap<JobId, Caller>,
    inbox: mpsc::Receiver<Mail>,
    handle: DeskHandle,
    shown: watch::Sender<BTreeMap<Address, AccountView>>,
    shown_waiting: watch::Sender<Vec<WaitingRequest>>,
    /// Where sends, looks and estimates run.
    tasks: TaskTracker,
    stopped: CancellationToken,
    is_looking: bool,
    /// L1 was looked at, and who lacks what was not asked since.
    has_looked: bool,
    /// After a look that failed. What L1 has said already is acted upon meanwhile.
    looks: Rest,
    /// After a step that could not be made durable.
    disk: Rest,
}

/// What the machine goes by now.
pub(crate) fn rules<'a>(core: &Core, signers: &'a Signers) -> Rules<'a> {
    Rules {
        chain_id: core.config.chain_id,
        ethereum_slot: core.config.ethereum_slot,
        confirmations: core.config.confirmations.get(),
        fees: core.fees(),
        spent_within_hour: core.spending.within_hour(core.clock.now()),
        signers,
        time: core.clock.now(),
    }
}

impl Desk {
    pub(crate) fn new(
        core: Arc<Core>,
        machine: Machine,
        signers: Signers,
        (tasks, stopped): (TaskTracker, CancellationToken),
    ) -> (Self, DeskHandle) {
        let (mail, inbox) = mpsc::channel(INBOX);
        let (shown, accounts) = watch::channel(BTreeMap::new());
        let (shown_waiting, waiting) = watch::channel(Vec::new());
        let handle = DeskHandle { mail, accounts, waiting };
        let longest = core.config.ethereum_slot;
        let desk = Self {
            core,
            machine,
            signers,
            callers: HashMap::new(),
            inbox,
            handle: handle.clone(),
            shown,
            shown_waiting,
            tasks,
            stopped,
            is_looking: false,
            has_looked: false,
            looks: Rest::new(longest),
            disk: Rest::new(longest),
        };
        desk.show();
        (desk, handle)
    }

    /// Works until the run stops. `effects` are what its start has made durable and not done.
    pub(crate) async fn run(mut self, effects: Vec<Effect>) {
        let stopped = self.stopped.clone();
        let work = async {
            for effect in effects {
                self.carry_out(effect);
            }
            self.work().await;
        };
        tokio::select! {
            biased;
            () = stopped.cancelled() => {}
            () = work => {}
        }
    }

    async fn work(&mut self) {
        let mut heads = self.core.heads.clone();
        let head = *heads.borrow_and_update();
        if head != self.machine.head {
            self.take_in(Mail::News(News::Head(head)));
        }
        loop {
            if self.disk.ends_after(self.core.clock.now()).is_none() {
                self.settle().await;
                if std::mem::take(&mut self.has_looked) {
                    self.catch_up();
                }
            }
            if self.looks.ends_after(self.core.clock.now()).is_none() {
                self.ask_l1();
            }
            self.show();
            let wake = self.wake_at();
            let core = Arc::clone(&self.core);
            let mail = tokio::select! {
                Some(mail) = self.inbox.recv() => mail,
                () = next_head(&mut heads) => Mail::News(News::Head(*heads.borrow_and_update())),
                () = core.until(wake) => continue,
            };
            self.take_in(mail);
            // What has come together is looked at together.
            while let Ok(mail) = self.inbox.try_recv() {
                self.take_in(mail);
            }
        }
    }

    fn wake_at(&self) -> Option<UnixTime> {
        let now = self.core.clock.now();
        let rests = [self.disk.ends_after(now), self.looks.ends_after(now)];
        let wake = self.machine.wake_at(&rules(&self.core, &self.signers));
        rests.into_iter().flatten().chain(wake).min()
    }

    fn take_in(&mut self, mail: Mail) {
        match mail {
            Mail::News(news) => self.take_news(news),
            Mail::Submit(job, caller) => {
                self.callers.insert(job.id, caller);
                self.machine.observe(News::Submitted(job));
            }
            Mail::LookFailed(error) => {
                self.is_looking = false;
                warn!(error = crate::window::with_cause(&error), "a look at L1 failed");
                self.machine.note_unusable(&crate::window::with_cause(&error));
                self.looks.begin(self.core.clock.now());
            }
        }
    }

    fn take_news(&mut self, news: News) {
        match &news {
            News::Head(_) => {
                self.looks.end();
                self.disk.end();
            }
            News::Looked(_) => {
                (self.is_looking, self.has_looked) = (false, true);
                self.looks.forget();
            }
            News::Interrupted(job) => drop(self.callers.remove(job)),
            News::Balances(_)
            | News::Submitted(_)
            | News::Estimated(..)
            | News::EstimateFailed(..)
            | News::Sent(..)
            | News::NotSent(_) => {}
        }
        self.machine.observe(news);
    }

    /// Does all that is to be done. When the disk fails, what could not be written is decided again later.
    async fn settle(&mut self) {
        while let Some(step) = self.machine.decide(&rules(&self.core, &self.signers)) {
            let is_written = !step.records().is_empty();
            match commit(&self.core, &mut self.machine, step).await {
                Ok(effects) => {
                    if is_written {
                        self.disk.forget();
                    }
                    effects.into_iter().for_each(|effect| self.carry_out(effect));
                }
                Err((leased, error)) => {
                    warn!(error = crate::window::with_cause(&error), "a step could not be made durable");
                    match leased {
                        Some(job) => self.give_up(job, error),
                        None => return self.disk.begin(self.core.clock.now()),
                    }
                }
            }
        }
    }

    /// A job whose record cannot be written is its caller's again: nothing of it was sent.
    fn give_up(&mut self, job: JobId, error: Error) {
        self.machine.note(Note::Drop { job });
        self.answer(job, Err(error));
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(intent, attempt) => self.send(intent, attempt),
            Effect::Estimate { job, account, fees } => {
                let estimate = sending::estimate(Arc::clone(&self.core), job, account, fees);
                self.spawn(async { Mail::News(estimate.await) });
            }
            Effect::Answer(job, answer) => self.answer(job, answer),
        }
    }

    fn answer(&mut self, job: JobId, answer: Result<crate::Outcome, Error>) {
        if let Some(caller) = self.callers.remove(&job) {
            caller.answer(answer);
        }
    }

    fn send(&self, intent: IntentId, number: usize) {
        let sending = self.machine.txs.get(&intent).and_then(|tx| self.sending(tx, number));
        if let Some(sending) = sending {
            self.spawn_silent(sending.run(self.handle.clone()));
        }
    }

    /// An attempt of a transaction, on its way.
    fn sending(&self, tx: &crate::machine::tx::Tx, number: usize) -> Option<sending::Sending> {
        let attempt = tx.stored.attempts.get(number).cloned()?;
        let gate = match attempt.kind {
            AttemptKind::Initial | AttemptKind::SpeedUp => tx.job.as_ref().map(|job| job.gate.clone()),
            AttemptKind::Cancel => None,
        };
        Some(sending::Sending {
            core: Arc::clone(&self.core),
            intent: tx.stored.intent.clone(),
            number,
            attempt,
            is_first: tx.state() == L1TxState::Leased,
            // What went out before and is missing goes to those as well that may not answer: one of them may be back.
            reach: if tx.seen.resent > 0 { Reach::All } else { Reach::Healthy },
            blobs: tx.job.as_ref().and_then(|job| job.blobs.clone()),
            gate,
            interrupt: tx.job.as_ref().map(|job| job.interrupt.clone()).unwrap_or_default(),
        })
    }

    fn ask_l1(&mut self) {
        if self.is_looking {
            return;
        }
        let Some(questions) = self.machine.questions(&rules(&self.core, &self.signers)) else { return };
        self.is_looking = true;
        let (core, head) = (Arc::clone(&self.core), self.machine.head);
        let known = self.machine.stored_txs();
        self.spawn(async move {
            match look_at(&core, &questions, &head, &known).await {
                Ok(look) => Mail::News(News::Looked(look)),
                Err(error) => Mail::LookFailed(error),
            }
        });
    }

    /// Runs `work` beside, until the run stops, and posts what it gives.
    fn spawn(&self, work: impl Future<Output = Mail> + Send + 'static) {
        let handle = self.handle.clone();
        self.spawn_silent(async move { handle.post(work.await).await });
    }

    fn spawn_silent(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        self.tasks.spawn(async move {
            let _ = stopped.run_until_cancelled(work).await;
        });
    }

    fn show(&self) {
        self.shown.send_replace(self.machine.views());
        self.shown_waiting.send_replace(self.machine.waiting.iter().map(WaitingRequest::of).collect());
    }
}

/// Makes a step durable and lets the machine know; its effects are the caller's to carry out.
pub(crate) async fn commit(
    core: &Core,
    machine: &mut Machine,
    step: Step,
) -> Result<Vec<Effect>, (Option<JobId>, Error)> {
    let marks = Mark::all(machine, step.records());
    if marks.contains(&Mark::Ended(Ended::InBlock)) {
        crash_point!("publisher.after_landing");
    }
    let leased = step.leased_job();
    let is_durable = !step.records().is_empty();
    let (now, begun) = (core.clock.now(), core.clock.monotonic());
    let committed = core.on_store(move |store| store.commit_step(step, now)).await;
    let (records, notes, effects) = committed.map_err(|error| (leased, error))?.into_parts();
    if is_durable {
        core.meter.committed(core.clock.monotonic().saturating_sub(begun));
    }
    core.meter.count((machine, now), (&records, &notes), &effects);
    for record in records {
        log::tell(machine, &record);
        core.spending.see(&record);
        machine.apply(record);
    }
    for note in notes {
        log::tell_note(&note);
        machine.note(note);
    }
    marks.into_iter().for_each(Mark::reach);
    Ok(effects)
}
