//! Handing the same bytes to several nodes at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy::primitives::{B256, Bytes};
use alloy::providers::{DynProvider, Provider};
use alloy::transports::{RpcError, TransportError};
use fermata_primitives::SharedClock;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tracing::{debug, error, warn};

use crate::classify::{Verdict, classify};
use crate::l1::breaker::Breaker;
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
}

/// The nodes that transactions are handed to.
#[derive(Debug)]
pub(super) struct Backends(Vec<Arc<Backend>>);

#[derive(Debug)]
struct Backend {
    name: String,
    provider: DynProvider,
    timeout: Duration,
    clock: SharedClock,
    health: Mutex<Health>,
}

#[derive(Debug)]
struct Health {
    breaker: Breaker,
    last_error: Option<String>,
}

/// A call under way, and its backend's place in the list.
type Call = BoxFuture<'static, (usize, Verdict)>;

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
    /// Those of `l1`; the one that is read from, where it names none.
    pub(super) fn of(l1: &L1, timeout: Duration, clock: &SharedClock) -> Self {
        let read_from = SendBackend { name: READ_FROM.to_owned(), provider: l1.provider.clone() };
        let wanted = if l1.send_to.is_empty() { vec![read_from] } else { l1.send_to.clone() };
        let backend = |SendBackend { name, provider }| {
            let health = Mutex::new(Health { breaker: Breaker::new(), last_error: None });
            Arc::new(Backend { name, provider, timeout, clock: Arc::clone(clock), health })
        };
        Self(wanted.into_iter().map(backend).collect())
    }

    /// Hands the bytes to the backends at once, and merges what they answer. Waits for all of them, and for a short while
    /// alone once one has accepted.
    pub(super) async fn broadcast(&self, hash: B256, bytes: &Bytes, reach: Reach) -> HandedOver {
        let mut calls: FuturesUnordered<Call> =
            self.chosen(reach).map(|(place, backend)| backend.call(place, hash, bytes.clone())).collect();
        let mut answers = Vec::new();
        while let Some((place, verdict)) = calls.next().await {
            let is_accepted = verdict == Verdict::Accepted;
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
        let named = answers.into_iter().filter_map(|(place, verdict)| Some((self.0.get(place)?.name.clone(), verdict)));
        HandedOver { verdict: merge(named.collect()), late: Late(calls) }
    }

    fn chosen(&self, reach: Reach) -> impl Iterator<Item = (usize, &Arc<Backend>)> {
        let is_all = reach == Reach::All || self.0.iter().all(|backend| backend.is_open());
        self.0.iter().enumerate().filter(move |(_, backend)| is_all || !backend.is_open())
    }

    pub(super) fn status(&self) -> Vec<BackendStatus> {
        self.0.iter().map(|backend| backend.status()).collect()
    }
}

impl Backend {
    fn call(self: &Arc<Self>, place: usize, hash: B256, bytes: Bytes) -> Call {
        let backend = Arc::clone(self);
        async move { (place, backend.send(hash, bytes).await) }.boxed()
    }

    async fn send(&self, hash: B256, bytes: Bytes) -> Verdict {
        let call = self.provider.client().request::<_, B256>("eth_sendRawTransaction", (bytes,));
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

    fn failed(&self, verdict: &Verdict) {
        let now = self.clock.monotonic();
        let opened = {
            let mut health = self.health();
            health.note(verdict);
            health.breaker.failed(now)
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

    fn status(&self) -> BackendStatus {
        let (health, now) = (self.health(), self.clock.monotonic());
        BackendStatus {
            name: self.name.clone(),
            is_open: health.breaker.is_open(now),
            consecutive_failures: health.breaker.failures(),
            last_error: health.last_error.clone(),
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
}

/// True when the node itself has said something; a broken way to it says nothing of it.
const fn is_answer(answer: &Result<B256, TransportError>) -> bool {
    matches!(answer, Ok(_) | Err(RpcError::ErrorResp(_)))
}
