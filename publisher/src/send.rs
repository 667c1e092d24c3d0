//! A send, from the request to the first broadcast.

use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{Backoff, crash_point};
use tracing::{debug, info, warn};

use crate::accounts::AccountPool;
use crate::classify::Verdict;
use crate::core::{Core, KeyInUse};
use crate::flight::Flight;
use crate::plan::{Heads, Obstacle, Plan, next_head, pause, plan, wait_for_window};
use crate::records::{AttemptKind, AttemptRecord, IntentRecord, StoredTx};
use crate::run::Caller;
use crate::store::NewTx;
use crate::tx::{SignedTx, TxBody};
use crate::{Error, L1Request, L1TxEvent, Outcome, PreparedBlobs, RefusalClass, RejectReason, RequestBlobs};

/// A request on its way to a transaction.
#[derive(Debug)]
pub(crate) struct SendJob {
    pub(crate) core: Arc<Core>,
    pub(crate) pool: Arc<AccountPool>,
    pub(crate) request: L1Request,
    pub(crate) caller: Caller,
}

/// What one try led to.
enum Step {
    /// The caller has its answer, or nobody waits.
    Done,
    /// Not sent, or definitely refused: nothing of it is live.
    Again(RejectReason, When),
}

/// When to try again.
#[derive(Clone, Copy)]
enum When {
    /// Soon: it may go before L1 has a new block.
    Soon,
    NextHead,
}

impl SendJob {
    /// Drives the request until its transaction is settled, or nothing can be done any more. The caller is answered on
    /// the way.
    pub(crate) async fn run(mut self) {
        let admitted = self.caller.unless_interrupted(admit(&self.core, &self.request)).await;
        let (blobs, _keys) = match admitted {
            None => return,
            Some(Ok(admitted)) => admitted,
            Some(Err(obstacle)) => {
                self.obstructed(obstacle);
                return;
            }
        };
        let mut last_reason = None;
        let mut backoff = Backoff::new(Duration::from_millis(100), self.core.config.ethereum_slot);
        let mut heads = self.core.heads.clone();
        while let Step::Again(reason, when) = self.step(&mut heads, blobs.as_ref(), last_reason.take()).await {
            debug!(label = self.request.label, %reason, "not sent yet");
            last_reason = Some(reason);
            let pause = match when {
                When::Soon => self.caller.unless_interrupted(pause(&self.core, &mut heads, backoff.wait())).await,
                When::NextHead => self.caller.unless_interrupted(next_head(&mut heads)).await,
            };
            if pause.is_none() {
                return;
            }
        }
    }

    /// Tries once: plans, records, broadcasts, and follows what may be live to its end.
    async fn step(
        &mut self,
        heads: &mut Heads,
        blobs: Option<&PreparedBlobs>,
        last_reason: Option<RejectReason>,
    ) -> Step {
        let planned = self.caller.unless_interrupted(self.plan(heads, blobs)).await;
        let launched = match planned {
            None => return Step::Done,
            Some(None) => return self.too_late(last_reason),
            Some(Some(Err(obstacle))) => return self.obstructed(obstacle),
            Some(Some(Ok(plan))) => self.launch(plan, blobs.cloned()).await,
        };
        launched.unwrap_or_else(|error| self.end(Err(error)))
    }

    fn end(&mut self, answer: Result<Outcome, Error>) -> Step {
        self.caller.answer(answer);
        Step::Done
    }

    /// A plan for the next block; `None` once the deadline is out of reach.
    async fn plan(&self, heads: &mut Heads, blobs: Option<&PreparedBlobs>) -> Option<Result<Plan, Obstacle>> {
        let head = wait_for_window(&self.core, heads, self.request.window()).await?;
        let planned = plan(&self.core, &self.pool, (&self.request, blobs), &head).await;
        // Waiting for an account takes its time.
        let is_too_late = self.core.next_block_at(&self.core.head()) >= self.request.deadline;
        (!is_too_late).then_some(planned)
    }

    /// Ends what will not go away, and tries again what may.
    fn obstructed(&mut self, obstacle: Obstacle) -> Step {
        match obstacle {
            Obstacle::Wait(reason) => Step::Again(reason, When::Soon),
            Obstacle::Reject(reason) => self.end(Ok(Outcome::Rejected { reason })),
            Obstacle::Fail(error) => self.end(Err(error)),
        }
    }

    /// The deadline is out of reach: answers what stood in the way, or that nobody asked in time.
    fn too_late(&mut self, last_reason: Option<RejectReason>) -> Step {
        let outcome = last_reason.map_or(Outcome::Expired, |reason| Outcome::Rejected { reason });
        info!(label = self.request.label, ?outcome, "its deadline passed before it was sent");
        self.end(Ok(outcome))
    }

    /// Records the transaction, broadcasts it, and follows it to its end.
    async fn launch(&mut self, plan: Plan, blobs: Option<PreparedBlobs>) -> Result<Step, Error> {
        let (mut flight, signed) = self.record(plan, blobs).await?;
        crash_point!("publisher.after_record");
        if !self.caller.may_broadcast(signed.hash()) {
            flight.settle(L1TxEvent::Withdrawn, None).await?;
            return Ok(Step::Done);
        }
        let bytes = signed.pooled(flight.blobs());
        let answer = self.caller.unless_interrupted(self.core.l1.broadcast(signed.hash(), bytes)).await;
        crash_point!("publisher.after_broadcast");
        if self.caller.stopped.is_cancelled() {
            return Ok(Step::Done);
        }
        let interrupted = Verdict::Ambiguous { why: "interrupted".to_owned() };
        match answer.unwrap_or(interrupted) {
            Verdict::Refused { class, message } => self.refused(flight, class, message).await,
            verdict @ (Verdict::Accepted | Verdict::Ambiguous { .. }) => {
                flight.note_first_broadcast(&verdict).await;
                flight.follow(&mut self.caller).await;
                Ok(Step::Done)
            }
        }
    }

    /// Leases a nonce, signs, and makes both durable.
    async fn record(&self, plan: Plan, blobs: Option<PreparedBlobs>) -> Result<(Flight, SignedTx), Error> {
        let (nonce, account) = plan.lease.publisher().lease_nonce();
        let signed = match self.sign(&plan, nonce, blobs.as_ref()) {
            Ok(signed) => signed,
            Err(error) => {
                plan.lease.publisher().return_nonce(nonce);
                return Err(error);
            }
        };
        let owner = (plan.lease.publisher().address(), nonce);
        let mut intent = IntentRecord::new(&self.request, owner, plan.gas_limit, self.core.clock.now());
        let attempt = AttemptRecord {
            kind: AttemptKind::Initial,
            fees: plan.fees,
            hash: signed.hash(),
            signed: signed.canonical(),
        };
        let new = NewTx {
            intent: intent.clone(),
            attempt: attempt.clone(),
            calldata: self.request.calldata.clone(),
            blobs: blobs.clone(),
            account,
        };
        match self.core.on_store(move |store| store.begin(new)).await {
            Ok(id) => intent.id = id,
            Err(error) => {
                plan.lease.publisher().return_nonce(nonce);
                return Err(error);
            }
        }
        let tx = StoredTx { intent, attempts: vec![attempt] };
        Ok((Flight::new(Arc::clone(&self.core), Arc::new(plan.lease), tx, blobs), signed))
    }

    fn sign(&self, plan: &Plan, nonce: u64, blobs: Option<&PreparedBlobs>) -> Result<SignedTx, Error> {
        let body = TxBody {
            chain_id: self.core.config.chain_id,
            nonce,
            to: self.request.to,
            value: self.request.value,
            calldata: self.request.calldata.clone(),
            gas_limit: plan.gas_limit,
            fees: plan.fees,
            versioned_hashes: blobs.map(PreparedBlobs::versioned_hashes).unwrap_or_default(),
        };
        SignedTx::sign(body, plan.lease.publisher().signer())
    }

    /// The node definitely does not have it: its nonce is free, and what comes next depends on why.
    async fn refused(&mut self, mut flight: Flight, class: RefusalClass, message: String) -> Result<Step, Error> {
        warn!(label = self.request.label, ?class, message, "the node refused it");
        flight.settle(L1TxEvent::Refused, None).await?;
        self.caller.gate.refused();
        let reason = RejectReason::Refused { class, message };
        let publisher = flight.publisher();
        match class {
            RefusalClass::Format | RefusalClass::Shape => Ok(self.end(Ok(Outcome::Rejected { reason }))),
            RefusalClass::InsufficientFunds => {
                publisher.note_broke();
                Ok(Step::Again(reason, When::Soon))
            }
            RefusalClass::NonceTooLow => {
                publisher.doubt_nonce();
                Ok(Step::Again(reason, When::Soon))
            }
            RefusalClass::NonceTooHigh
            | RefusalClass::ReplacementUnderpriced
            | RefusalClass::Underpriced
            | RefusalClass::FeeCapTooLow
            | RefusalClass::NodeFeeCap
            | RefusalClass::OtherTypePooled
            | RefusalClass::AccountLimit
            | RefusalClass::PoolFull => Ok(Step::Again(reason, When::NextHead)),
        }
    }
}

/// What a request needs before it can be planned: its proofs, and its dedup keys for itself.
async fn admit(core: &Arc<Core>, request: &L1Request) -> Result<(Option<PreparedBlobs>, Vec<KeyInUse>), Obstacle> {
    request.validate().map_err(|invalid| Obstacle::Reject(invalid.into()))?;
    let mut keys = Vec::new();
    for key in request.dedup_keys() {
        keys.push(take_key(core, key).await?.map_err(Obstacle::Reject)?);
    }
    match prepared(core, &request.blobs).await {
        Ok(blobs) => Ok((blobs, keys)),
        Err(Error::Blob(why)) => Err(Obstacle::Reject(crate::InvalidRequest::Blob(why).into())),
        Err(error) => Err(Obstacle::Fail(error)),
    }
}

/// Takes a dedup key for this send, unless another has it or one with it has landed.
async fn take_key(core: &Arc<Core>, key: &str) -> Result<Result<KeyInUse, RejectReason>, Error> {
    let taken = core.take_key(key);
    let wanted = key.to_owned();
    let holder = core.on_store(move |store| store.dedup_holder(&wanted)).await?;
    let tx_hash = holder.as_ref().and_then(|tx| tx.attempts.first()).map(|attempt| attempt.hash);
    Ok(match (taken, holder) {
        (Some(taken), None) => Ok(taken),
        (None, _) | (_, Some(_)) => Err(RejectReason::Duplicate { dedup_key: key.to_owned(), tx_hash }),
    })
}

/// Blobs with their proofs; `None` without blobs.
pub(crate) async fn prepared(core: &Core, blobs: &RequestBlobs) -> Result<Option<PreparedBlobs>, Error> {
    match blobs {
        RequestBlobs::Prepared(blobs) if !blobs.is_empty() => Ok(Some(blobs.clone())),
        RequestBlobs::Raw(blobs) if !blobs.is_empty() => core.prepare(blobs.clone()).await.map(Some),
        RequestBlobs::None | RequestBlobs::Prepared(_) | RequestBlobs::Raw(_) => Ok(None),
    }
}
