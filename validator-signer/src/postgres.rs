//! Slashing protection that several nodes share: the duties in a PostgreSQL database.
//!
//! ```text
//! absent -> pinned(digest, owner, fence, attempt) -> signed(digest, signature)
//! ```
//! As on disk there is no way back but pruning, under a mark that is durable before. What is new is that others ask for
//! the same duties, that an answer may be lost on its way, and that the server may be replaced by one that knows less:
//!
//! - A duty is recorded by one statement that records it only if it is absent; whoever lost looks at the record with a
//!   second one. So of two nodes one is granted, and the other always learns what is on record.
//! - Each payload asked for has an *attempt*, made once and kept over everything that is tried: after a connection that
//!   broke during a commit, a record with this attempt is the caller's own.
//! - A pin of another node is left to it while it is young and taken over when it is old, for the same digest alone. The
//!   *fence* counts the owners; a signature is kept only under the fence it was made under.
//! - The server's identity, its timeline and how far its log had come are remembered. A server that is another, or behind
//!   that, may have lost pins: the store is [`StaleServer`](SignerError::StaleServer) until an operator says otherwise.

mod anchor;
mod errands;
mod judge;
mod layout;
mod ledger;
mod link;
mod options;
mod owner;
mod pruning;
mod session;
mod statements;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Signature};
use alloy::signers::k256::elliptic_curve::rand_core::{OsRng, RngCore as _};
use fermata_primitives::{Clock as _, Slot, SystemClock, UnixTime};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::permit::Attempt;
use crate::{
    Domain, Duty, FarFutureGuard, Halt, KeyChange, KeyState, Protection, Reservation, Safe, Sighting, SignerError,
    SigningPermit,
};
use judge::{Asker, FIRST_FENCE, Verdict, Wanted};
use ledger::Signed;
use link::{Link, Trouble};
pub use options::{DatabaseUrl, PostgresOptions};
use owner::{Errand, Owner, Prune, Request, Reserve, Stage, Unanswered};

/// Duties of one queued request; longer lists become several.
const REQUEST_DUTIES: usize = 1024;
/// How often a duty that another node holds is looked at again.
const BUSY_POLL: Duration = Duration::from_millis(25);

/// An open store in a database that other nodes use too.
///
/// It holds one connection, made anew whenever it breaks. A server that is away makes every answer
/// [`SignerError::Unavailable`], and nothing is signed until it is back. Dropping the last handle closes the store too,
/// without waiting for it.
#[derive(Debug)]
pub struct PostgresProtection {
    name: String,
    domain: Domain,
    keep_slots: u64,
    far_future: Option<FarFutureGuard>,
    patience: Duration,
    busy_patience: Duration,
    queue: mpsc::Sender<Request>,
    keys: watch::Receiver<BTreeMap<Address, KeyState>>,
    /// Ends when the connection has ended.
    closed: watch::Receiver<()>,
    /// Holds the task that owns the connection.
    _tasks: TaskTracker,
}

impl PostgresProtection {
    /// Makes an empty store in a schema that does not exist yet.
    ///
    /// An explicit act, for keys that never signed on this rollup: an empty store refuses nothing. All or nothing, also
    /// when interrupted.
    ///
    /// # Errors
    /// [`SignerError::AlreadyInitialised`], [`SignerError::BadServer`], [`SignerError::Unavailable`].
    pub async fn init(url: &DatabaseUrl, domain: Domain, options: &PostgresOptions) -> Result<(), SignerError> {
        let mut link = open_link(url, domain, options)?;
        let outcome = async {
            let (mut client, _) = link.connect().await?;
            layout::create_store(&mut client, &options.schema, domain).await.map_err(link::misfit)
        };
        let outcome = outcome.await.map_err(|trouble| given_up(&link.name, trouble));
        link.close().await;
        outcome
    }

    /// Opens the store. What was remembered of the server, if anything, must fit what is found.
    ///
    /// # Errors
    /// [`SignerError::NotInitialised`] (an empty database is not silently a store), [`SignerError::StaleServer`],
    /// [`SignerError::OlderSchema`], [`SignerError::NewerSchema`], [`SignerError::OtherDomain`],
    /// [`SignerError::Damaged`], [`SignerError::BadServer`], [`SignerError::Unavailable`], [`SignerError::Io`].
    pub async fn open(url: &DatabaseUrl, domain: Domain, options: PostgresOptions) -> Result<Self, SignerError> {
        let mut link = open_link(url, domain, &options)?;
        let opened = link.session().await.map(drop);
        if let Err(trouble) = opened {
            link.close().await;
            return Err(given_up(&link.name, trouble));
        }
        link.memory.save().await?;
        let (queue, requests) = mpsc::channel(options.queue.max(1));
        let (closing, closed) = watch::channel(());
        let (name, keys) = (link.name.clone(), link.keys.subscribe());
        link.tell_of_keys();
        let owner = Owner {
            link,
            asker: Asker { node: options.node, takeover_after: options.takeover_after },
            queue: requests,
            closed: closing,
            batch_duties: options.batch_duties.max(1),
            patience: options.patience,
            clock: options.clock,
            unwritten: Vec::new(),
            errands: Vec::new(),
            prunes: VecDeque::new(),
            remembered_at: SystemClock.monotonic(),
        };
        let tasks = TaskTracker::new();
        tasks.spawn(owner.run());
        let PostgresOptions { keep_slots, far_future, patience, busy_patience, .. } = options;
        Ok(Self { name, domain, keep_slots, far_future, patience, busy_patience, queue, keys, closed, _tasks: tasks })
    }

    /// Accepts the server as it is, after it was restored or replaced: refuses every slot up to `refuse_through` to
    /// everybody from now on, and forgets what was remembered of the server before. Slots that may have been signed and
    /// lost must lie at or below it.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for [`SignerError::StaleServer`].
    pub async fn accept_restored(
        url: &DatabaseUrl,
        domain: Domain,
        options: &PostgresOptions,
        refuse_through: Slot,
    ) -> Result<(), SignerError> {
        let mut link = open_link(url, domain, &PostgresOptions { anchor: None, ..options.clone() })?;
        let outcome = async {
            let (mut client, _) = link.connect().await?;
            link.identify(&client, None).await?;
            pruning::accept_server(&mut client, refuse_through).await.map_err(link::trouble)
        };
        let outcome = outcome.await.map_err(|trouble| given_up(&link.name, trouble));
        link.close().await;
        outcome?;
        options.anchor.as_deref().map_or(Ok(()), anchor::forget)
    }

    async fn reserve_piece(&self, duties: &[(Duty, B256)], by: Option<UnixTime>) -> Vec<Result<Safe, SignerError>> {
        let checked: Vec<_> = duties.iter().map(|&(duty, _)| self.check(duty)).collect();
        let passed = duties.iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let wanted: Vec<_> =
            passed.map(|(&(duty, digest), _)| Wanted { duty, digest, attempt: new_attempt() }).collect();
        let asked = self.ask(wanted.clone(), by).await;
        let mut answers = wanted.iter().enumerate().map(|(at, wanted)| match &asked {
            Ok(verdicts) => safe(wanted, &verdicts[at]),
            Err(failure) => Err(self.unanswered(wanted.duty, failure)),
        });
        let answer = |checked: Result<(), SignerError>| {
            checked.and_then(|()| answers.next().expect("each duty that passed was asked for"))
        };
        checked.into_iter().map(answer).collect()
    }

    fn check(&self, duty: Duty) -> Result<(), SignerError> {
        Ok(self.far_future.as_ref().map_or(Ok(()), |guard| guard.check(duty))?)
    }

    /// A verdict for each payload, in the order asked.
    async fn ask(&self, wanted: Vec<Wanted>, by: Option<UnixTime>) -> Result<Vec<Verdict>, Unanswered> {
        let (reply, answer) = oneshot::channel();
        let stage = Arc::new(Stage::default());
        let reserve = Reserve { wanted, by, stage: Arc::clone(&stage), reply };
        let asked = async {
            self.queue.send(Request::Reserve(reserve)).await.map_err(|_| Unanswered::Closed)?;
            answer.await.unwrap_or(Err(Unanswered::Closed))
        };
        let outcome = timeout(self.patience, asked).await;
        outcome.unwrap_or_else(|_| Err(Unanswered::TooSlow { ambiguous: !stage.withdraw() }))
    }

    fn unanswered(&self, duty: Duty, failure: &Unanswered) -> SignerError {
        match failure {
            Unanswered::Closed => SignerError::Closed,
            Unanswered::Fault(fault) => fault.of_store(&self.name),
            Unanswered::TooLate { by } => SignerError::DeadlinePassed { duty, by: *by },
            Unanswered::TooSlow { ambiguous } => SignerError::Unavailable {
                server: self.name.clone(),
                ambiguous: *ambiguous,
                reason: "it has not answered in time".to_owned(),
            },
        }
    }

    /// Has something done on its own.
    async fn run<T>(&self, errand: Errand, answer: oneshot::Receiver<Result<T, Trouble>>) -> Result<T, SignerError> {
        self.queue.send(Request::Errand(errand)).await.map_err(|_| SignerError::Closed)?;
        let outcome = answer.await.map_err(|_| SignerError::Closed)?;
        outcome.map_err(|trouble| given_up(&self.name, trouble))
    }

    async fn prune_now(&self, finalized: Slot) -> Result<u64, SignerError> {
        let Some(horizon) = finalized.0.checked_sub(self.keep_slots).map(Slot) else { return Ok(0) };
        let (reply, answer) = oneshot::channel();
        let prune = Prune { horizon, removed: 0, is_marked: false, reply };
        self.queue.send(Request::Prune(prune)).await.map_err(|_| SignerError::Closed)?;
        let outcome = answer.await.map_err(|_| SignerError::Closed)?;
        outcome.map_err(|trouble| given_up(&self.name, trouble))
    }

    async fn close_now(&self) {
        // An error means that it is closing already, or closed.
        let _ = self.queue.send(Request::Close).await;
        let mut closed = self.closed.clone();
        // The task never sends: an error is the sign that it has ended.
        while closed.changed().await.is_ok() {}
    }

    async fn reserve_patiently(&self, duty: Duty, digest: B256) -> Result<Safe, SignerError> {
        let give_up_at = SystemClock.monotonic() + self.busy_patience;
        loop {
            match self.reserve(duty, digest).await {
                Err(SignerError::Busy { .. }) if SystemClock.monotonic() < give_up_at => {
                    SystemClock.sleep(BUSY_POLL).await;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Protection for PostgresProtection {
    fn domain(&self) -> Domain {
        self.domain
    }

    fn reserve_many<'a>(
        &'a self,
        duties: &'a [(Duty, B256)],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Vec<Result<Safe, SignerError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(duties.len());
            for piece in duties.chunks(REQUEST_DUTIES) {
                answers.extend(self.reserve_piece(piece, by).await);
            }
            answers
        })
    }

    fn reserve_after_peer(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(self.reserve_patiently(duty, digest))
    }

    fn cancel(&self, reservation: Reservation) -> BoxFuture<'_, Result<bool, SignerError>> {
        let (reply, answer) = oneshot::channel();
        let errand = Errand::Cancel { duty: reservation.duty(), attempt: reservation.attempt(), reply };
        Box::pin(self.run(errand, answer))
    }

    fn observe(&self, seen: Halt) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.run(Errand::Observe { seen, reply }, answer))
    }

    fn change_key(&self, validator: Address, change: KeyChange) -> BoxFuture<'_, Result<(), SignerError>> {
        let (reply, answer) = oneshot::channel();
        Box::pin(self.run(Errand::ChangeKey { key: validator, change, reply }, answer))
    }

    fn key_states(&self) -> BTreeMap<Address, KeyState> {
        self.keys.borrow().clone()
    }

    fn record_signature(&self, permit: SigningPermit, signature: Signature) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(async move {
            let signed = Signed { duty: permit.duty(), digest: permit.digest(), fence: permit.fence(), signature };
            self.queue.send(Request::Signed(signed)).await.map_err(|_| SignerError::Closed)
        })
    }

    fn prune(&self, finalized: Slot) -> BoxFuture<'_, Result<u64, SignerError>> {
        Box::pin(self.prune_now(finalized))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.close_now())
    }
}

fn open_link(url: &DatabaseUrl, domain: Domain, options: &PostgresOptions) -> Result<Link, SignerError> {
    options::check_schema_name(&options.schema)
        .map_err(|what| SignerError::BadServer { server: url.to_string(), what })?;
    Link::new(url, domain, options)
}

/// The trouble of somebody who does not try again.
fn given_up(name: &str, trouble: Trouble) -> SignerError {
    match trouble {
        Trouble::Passing(reason) => SignerError::Unavailable { server: name.to_owned(), ambiguous: true, reason },
        Trouble::Lasting(fault) => fault.of_store(name),
    }
}

fn new_attempt() -> Attempt {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    Attempt(u128::from_be_bytes(bytes))
}

/// Leave to sign is given here and nowhere else: what the verdict was found from is committed.
fn safe(wanted: &Wanted, verdict: &Verdict) -> Result<Safe, SignerError> {
    let &Wanted { duty, digest, attempt } = wanted;
    match verdict {
        Verdict::Granted => {
            Ok(Safe::Granted(Reservation::after_commit(duty, digest, attempt).under_fence(FIRST_FENCE)))
        }
        Verdict::Resumed { fence } => Ok(Safe::Resume(SigningPermit::after_commit(duty, digest).under_fence(*fence))),
        Verdict::Done(signature) => Ok(Safe::Done(*signature)),
        Verdict::Busy { owner, age } => Err(SignerError::Busy { duty, owner: owner.clone(), age: *age }),
        Verdict::Refused(refusal) => Err((*refusal).into()),
    }
}
