//! What a signer asks of the shared store: leave to sign, and to keep what was signed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::{Clock as _, Slot, SystemClock, UnixTime};
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::insisting::TriedChange;
use super::judge::{FIRST_FENCE, Verdict, Wanted};
use super::ledger::Signed;
use super::owner::SettlingWork;
use super::request::{Errand, Prune, Request, Reserve, Stage, Unanswered};
use super::{PostgresProtection, given_up};
use crate::permit::Attempt;
use crate::protection::only;
use crate::store::check_payload;
use crate::{
    Domain, Duty, DutyKind, Halt, KeyChange, KeyState, Marks, Protection, Reservation, Safe, Sighting, SignerError,
    SigningPermit,
};

/// Duties of one queued request; longer lists become several.
const REQUEST_DUTIES: usize = 1024;
/// What a caller is told whose patience has ended.
pub(super) const TOO_SLOW: &str = "it has not answered in time";
/// How often a duty that another node holds is looked at again.
const BUSY_POLL: Duration = Duration::from_millis(25);

impl PostgresProtection {
    /// Each payload gets an answer of its own, in the order asked.
    async fn reserve_all(&self, asked: Vec<Wanted>, by: Option<UnixTime>) -> Vec<Result<Safe, SignerError>> {
        let checked: Vec<_> = asked.iter().map(|wanted| self.check(wanted.duty)).collect();
        let passed = asked.into_iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let wanted: Vec<_> = passed.map(|(wanted, _)| wanted).collect();
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

    async fn reserve_keeping(
        &self,
        duty: Duty,
        digest: B256,
        payload: &[u8],
        by: Option<UnixTime>,
    ) -> Result<Safe, SignerError> {
        check_payload(duty, payload)?;
        let wanted = Wanted { payload: Some(payload.into()), ..wanted(duty, digest) };
        only(self.reserve_all(vec![wanted], by).await)
    }

    async fn hand_over_now(&self, validator: Address, from: Slot) -> Result<(), SignerError> {
        let outcome = self.insist(move |settling| Box::pin(settling.hand_over(validator, from))).await?;
        outcome.map_err(|pinned| SignerError::HandOverTooEarly { validator, from, pinned })
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
                reason: TOO_SLOW.to_owned(),
            },
        }
    }

    /// Has something done on its own, once.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`] when it may be done or not; [`SignerError::Closed`]; what an operator must see to.
    ///
    /// # Cancel safety
    /// Dropped after its first wait: it is done all the same.
    pub(super) async fn once<T: Send + 'static>(&self, work: impl SettlingWork<T> + 'static) -> Result<T, SignerError> {
        self.once_within(self.patience, work).await
    }

    /// The same, for work that may take longer.
    pub(super) async fn once_within<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl SettlingWork<T> + 'static,
    ) -> Result<T, SignerError> {
        let (reply, answer) = oneshot::channel();
        let errand: Errand = Box::new(move |owner| {
            Box::pin(async move {
                // Nobody may be waiting any more; it is done.
                let _ = reply.send(owner.once(patience, work).await);
            })
        });
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

    async fn reserve_patiently(&self, duty: Duty, digest: B256, by: Option<UnixTime>) -> Result<Safe, SignerError> {
        let give_up_at = SystemClock.monotonic() + self.busy_patience;
        loop {
            match only(self.reserve_many(&[(duty, digest)], by).await) {
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
                let piece = piece.iter().map(|&(duty, digest)| wanted(duty, digest)).collect();
                answers.extend(self.reserve_all(piece, by).await);
            }
            answers
        })
    }

    fn reserve_after_peer(
        &self,
        duty: Duty,
        digest: B256,
        by: Option<UnixTime>,
    ) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(self.reserve_patiently(duty, digest, by))
    }

    fn reserve_with_payload<'a>(
        &'a self,
        duty: Duty,
        digest: B256,
        payload: &'a [u8],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Result<Safe, SignerError>> {
        Box::pin(self.reserve_keeping(duty, digest, payload, by))
    }

    fn payload(&self, duty: Duty) -> BoxFuture<'_, Result<Option<Vec<u8>>, SignerError>> {
        Box::pin(self.once(move |settling| Box::pin(settling.payload(duty))))
    }

    fn cancel(&self, reservation: Reservation) -> BoxFuture<'_, Result<bool, SignerError>> {
        let (duty, attempt) = (reservation.duty(), reservation.attempt());
        Box::pin(self.once(move |settling| Box::pin(settling.cancel(duty, attempt))))
    }

    fn observe(&self, seen: Halt) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        Box::pin(self.once(move |settling| Box::pin(settling.observe(seen))))
    }

    fn recognise(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        Box::pin(self.once(move |settling| Box::pin(settling.recognise(duty, digest))))
    }

    fn change_key(&self, validator: Address, change: KeyChange) -> BoxFuture<'_, Result<(), SignerError>> {
        let change = TriedChange::new(change);
        Box::pin(
            self.insist(move |settling| Box::pin(settling.change_key(validator, move |state| change.apply(state)))),
        )
    }

    fn key_states(&self) -> BTreeMap<Address, KeyState> {
        self.keys.borrow().clone()
    }

    fn listen_only_until(&self, slot: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.insist(move |settling| Box::pin(settling.listen_only_until(slot))))
    }

    fn listen_when_new(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Slot>, SignerError>> {
        Box::pin(self.insist(move |settling| Box::pin(settling.listen_when_new(slot))))
    }

    fn listens_until(&self) -> Option<Slot> {
        *self.listens_until.borrow()
    }

    fn hand_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.hand_over_now(validator, from))
    }

    fn take_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.insist(move |settling| Box::pin(settling.take_over_key(validator, from))))
    }

    fn add_marks(&self, validator: Address, marks: Vec<(DutyKind, Marks)>) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.insist(move |settling| Box::pin(async move { settling.add_marks(validator, &marks).await })))
    }

    fn marks(&self, validator: Address, kind: DutyKind) -> BoxFuture<'_, Result<Marks, SignerError>> {
        Box::pin(self.once(move |settling| Box::pin(settling.marks_of(validator, kind))))
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

/// A payload that leave is asked for, by an attempt of its own.
fn wanted(duty: Duty, digest: B256) -> Wanted {
    Wanted { duty, digest, attempt: Attempt::new(), payload: None }
}

/// Leave to sign is given here and nowhere else: what the verdict was found from is committed.
fn safe(wanted: &Wanted, verdict: &Verdict) -> Result<Safe, SignerError> {
    let &Wanted { duty, digest, attempt, .. } = wanted;
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
