//! Slashing protection: what was promised to be signed, recorded durably before it is signed.
//!
//! ```text
//! absent -> pinned(digest) -> signed(digest, signature)
//! ```
//! There are two ways back to absent: pruning, under a low mark that is durable in the same transaction; and cancelling, by
//! the call that made the pin, while nobody else was given leave for it. Where a key may have been asked, the duty is never
//! released: it waits for its own payload, for ever.

mod anchor;
mod asking;
mod data_file;
mod environment;
mod eth;
mod eth_ledger;
mod eth_tables;
mod exchange;
mod failure;
mod filesystem;
mod identity;
mod init;
mod keeper;
mod key_book;
mod ledger;
mod linger;
mod listening;
mod lock;
mod manifest;
mod opening;
mod operator;
mod payloads;
mod pruning;
mod record;
mod scan;
mod scan_child;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::{B256, FixedBytes};
use fermata_primitives::{SharedClock, Slot, SlotTimes, SystemClock, UnixTime};
use tokio::sync::{mpsc, oneshot, watch};

use failure::Failure;
use ledger::{KeyStates, Ledger, Wanted};
pub use lock::Holder;
use opening::Opened;
pub use opening::Sentinel;
#[cfg(feature = "postgres")]
pub(crate) use payloads::PAYLOAD_SLOTS;
pub use scan::{EthSurvey, KindSurvey, MarksSurvey, StoreSurvey};
pub use scan_child::{Scan, answer_scan};
use writer::{Owned, Prune, Request, Reserve, Writer};

use crate::{Domain, Duty, DutyKind, EthLast, EthOptions, NotSafe, SignerError};

/// Most bytes of a payload that is kept beside its pin.
pub const PAYLOAD_LIMIT: usize = 1 << 20;

/// # Errors
/// [`SignerError::PayloadTooLarge`].
pub(crate) fn check_payload(duty: Duty, payload: &[u8]) -> Result<(), SignerError> {
    let (len, limit) = (payload.len(), PAYLOAD_LIMIT);
    if len > limit { Err(SignerError::PayloadTooLarge { duty, len, limit }) } else { Ok(()) }
}

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
    /// What is done against damage and restored copies.
    pub sentinel: Sentinel,
    /// What the holder of the store calls itself, for whoever finds it held.
    pub holder: String,
    /// How Ethereum duties are treated.
    pub eth: EthOptions,
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
            sentinel: Sentinel::default(),
            holder: "unnamed".to_owned(),
            eth: EthOptions::default(),
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
    eth: EthOptions,
    store_id: FixedBytes<16>,
    queue: mpsc::Sender<Request>,
    keys: watch::Receiver<KeyStates>,
    listen_only_until: watch::Receiver<Option<Slot>>,
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
    /// [`SignerError::OtherDomain`], [`SignerError::NetworkFileSystem`], [`SignerError::Stale`], [`SignerError::Damaged`] (also when the database is missing or empty where its
    /// manifest says it was), [`SignerError::Database`], [`SignerError::Io`]. None of them changes the store.
    pub fn open(dir: &Path, domain: Domain, options: StoreOptions) -> Result<Self, SignerError> {
        let Opened { lock, environment, keeper } = Opened::open(dir, domain, &options)?;
        let StoreOptions { keep_slots, far_future, strict, clock, eth, .. } = options;
        let store_id = environment.store_id;
        let ledger = Ledger::open(environment, strict).map_err(|failure| failure.of_store(dir))?;
        let (keys, listen_only_until) = (ledger.keys.subscribe(), ledger.listen_only_until.subscribe());
        let (queue, requests) = mpsc::channel(options.queue.max(1));
        let (closing, closed) = watch::channel(());
        let owned = Owned { ledger, keeper, lock, closed: closing, path: dir.to_owned(), clock };
        let writer = Writer::new(owned, requests, options.batch_duties.max(1));
        std::thread::Builder::new()
            .name("signing-store".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| SignerError::Io { action: "start the thread of", path: dir.to_owned(), source })?;
        let dir = dir.to_owned();
        Ok(Self { dir, domain, keep_slots, far_future, eth, store_id, queue, keys, listen_only_until, closed })
    }

    /// Reads all of the store at `dir`, whichever rollup it is for, and changes nothing in it. Nobody else may have it open.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for [`SignerError::OtherDomain`].
    pub fn verify(dir: &Path, sentinel: &Sentinel) -> Result<StoreSurvey, SignerError> {
        opening::verify(dir, sentinel)
    }

    /// Goes on with a store that is [`SignerError::Stale`]: an older copy of what was signed with, or one whose anchor is
    /// lost. Every slot up to `low` is refused to every key from then on, and the anchor is written anew.
    ///
    /// `low` must be no lower than any slot in which any of its keys may have signed anywhere. Can be repeated. Ethereum's
    /// keys count slots of another chain: where any is known, to the store or the anchor, `ethereum` tells what they may have
    /// signed last. Each of them refuses that from then on, also one that the copy is too old to know.
    ///
    /// # Errors
    /// [`SignerError::LowMarkTooLow`] where the anchor or the store knows better; [`SignerError::EthLast`]: Ethereum keys are
    /// known, and nothing or too little was told of them; [`SignerError::NoSpace`], [`SignerError::StoreFailed`]; as
    /// [`verify`](Self::verify).
    pub fn accept_restored(
        dir: &Path,
        sentinel: &Sentinel,
        low: Slot,
        ethereum: Option<EthLast>,
    ) -> Result<StoreSurvey, SignerError> {
        opening::accept_restored(dir, sentinel, low, ethereum)
    }

    /// The rollup that the store at `dir` is for. Its records are not looked at.
    ///
    /// # Errors
    /// [`SignerError::NotInitialised`], [`SignerError::NewerSchema`], [`SignerError::Damaged`], [`SignerError::Io`].
    pub fn domain_at(dir: &Path) -> Result<Domain, SignerError> {
        opening::domain_at(dir)
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
        self.on_thread(move |writer| writer.on_ledger(work)).await
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, SignerError> + Send + 'static,
    ) -> Result<T, SignerError> {
        let (reply, answer) = oneshot::channel();
        let errand = move |writer: &mut Writer| {
            // Nobody may be waiting any more; the work is done.
            let _ = reply.send(work(writer));
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
