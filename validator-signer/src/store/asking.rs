//! What a signer asks of the store: leave to sign, and to keep what was signed.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::{Slot, UnixTime};
use futures::future::BoxFuture;

use super::ledger::Wanted;
use super::record::Record;
use super::writer::Request;
use super::{SlashingProtection, check_payload};
use crate::{
    Domain, Duty, DutyKind, Halt, KeyChange, KeyState, Marks, Protection, Reservation, Safe, Sighting, SignerError,
    SigningPermit,
};

/// Duties of one queued request; longer lists become several.
const REQUEST_DUTIES: usize = 1024;

impl SlashingProtection {
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
        self.reserve_one(Wanted { duty, digest, payload: None }, None).await
    }

    /// As [`reserve`](Self::reserve), unless the store's clock reaches `by` first, and keeps `payload` beside the pin if
    /// this makes it, so that after a crash [`payload`](Self::payload) gives what was pinned, to be signed instead of lost.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve), [`SignerError::DeadlinePassed`], and [`SignerError::PayloadTooLarge`].
    ///
    /// # Cancel safety
    /// As [`reserve`](Self::reserve): pin and payload are one.
    pub async fn reserve_with_payload(
        &self,
        duty: Duty,
        digest: B256,
        payload: &[u8],
        by: Option<UnixTime>,
    ) -> Result<Safe, SignerError> {
        check_payload(duty, payload)?;
        self.reserve_one(Wanted { duty, digest, payload: Some(payload.into()) }, by).await
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

    async fn reserve_one(&self, wanted: Wanted, by: Option<UnixTime>) -> Result<Safe, SignerError> {
        self.check(wanted.duty, wanted.digest)?;
        let answers = self.queue_up(vec![wanted], by).await?;
        answers.into_iter().next().unwrap_or_else(|| Err(self.thread_ended()))
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

    fn reserve_with_payload<'a>(
        &'a self,
        duty: Duty,
        digest: B256,
        payload: &'a [u8],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Result<Safe, SignerError>> {
        Box::pin(self.reserve_with_payload(duty, digest, payload, by))
    }

    fn payload(&self, duty: Duty) -> BoxFuture<'_, Result<Option<Vec<u8>>, SignerError>> {
        Box::pin(self.payload(duty))
    }

    fn cancel(&self, reservation: Reservation) -> BoxFuture<'_, Result<bool, SignerError>> {
        Box::pin(self.cancel(reservation))
    }

    fn observe(&self, seen: Halt) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        Box::pin(self.observe(seen))
    }

    fn recognise(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        Box::pin(self.on_ledger(move |ledger| ledger.recognise(duty, digest)))
    }

    fn change_key(&self, validator: Address, change: KeyChange) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.change_key(validator, change))
    }

    fn key_states(&self) -> BTreeMap<Address, KeyState> {
        self.keys.borrow().clone()
    }

    fn listen_only_until(&self, slot: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.listen_only_until(slot))
    }

    fn listen_when_new(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Slot>, SignerError>> {
        Box::pin(self.listen_when_new(slot))
    }

    fn hand_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.hand_over(validator, from))
    }

    fn take_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.take_over(validator, from))
    }

    fn add_marks(&self, validator: Address, marks: Vec<(DutyKind, Marks)>) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.add_marks(validator, marks))
    }

    fn marks(&self, validator: Address, kind: DutyKind) -> BoxFuture<'_, Result<Marks, SignerError>> {
        Box::pin(self.marks(validator, kind))
    }

    fn listens_until(&self) -> Option<Slot> {
        *self.listen_only_until.borrow()
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
