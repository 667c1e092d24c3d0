//! The task that owns the connection, and turns whatever waits in its queue into one transaction.

use std::collections::VecDeque;
use std::time::Duration;

use fermata_primitives::{Clock as _, SharedClock, SystemClock};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::judge::Asker;
use super::ledger::{Settling, Signed};
use super::link::{Link, Trouble, trouble};
use super::pruning::{delete_below, raise_marks};
use super::request::{Errand, EthReserve, Prune, Request, Reserve};
use super::session::{ServerError, Session};
use crate::EthPolicy;

/// Signatures kept in memory while the server is away. Losing one costs a repeat of the same signature.
const UNWRITTEN_SIGNATURES: usize = 4096;
/// How often what is remembered of the server is written down, while there is anything to remember.
const REMEMBER_EVERY: Duration = Duration::from_secs(1);

/// Work over a session that is open.
pub(super) trait SettlingWork<T>:
    for<'a, 'b> FnOnce(&'a mut Settling<'b>) -> BoxFuture<'a, Result<T, ServerError>> + Send
{
}

impl<T, W> SettlingWork<T> for W where
    W: for<'a, 'b> FnOnce(&'a mut Settling<'b>) -> BoxFuture<'a, Result<T, ServerError>> + Send
{
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
    /// How much of what Ethereum's keys signed is kept.
    pub(super) eth_policy: EthPolicy,
    pub(super) eth: Vec<EthReserve>,
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
            let eth = std::mem::take(&mut self.eth);
            self.serve_eth(eth).await;
            for errand in std::mem::take(&mut self.errands) {
                errand(&mut self).await;
            }
            self.prune_a_piece().await;
            self.link.tell();
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
                Request::ReserveEth(reserve) => {
                    duties += reserve.wanted.len();
                    self.eth.push(reserve);
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

    /// What settles, over a session that is open.
    pub(super) async fn settling(&mut self) -> Result<Settling<'_>, Trouble> {
        let connected = timeout(self.patience, self.link.session()).await;
        let (session, book, memory) = connected.unwrap_or_else(|_| Err(too_long()))?;
        Ok(Settling { session, book, memory, asker: &self.asker })
    }

    /// Does something on its own, once, and lets what was learnt meanwhile be known.
    ///
    /// # Errors
    /// [`Trouble`]; it may be done.
    pub(super) async fn once<T>(&mut self, patience: Duration, work: impl SettlingWork<T>) -> Result<T, Trouble> {
        let mut settling = self.settling().await?;
        let outcome = timeout(patience, work(&mut settling)).await;
        let outcome = self.outcome(outcome);
        self.link.tell();
        outcome
    }

    /// A session for work that takes its time beside this task, once the signatures that came in are written.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn lend(&mut self) -> Result<Session, Trouble> {
        if !self.unwritten.is_empty() {
            self.serve(Vec::new()).await;
        }
        timeout(self.patience, self.link.another_session()).await.unwrap_or_else(|_| Err(too_long()))
    }

    /// After a failure the connection is dropped: what is left of a transaction on it must not reach the next.
    pub(super) fn outcome<T>(&mut self, outcome: Result<Result<T, ServerError>, Elapsed>) -> Result<T, Trouble> {
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

pub(super) fn too_long() -> Trouble {
    Trouble::Passing("it took too long".to_owned())
}
