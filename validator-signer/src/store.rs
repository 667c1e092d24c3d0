//! Slashing protection: what was promised to be signed, recorded durably before it is signed.
//!
//! ```text
//! absent -> pinned(digest) -> signed(digest, signature)
//! ```
//! There is no way back to absent but pruning, under a low mark that is durable in the same transaction. A pinned duty
//! is never released, since the key may have signed it: it waits for its own payload, for ever.

mod environment;
mod failure;
mod init;
mod key_book;
mod ledger;
mod lock;
mod manifest;
mod operator;
mod payloads;
mod pruning;
mod record;
mod scan;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::{SharedClock, Slot, SlotTimes, SystemClock, UnixTime};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use environment::{DATA_FILE, Environment};
use failure::Failure;
use ledger::{KeyStates, Ledger, Wanted};
use lock::OwnerLock;
use manifest::Manifest;
use record::Record;
pub use scan::{KindSurvey, MarksSurvey, StoreSurvey};
use writer::{Owned, Prune, Request, Reserve, Writer};

use crate::{
    Domain, Duty, DutyKind, Halt, KeyChange, KeyState, NotSafe, Protection, Reservation, Safe, Sighting, SignerError,
    SigningPermit,
};

/// Duties of one queued request; longer lists become several.
const REQUEST_DUTIES: usize = 1024;

/// Most bytes of a payload that is kept beside its pin.
pub const PAYLOAD_LIMIT: usize = 1 << 20;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Most bytes the database may grow to. Address space, not memory or disk.
    pub map_bytes: usize,
    /// Requests that may wait; more make their callers wait before they are queued.
    pub queue: usize,
    /// Duties after which a transaction takes no more requests in.
    pub batch_duties: usize,
    /// Slots that are kept behind the newest finalised one.
    pub keep_slots: u64,
    /// Refuses slots that lie too far ahead; `None` refuses none.
    pub far_future: Option<FarFutureGuard>,
    /// Kinds of [`DutyKind::MARKED`] that only go forward: what does not lie above every slot that was ever pinned is
    /// refused, record or no record.
    pub strict: BTreeSet<DutyKind>,
    /// Tells whether a deadline has passed.
    pub clock: SharedClock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            map_bytes: 4 << 30,
            queue: 1024,
            batch_duties: 4096,
            keep_slots: 16_384,
            far_future: None,
            strict: BTreeSet::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Refuses duties of a slot later than the clock's by more than `slots_ahead`: a bug that signs for the far future would
/// otherwise spend those slots.
#[derive(Clone, Debug)]
pub struct FarFutureGuard {
    /// The rollup's time model.
    pub times: SlotTimes,
    /// The clock that tells the slot.
    pub clock: SharedClock,
    /// Slots ahead that are allowed; a pipelined proposer needs 1.
    pub slots_ahead: u64,
}

impl FarFutureGuard {
    /// # Errors
    /// [`NotSafe::TooFarAhead`].
    pub(crate) fn check(&self, duty: Duty) -> Result<(), NotSafe> {
        let current = self.times.slot_at_time(self.clock.now());
        if duty.slot.0 > current.0.saturating_add(self.slots_ahead) {
            return Err(NotSafe::TooFarAhead { duty, current });
        }
        Ok(())
    }
}

/// An open signing store: every handle to it is the same store, shared by [`Arc`](std::sync::Arc).
///
/// It holds its directory against every other process from [`open`](Self::open) until [`close`](Self::close) has
/// answered. Dropping the last handle closes it too, without waiting for it.
#[derive(Debug)]
pub struct SlashingProtection {
    dir: PathBuf,
    domain: Domain,
    keep_slots: u64,
    far_future: Option<FarFutureGuard>,
    queue: mpsc::Sender<Request>,
    keys: watch::Receiver<KeyStates>,
    /// Ends when the writer has closed the database and freed the directory.
    closed: watch::Receiver<()>,
}

impl SlashingProtection {
    /// Makes an empty store at `dir`, a directory that does not exist or is empty, in a parent that exists.
    ///
    /// An explicit act, for keys that never signed on this rollup: an empty store refuses nothing. All or nothing, also
    /// when interrupted. Blocks for a few disk flushes.
    ///
    /// # Errors
    /// [`SignerError::AlreadyInitialised`], [`SignerError::Database`], [`SignerError::Io`].
    pub fn init(dir: &Path, domain: Domain) -> Result<(), SignerError> {
        init::init(dir, domain)
    }

    /// Opens the store at `dir` and reads all of it. Blocks while it does: a few microseconds a record.
    ///
    /// # Errors
    /// [`SignerError::NotInitialised`], [`SignerError::HeldByAnother`], [`SignerError::NewerSchema`],
    /// [`SignerError::OtherDomain`], [`SignerError::Damaged`] (also when the database is missing or empty where its
    /// manifest says it was), [`SignerError::Database`], [`SignerError::Io`]. None of them changes the store.
    pub fn open(dir: &Path, domain: Domain, options: StoreOptions) -> Result<Self, SignerError> {
        expect_store(dir)?;
        let lock = OwnerLock::take(dir)?;
        let manifest = Manifest::read_for(dir, domain)?;
        let environment = Environment::open(dir, &manifest, options.map_bytes)?;
        scan::survey(dir, &environment, &manifest)?;
        let StoreOptions { keep_slots, far_future, strict, clock, .. } = options;
        let ledger = Ledger::open(environment, strict).map_err(|failure| failure.of_store(dir))?;
        let keys = ledger.keys.subscribe();
        let (queue, requests) = mpsc::channel(options.queue.max(1));
        let (closing, closed) = watch::channel(());
        let owned = Owned { ledger, lock, closed: closing, path: dir.to_owned(), clock };
        let writer = Writer::new(owned, requests, options.batch_duties.max(1));
        std::thread::Builder::new()
            .name("signing-store".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| SignerError::Io { action: "start the thread of", path: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), domain, keep_slots, far_future, queue, keys, closed })
    }

    /// Reads all of the store at `dir`, whichever rollup it is for, and changes nothing in it. Nobody else may have it open.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for [`SignerError::OtherDomain`].
    pub fn verify(dir: &Path) -> Result<StoreSurvey, SignerError> {
        expect_store(dir)?;
        let _lock = OwnerLock::take(dir)?;
        let manifest = Manifest::read(dir)?;
        let environment = Environment::open(dir, &manifest, StoreOptions::default().map_bytes)?;
        let survey = scan::survey(dir, &environment, &manifest);
        environment.close();
        survey
    }

    /// The rollup this store protects keys for.
    #[must_use]
    pub const fn domain(&self) -> Domain {
        self.domain
    }

    /// The directory this store holds.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Records `duty` durably and gives leave to sign `digest` for it.
    ///
    /// The same digest again is [`Safe::Done`] with its signature or, while there is none, [`Safe::Resume`]; another
    /// digest is refused for ever, also after a restart.
    ///
    /// # Errors
    /// [`SignerError::NotSafe`] is final for this payload; [`SignerError::NoSpace`] recorded nothing;
    /// [`SignerError::StoreFailed`] and [`SignerError::Closed`] refuse all.
    ///
    /// # Cancel safety
    /// Dropped before its transaction begins: nothing is recorded. After that: the duty is pinned to `digest`.
    pub async fn reserve(&self, duty: Duty, digest: B256) -> Result<Safe, SignerError> {
        self.reserve_one(Wanted { duty, digest, payload: None }).await
    }

    /// As [`reserve`](Self::reserve), and keeps `payload` beside the pin if this makes it, so that after a crash
    /// [`payload`](Self::payload) gives what was pinned, to be signed instead of lost.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve), and [`SignerError::PayloadTooLarge`].
    ///
    /// # Cancel safety
    /// As [`reserve`](Self::reserve): pin and payload are one.
    pub async fn reserve_with_payload(&self, duty: Duty, digest: B256, payload: &[u8]) -> Result<Safe, SignerError> {
        if payload.len() > PAYLOAD_LIMIT {
            return Err(SignerError::PayloadTooLarge { duty, len: payload.len(), limit: PAYLOAD_LIMIT });
        }
        self.reserve_one(Wanted { duty, digest, payload: Some(payload.into()) }).await
    }

    /// Records many duties in one durable transaction (in several, if there are more than a thousand). Each gets an
    /// answer of its own, in the order asked: one refusal takes nothing from the others.
    ///
    /// Once the store's clock has reached `by`, nothing more is recorded: a duty that waited too long is answered with
    /// [`SignerError::DeadlinePassed`], and not spent.
    ///
    /// # Cancel safety
    /// As [`reserve`](Self::reserve), for each duty.
    pub async fn reserve_many(&self, duties: &[(Duty, B256)], by: Option<UnixTime>) -> Vec<Result<Safe, SignerError>> {
        let mut answers = Vec::with_capacity(duties.len());
        for piece in duties.chunks(REQUEST_DUTIES) {
            let checked: Vec<_> = piece.iter().map(|&(duty, digest)| self.check(duty, digest)).collect();
            let wanted = piece.iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
            let wanted = wanted.map(|(&(duty, digest), _)| Wanted { duty, digest, payload: None }).collect();
            let mut recorded = match self.queue_up(wanted, by).await {
                Ok(recorded) => recorded.into_iter(),
                Err(_) => Vec::new().into_iter(),
            };
            answers.extend(checked.into_iter().map(|checked| {
                checked?;
                recorded.next().unwrap_or_else(|| Err(self.gone()))
            }));
        }
        answers
    }

    /// Keeps the signature made under `permit`, so that the same payload gets it without asking the key again.
    ///
    /// It becomes durable with the next transaction, at the latest when the store closes. Until then a crash costs a
    /// repeat of the same signature, never another one.
    ///
    /// # Errors
    /// [`SignerError::Closed`]: the store closed meanwhile; the duty stays pinned.
    ///
    /// # Cancel safety
    /// Dropped: the signature may not be kept; the duty stays pinned.
    pub async fn record_signature(&self, permit: SigningPermit, signature: Signature) -> Result<(), SignerError> {
        let record = Record { digest: permit.digest(), signature: Some(signature) };
        self.queue.send(Request::Signed(permit.duty(), record)).await.map_err(|_| SignerError::Closed)
    }

    /// Takes a reservation back before its key was asked, so that another payload may be pinned. Gives whether the duty
    /// is free again: it is not where somebody else was given leave for the same payload since, or where the store was
    /// closed and opened meanwhile. In strict mode its slot stays spent.
    ///
    /// # Errors
    /// [`SignerError::NoSpace`], [`SignerError::StoreFailed`], [`SignerError::Closed`]; the duty stays pinned.
    ///
    /// # Cancel safety
    /// Dropped: the duty is free or stays pinned.
    pub async fn cancel(&self, reservation: Reservation) -> Result<bool, SignerError> {
        self.on_ledger(move |ledger| ledger.cancel(&reservation)).await
    }

    /// The payload that `duty` is pinned to, where [`reserve_with_payload`](Self::reserve_with_payload) kept it. Those of
    /// the last 32 slots are kept.
    ///
    /// # Errors
    /// [`SignerError::StoreFailed`], [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    pub async fn payload(&self, duty: Duty) -> Result<Option<Vec<u8>>, SignerError> {
        self.on_ledger(move |ledger| ledger.payload(duty)).await
    }

    /// Forgets duties at or below `finalized - keep_slots`, and refuses those slots from then on to each validator and
    /// kind that had any. Gives the number of records removed.
    ///
    /// # Errors
    /// [`SignerError::NoSpace`], [`SignerError::StoreFailed`], [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped: the pruning goes on.
    pub async fn prune(&self, finalized: Slot) -> Result<u64, SignerError> {
        let Some(horizon) = finalized.0.checked_sub(self.keep_slots).map(Slot) else { return Ok(0) };
        let (reply, answer) = oneshot::channel();
        let prune = Prune { horizon, removed: 0, reply };
        self.queue.send(Request::Prune(prune)).await.map_err(|_| SignerError::Closed)?;
        answer.await.map_err(|_| self.thread_ended())?
    }

    /// Answers what is queued, makes it durable, closes the database and frees the directory; once it has answered,
    /// another process can open it. Closing twice is the same as once.
    ///
    /// # Cancel safety
    /// Dropped once it was polled to its first wait: the store closes all the same.
    pub async fn close(&self) {
        // An error means that it is closing already, or closed.
        let _ = self.queue.send(Request::Close).await;
        let mut closed = self.closed.clone();
        // The writer never sends: an error is the sign that it has ended.
        while closed.changed().await.is_ok() {}
    }

    fn check(&self, duty: Duty, digest: B256) -> Result<(), NotSafe> {
        if digest.is_zero() {
            return Err(NotSafe::ZeroDigest { duty });
        }
        self.far_future.as_ref().map_or(Ok(()), |guard| guard.check(duty))
    }

    async fn reserve_one(&self, wanted: Wanted) -> Result<Safe, SignerError> {
        self.check(wanted.duty, wanted.digest)?;
        let answers = self.queue_up(vec![wanted], None).await?;
        answers.into_iter().next().unwrap_or_else(|| Err(self.thread_ended()))
    }

    async fn queue_up(&self, wanted: Vec<Wanted>, by: Option<UnixTime>) -> Result<Vec<writer::Answer>, SignerError> {
        let (reply, answers) = oneshot::channel();
        let reserve = Reserve { wanted, by, reply };
        self.queue.send(Request::Reserve(reserve)).await.map_err(|_| SignerError::Closed)?;
        answers.await.map_err(|_| self.thread_ended())
    }

    /// Has the thread do rare work on the records, between two transactions. Dropped after the first wait, it is done all
    /// the same.
    async fn on_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, SignerError> {
        let (reply, answer) = oneshot::channel();
        let errand = move |writer: &mut Writer| {
            // Nobody may be waiting any more; the work is done.
            let _ = reply.send(writer.on_ledger(work));
        };
        self.queue.send(Request::Errand(Box::new(errand))).await.map_err(|_| SignerError::Closed)?;
        answer.await.map_err(|_| self.thread_ended())?
    }

    fn gone(&self) -> SignerError {
        if self.queue.is_closed() { SignerError::Closed } else { self.thread_ended() }
    }

    fn thread_ended(&self) -> SignerError {
        SignerError::StoreFailed { path: self.dir.clone(), reason: "its thread has ended".to_owned() }
    }
}

impl Protection for SlashingProtection {
    fn domain(&self) -> Domain {
        self.domain
    }

    fn reserve_many<'a>(
        &'a self,
        duties: &'a [(Duty, B256)],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Vec<Result<Safe, SignerError>>> {
        Box::pin(self.reserve_many(duties, by))
    }

    fn cancel(&self, reservation: Reservation) -> BoxFuture<'_, Result<bool, SignerError>> {
        Box::pin(self.cancel(reservation))
    }

    fn observe(&self, seen: Halt) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        Box::pin(self.observe(seen))
    }

    fn change_key(&self, validator: Address, change: KeyChange) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.change_key(validator, change))
    }

    fn key_states(&self) -> BTreeMap<Address, KeyState> {
        self.keys.borrow().clone()
    }

    fn record_signature(&self, permit: SigningPermit, signature: Signature) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.record_signature(permit, signature))
    }

    fn prune(&self, finalized: Slot) -> BoxFuture<'_, Result<u64, SignerError>> {
        Box::pin(self.prune(finalized))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.close())
    }
}

/// # Errors
/// [`SignerError::NotInitialised`] where there is not even part of a store.
fn expect_store(dir: &Path) -> Result<(), SignerError> {
    if Manifest::path(dir).exists() || dir.join(DATA_FILE).exists() {
        Ok(())
    } else {
        Err(SignerError::NotInitialised { path: dir.to_owned() })
    }
}
