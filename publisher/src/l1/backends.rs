//! Handing the same bytes to several nodes at once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy::primitives::{B256, Bytes, U64};
use alloy::providers::{DynProvider, Provider};
use alloy::transports::{RpcError, TransportError};
use fermata_primitives::SharedClock;
use futures::future::{BoxFuture, FutureExt, join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use tracing::{debug, error, info, warn};

use crate::Error;
use crate::classify::{Verdict, classify};
use crate::l1::breaker::Breaker;
use crate::l1::cursor::Cursor;
use crate::l1::merge::merge;
use crate::l1::{L1, SendBackend};
use crate::meter;
use crate::redact::without_url;
use crate::status::BackendStatus;

/// How long the others are waited for once one has accepted: long enough for a node that is well, and nothing to a slot.
const GRACE: Duration = Duration::from_millis(500);

/// What the node is called that is read from, where it is sent to as well.
const READ_FROM: &str = "L1";

/// Who is handed the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Whoever answers, as far as is known; all, where nobody does.
    Healthy,
    /// All: the bytes went out before, and are missing.
    All,
    /// The one at this place in the list, which lacks them.
    Only(usize),
}

/// What is handed over.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) hash: B256,
    pub(crate) bytes: Bytes,
    /// Asked again where a backend is asked for its chain first: that takes time.
    pub(crate) still_goes: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel").field("hash", &self.hash).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// The nodes that transactions are handed to.
#[derive(Debug)]
pub(super) struct Backends(Vec<Arc<Backend>>);

#[derive(Debug)]
struct Backend {
    name: String,
    provider: DynProvider,
    /// The chain it must serve.
    chain_id: u64,
    timeout: Duration,
    clock: SharedClock,
    health: Mutex<Health>,
}

#[derive(Debug)]
struct Health {
    breaker: Breaker,
    last_error: Option<String>,
    serves: Serves,
    cursor: Cursor,
}

/// What is known of a backend's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Serves {
    /// It is read from, and its chain is checked there.
    Checked,
    /// It did not say yet, or has been away since.
    Unknown,
    Ours,
    Other(u64),
}

/// A call under way, and its backend's place in the list. `None`: it was not handed the bytes.
type Call = BoxFuture<'static, (usize, Option<Verdict>)>;

/// What came of handing bytes over.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) verdict: Verdict,
    pub(crate) late: Late,
}

/// Backends that have not answered, though another has accepted. The same bytes still go to them: a node that is slow
/// spreads them too, and how it ends tells whether it is well. Their answers change no verdict.
#[derive(Debug, Default)]
pub(crate) struct Late(FuturesUnordered<Call>);

impl Late {
    /// Waits until each has answered or timed out.
    ///
    /// # Cancel safety
    /// Dropped, nothing more goes out.
    pub(crate) async fn finish(mut self) {
        while self.0.next().await.is_some() {}
    }
}

impl Backends {
    /// Those of `l1`; the one that is read from, where it names none. They must serve this chain, and answer in time.
    pub(super) fn of(l1: &L1, (chain_id, timeout): (u64, Duration), clock: &SharedClock) -> Self {
        let read_from = SendBackend { name: READ_FROM.to_owned(), provider: l1.provider.clone() };
        let (wanted, serves) = match l1.send_to.is_empty() {
            true => (vec![read_from], Serves::Checked),
            false => (l1.send_to.clone(), Serves::Unknown),
        };
        let backend = |SendBackend { name, provider }| {
            let health = Health { breaker: Breaker::new(), last_error: None, serves, cursor: Cursor::default() };
            Arc::new(Backend {
                name,
                provider,
                chain_id,
                timeout,
                clock: Arc::clone(clock),
                health: Mutex::new(health),
            })
        };
        Self(wanted.into_iter().map(backend).collect())
    }

    /// Asks each for its chain, and waits a short while for their answers.
    ///
    /// # Errors
    /// [`Error::WrongChain`] when all serve another chain.
    pub(super) async fn check_chains(&self) -> Result<(), Error> {
        let asked = self.0.iter().filter(|backend| backend.health().serves != Serves::Checked);
        let checks = join_all(asked.map(|backend| backend.check_chain()));
        // Who is later than that is asked when it is to be handed something.
        let _ = tokio::time::timeout(GRACE, checks).await;
        let others: Option<Vec<u64>> = self.0.iter().map(|backend| backend.other_chain()).collect();
        match others.and_then(|others| others.first().copied()) {
            Some(actual) => Err(Error::WrongChain { expected: self.0[0].chain_id, actual }),
            None => Ok(()),
        }
    }

    /// Hands the bytes to the backends at once, and merges what they answer. Waits for all of them, and for a short while
    /// alone once one has accepted.
    pub(super) async fn broadcast(&self, parcel: &Parcel, reach: Reach) -> HandedOver {
        let mut calls: FuturesUnordered<Call> =
            self.chosen(reach).map(|(place, backend)| backend.call(place, parcel.clone())).collect();
        let mut answers = Vec::new();
        while let Some((place, verdict)) = calls.next().await {
            let is_accepted = verdict == Some(Verdict::Accepted);
            answers.push((place, verdict));
            if is_accepted {
                break;
            }
        }
        let others = async {
            while let Some(answer) = calls.next().await {
                answers.push(answer);
            }
        };
        // Whoever is later than that is late: all have answered otherwise.
        let _ = tokio::time::timeout(GRACE, others).await;
        answers.sort_by_key(|(place, _)| *place);
        let named =
            answers.into_iter().filter_map(|(place, verdict)| Some((self.0.get(place)?.name.clone(), verdict?)));
        HandedOver { verdict: merge(named.collect()), late: Late(calls) }
    }

    fn chosen(&self, reach: Reach) -> impl Iterator<Item = (usize, &Arc<Backend>)> {
        let nobody_is_well = self.0.iter().all(|backend| backend.is_open());
        let is_chosen = move |place: usize, backend: &Backend| match reach {
            Reach::All => true,
            Reach::Only(only) => place == only,
            Reach::Healthy => nobody_is_well || !backend.is_open(),
        };
        self.0.iter().enumerate().filter(move |(place, backend)| is_chosen(*place, backend))
    }

    /// What each lacks of the transactions that are in flight. A single one is never behind: what it lacks, L1 lacks.
    pub(super) fn behind(&self, in_flight: &[B256]) -> Vec<(usize, Vec<B256>)> {
        if self.0.len() < 2 {
            return Vec::new();
        }
        let lacking = self.0.iter().enumerate().filter(|(_, backend)| !backend.is_open());
        let lacking = lacking.map(|(place, backend)| (place, backend.health().cursor.lacks(in_flight)));
        lacking.filter(|(_, hashes)| !hashes.is_empty()).collect()
    }

    pub(super) fn status(&self) -> Vec<BackendStatus> {
        self.0.iter().map(|backend| backend.status()).collect()
    }
}

impl Backend {
    fn call(self: &Arc<Self>, place: usize, parcel: Parcel) -> Call {
        let backend = Arc::clone(self);
        async move { (place, backend.hand_over(&parcel).await) }.boxed()
    }

    /// Hands it over, unless it serves another chain or does not say which.
    async fn hand_over(&self, parcel: &Parcel) -> Option<Verdict> {
        let may_have_it = self.is_of_our_chain() || (self.check_chain().await && (parcel.still_goes)());
        if !may_have_it {
            return None;
        }
        let verdict = self.send(parcel).await;
        self.health().cursor.note(parcel.hash, &verdict);
        Some(verdict)
    }

    async fn send(&self, parcel: &Parcel) -> Verdict {
        let hash = parcel.hash;
        let call = self.provider.client().request::<_, B256>("eth_sendRawTransaction", (parcel.bytes.clone(),));
        let verdict = match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => {
                let answer = answer.map_err(without_url);
                let (is_answer, is_other) = (is_answer(&answer), answer.as_ref().is_ok_and(|other| *other != hash));
                let verdict = classify(answer, hash);
                match (is_answer, is_other) {
                    (true, false) => self.health().breaker.answered(),
                    (true, true) => self.lied(hash, &verdict),
                    (false, _) => self.failed(&verdict),
                }
                verdict
            }
            Err(_) => {
                let verdict = Verdict::Ambiguous { why: format!("no answer within {:?}", self.timeout) };
                self.failed(&verdict);
                verdict
            }
        };
        meter::handed_over(&self.name, &verdict);
        debug!(backend = self.name, %hash, ?verdict, "handed over");
        verdict
    }

    /// Asks for its chain. True when it is ours. An answer alone does not close the breaker: taking transactions is another
    /// thing.
    async fn check_chain(&self) -> bool {
        const CHAIN_ID: &str = "eth_chainId";
        meter::asked(CHAIN_ID);
        let call = self.provider.client().request_noparams::<U64>(CHAIN_ID);
        let problem = match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(chain)) if chain.to::<u64>() == self.chain_id => {
                self.note_chain(Serves::Ours);
                return true;
            }
            Ok(Ok(chain)) => {
                let actual = chain.to();
                self.note_chain(Serves::Other(actual));
                format!("it serves chain {actual}, and is handed nothing; correct its URL")
            }
            Ok(Err(error)) => without_url(error).to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        self.failed(&Verdict::Ambiguous { why: problem });
        false
    }

    fn note_chain(&self, serves: Serves) {
        let before = std::mem::replace(&mut self.health().serves, serves);
        match (before, serves) {
            (Serves::Other(_), Serves::Ours) => info!(backend = self.name, "it serves our chain now"),
            (before, Serves::Other(actual)) if before != serves => {
                let expected = self.chain_id;
                error!(backend = self.name, actual, expected, "a backend serves another chain, and is handed nothing");
            }
            (Serves::Checked | Serves::Unknown | Serves::Ours | Serves::Other(_), _) => {}
        }
    }

    fn failed(&self, verdict: &Verdict) {
        let now = self.clock.monotonic();
        let opened = {
            let mut health = self.health();
            health.note(verdict);
            let opened = health.breaker.failed(now);
            if opened.is_some() {
                health.forget();
            }
            opened
        };
        if let Some(span) = opened {
            warn!(backend = self.name, ?verdict, ?span, "a backend does not answer, and is skipped for a while");
        }
    }

    /// Nobody knows what such a node has done with the bytes: it wants a person's look.
    fn lied(&self, hash: B256, verdict: &Verdict) {
        let mut health = self.health();
        health.breaker.answered();
        health.note(verdict);
        drop(health);
        error!(backend = self.name, %hash, ?verdict, "a backend answers with the hash of another transaction");
    }

    fn is_open(&self) -> bool {
        self.health().breaker.is_open(self.clock.monotonic())
    }

    fn is_of_our_chain(&self) -> bool {
        matches!(self.health().serves, Serves::Checked | Serves::Ours)
    }

    /// The chain it serves, where that is not ours.
    fn other_chain(&self) -> Option<u64> {
        match self.health().serves {
            Serves::Other(actual) => Some(actual),
            Serves::Checked | Serves::Unknown | Serves::Ours => None,
        }
    }

    fn status(&self) -> BackendStatus {
        let other_chain = self.other_chain();
        let (health, now) = (self.health(), self.clock.monotonic());
        BackendStatus {
            name: self.name.clone(),
            is_open: health.breaker.is_open(now),
            consecutive_failures: health.breaker.failures(),
            last_error: health.last_error.clone(),
            other_chain,
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn note(&mut self, verdict: &Verdict) {
        self.last_error = match verdict {
            Verdict::Ambiguous { why } => Some(why.clone()),
            Verdict::Accepted | Verdict::Refused { .. } => None,
        };
    }

    /// Who was away may be another when it comes back: its chain is asked for again, and it may have lost everything.
    fn forget(&mut self) {
        self.cursor.rewind();
        if self.serves == Serves::Ours {
            self.serves = Serves::Unknown;
        }
    }
}

/// True when the node itself has said something; a broken way to it says nothing of it.
const fn is_answer(answer: &Result<B256, TransportError>) -> bool {
    matches!(answer, Ok(_) | Err(RpcError::ErrorResp(_)))
}
