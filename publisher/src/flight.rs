//! A transaction that may be live, followed until it is settled.
//!
//! One look a head: is it in a block? If not, and its deadline has passed, it is cancelled. Every few heads it is made
//! sure that a node still has it.

use std::sync::Arc;

use alloy::rpc::types::TransactionReceipt;
use fermata_primitives::{Backoff, crash_point};
use tokio::sync::watch;
use tracing::{Instrument, info, info_span, warn};

use crate::accounts::AccountLease;
use crate::classify::Verdict;
use crate::core::Core;
use crate::plan::next_head;
use crate::publisher::Publisher;
use crate::records::{AttemptKind, AttemptRecord, StoredTx};
use crate::run::Caller;
use crate::{Error, L1HeadInfo, L1TxEvent, L1TxState, MinedTx, Outcome, PreparedBlobs, RejectReason, next, receipts};

/// A node is asked whether it still has the transaction at every head of this many.
const PROBE_EVERY: u64 = 2;

/// A recorded transaction and the account it holds.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) core: Arc<Core>,
    lease: Arc<AccountLease>,
    pub(crate) tx: StoredTx,
    pub(crate) blobs: Option<PreparedBlobs>,
    heads: watch::Receiver<L1HeadInfo>,
    /// A node has said that it has the last attempt.
    pub(crate) in_pool: bool,
    /// Heads since a node was asked.
    unasked: u64,
    /// The head at which the nonce was first seen used by an unknown transaction.
    foreign_since: Option<u64>,
    /// Heads since the last cancel was made.
    pub(crate) cancel_age: u64,
}

/// What a look showed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    Unsettled,
    Settled,
}

impl Flight {
    /// A flight of a transaction that was recorded just now.
    pub(crate) fn new(core: Arc<Core>, lease: Arc<AccountLease>, tx: StoredTx, blobs: Option<PreparedBlobs>) -> Self {
        let mut heads = core.heads.clone();
        heads.mark_unchanged();
        Self { core, lease, tx, blobs, heads, in_pool: false, unasked: 0, foreign_since: None, cancel_age: 0 }
    }

    /// A flight of a transaction of an earlier run, whose fate is unknown: it is looked at at once.
    pub(crate) fn resume(
        core: Arc<Core>,
        lease: Arc<AccountLease>,
        tx: StoredTx,
        blobs: Option<PreparedBlobs>,
    ) -> Self {
        let mut flight = Self::new(core, lease, tx, blobs);
        flight.heads.mark_changed();
        flight
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        self.lease.publisher()
    }

    pub(crate) const fn blobs(&self) -> Option<&PreparedBlobs> {
        self.blobs.as_ref()
    }

    pub(crate) const fn tx(&self) -> &StoredTx {
        &self.tx
    }

    /// Notes what the first broadcast led to. A write that fails is repeated by the next: the record says less than is
    /// known, which is safe.
    pub(crate) async fn note_first_broadcast(&mut self, verdict: &Verdict) {
        self.in_pool = *verdict == Verdict::Accepted;
        let event = match self.in_pool {
            true => L1TxEvent::Accepted,
            false => L1TxEvent::Ambiguous,
        };
        let intent = &self.tx.intent;
        info!(label = intent.label, account = %intent.account, nonce = intent.nonce, ?verdict, "sent");
        if let Err(error) = self.advance(event).await {
            warn!(%error, "the broadcast is not recorded");
        }
        crash_point!("publisher.after_sent");
    }

    /// A transaction of an earlier run whose first broadcast may or may not have happened: it counts as sent.
    pub(crate) async fn doubt(&mut self) -> Result<(), Error> {
        self.advance(L1TxEvent::Ambiguous).await?;
        crash_point!("publisher.after_doubt");
        Ok(())
    }

    /// Follows the transaction until it is settled or the publisher stops; answers the caller on the way.
    pub(crate) async fn follow(mut self, caller: &mut Caller) {
        let span = info_span!("l1_tx", nonce = self.tx.intent.nonce, account = %self.tx.intent.account);
        self.follow_heads(caller).instrument(span).await;
    }

    async fn follow_heads(&mut self, caller: &mut Caller) {
        let mut backoff = Backoff::new(std::time::Duration::from_millis(100), self.core.config.ethereum_slot);
        loop {
            let stopped = caller.stopped.clone();
            let look = async {
                self.wait(&mut backoff).await;
                self.look(caller).await
            };
            let looked = tokio::select! {
                biased;
                () = stopped.cancelled() => return,
                looked = look => looked,
            };
            match looked {
                Ok(Looked::Settled) => return,
                Ok(Looked::Unsettled) => {}
                Err(error) => warn!(%error, cause = std::error::Error::source(&error), "a look at L1 failed"),
            }
        }
    }

    /// Resolves at the next head; sooner while no node is known to have the transaction.
    async fn wait(&mut self, backoff: &mut Backoff) {
        let core = Arc::clone(&self.core);
        if self.in_pool {
            backoff.reset();
            return next_head(&mut self.heads).await;
        }
        tokio::select! {
            () = next_head(&mut self.heads) => {}
            () = core.clock.sleep(backoff.wait()) => {}
        }
    }

    /// One look: in a block, expired, or still in a pool?
    async fn look(&mut self, caller: &mut Caller) -> Result<Looked, Error> {
        let head = *self.heads.borrow_and_update();
        if let Some((attempt, receipt)) = receipts::find(&self.core, &self.tx).await? {
            return self.mined(&attempt, &receipt, &head, caller).await.map(|()| Looked::Settled);
        }
        if self.tx.intent.state != L1TxState::Cancelling && head.timestamp >= self.tx.intent.deadline {
            self.advance(L1TxEvent::DeadlinePassed).await?;
            crash_point!("publisher.after_expiry");
            warn!(label = self.tx.intent.label, "its deadline passed and it is not in a block: it is being cancelled");
            caller.answer(Ok(Outcome::Expired));
        }
        if self.tx.intent.state == L1TxState::Cancelling && self.wants_cancel() {
            self.cancel(&head).await?;
            return Ok(Looked::Unsettled);
        }
        self.keep_alive(&head, caller).await
    }

    /// A receipt was found: settles the transaction.
    async fn mined(
        &mut self,
        attempt: &AttemptRecord,
        receipt: &TransactionReceipt,
        head: &L1HeadInfo,
        caller: &mut Caller,
    ) -> Result<(), Error> {
        let mined = receipts::summarize(&self.core, (attempt, receipt), &self.tx.intent.success, head).await?;
        let label = &self.tx.intent.label;
        info!(label, kind = ?attempt.kind, block = mined.block_number, succeeded = mined.succeeded, "in a block");
        let event = match (attempt.kind, receipt.status()) {
            (AttemptKind::Cancel, _) => L1TxEvent::CancelMined,
            (AttemptKind::Initial, true) => L1TxEvent::Mined,
            (AttemptKind::Initial, false) => L1TxEvent::MinedReverted,
        };
        crash_point!("publisher.after_landing");
        self.settle(event, Some(mined.clone())).await?;
        match attempt.kind {
            AttemptKind::Initial => caller.answer(Ok(Outcome::Mined(mined))),
            AttemptKind::Cancel => caller.answer(Ok(Outcome::Expired)),
        }
        Ok(())
    }

    /// Settles the transaction if a block holds one of its attempts; for a start, before anything else is done.
    pub(crate) async fn settle_if_mined(&mut self, caller: &mut Caller) -> Result<bool, Error> {
        let Some((attempt, receipt)) = receipts::find(&self.core, &self.tx).await? else { return Ok(false) };
        let head = self.core.head();
        self.mined(&attempt, &receipt, &head, caller).await.map(|()| true)
    }

    /// Makes the end of the transaction durable; when that fails, it is not settled, and the next look tries again.
    pub(crate) async fn settle(&mut self, event: L1TxEvent, mined: Option<MinedTx>) -> Result<(), Error> {
        let mut intent = self.tx.intent.clone();
        intent.state = next(intent.state, event)?;
        intent.mined = mined;
        let account = self.publisher().end_nonce(intent.nonce, intent.state);
        let durable = intent.clone();
        self.core.on_store(move |store| store.settle(&durable, &account)).await?;
        self.tx.intent = intent;
        crash_point!("publisher.after_outcome");
        Ok(())
    }

    /// Makes a move that does not settle durable; when that fails, it has not moved.
    async fn advance(&mut self, event: L1TxEvent) -> Result<(), Error> {
        let mut intent = self.tx.intent.clone();
        intent.state = next(intent.state, event)?;
        if intent.state == self.tx.intent.state {
            return Ok(());
        }
        let durable = intent.clone();
        self.core.on_store(move |store| store.save(&durable)).await?;
        self.tx.intent = intent;
        Ok(())
    }

    /// Makes sure that a node has the last attempt, and that nobody else took its nonce.
    async fn keep_alive(&mut self, head: &L1HeadInfo, caller: &mut Caller) -> Result<Looked, Error> {
        self.unasked += 1;
        self.cancel_age += 1;
        if self.in_pool && self.unasked < PROBE_EVERY {
            return Ok(Looked::Unsettled);
        }
        self.unasked = 0;
        let Some(last) = self.tx.attempts.last().cloned() else { return Ok(Looked::Unsettled) };
        self.in_pool = self.core.l1.knows(last.hash).await?;
        if self.in_pool {
            self.foreign_since = None;
            return Ok(Looked::Unsettled);
        }
        if self.core.l1.latest_nonce(self.tx.intent.account).await? > self.tx.intent.nonce {
            return self.nonce_taken(head, caller).await;
        }
        if self.may_rebroadcast(&last, head, caller) {
            info!(label = self.tx.intent.label, hash = %last.hash, "no node has it: sending the same bytes again");
            let verdict = self.broadcast(&last).await;
            crash_point!("publisher.after_rebroadcast");
            self.in_pool = verdict == Verdict::Accepted;
        }
        Ok(Looked::Unsettled)
    }

    /// What has expired is never sent again; a cancel has no deadline.
    fn may_rebroadcast(&self, attempt: &AttemptRecord, head: &L1HeadInfo, caller: &Caller) -> bool {
        match attempt.kind {
            AttemptKind::Initial => {
                self.core.next_block_at(head) < self.tx.intent.deadline && caller.may_broadcast(attempt.hash)
            }
            AttemptKind::Cancel => true,
        }
    }

    /// The chain's nonce is past ours, and no block holds ours: believed at the second head that says so.
    async fn nonce_taken(&mut self, head: &L1HeadInfo, caller: &mut Caller) -> Result<Looked, Error> {
        let since = *self.foreign_since.get_or_insert(head.number);
        if head.number <= since {
            return Ok(Looked::Unsettled);
        }
        let (account, nonce) = (self.tx.intent.account, self.tx.intent.nonce);
        let reason = RejectReason::Superseded { account, nonce };
        warn!(label = self.tx.intent.label, %reason, "superseded");
        self.settle(L1TxEvent::ForeignNonce, None).await?;
        self.publisher().doubt_nonce();
        caller.answer(Ok(Outcome::Rejected { reason }));
        Ok(Looked::Settled)
    }
}
