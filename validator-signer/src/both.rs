//! Two stores that must agree: one of this node alone, and one that it shares with others.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::{Slot, UnixTime};
use futures::future::{BoxFuture, join, join_all};
use tracing::debug;

use crate::protection::only;
use crate::{
    Domain, Duty, DutyKind, Halt, KeyChange, KeyState, Marks, Protection, Reservation, Safe, Sighting, SignerError,
    SigningPermit,
};

/// Pins each duty in both stores at once, and gives leave only if both do.
///
/// The shared store keeps nodes from signing against one another; the local one keeps this node from signing against
/// itself, also over a shared store that was set back or replaced. It costs no more time than the slower of the two.
#[derive(Debug)]
pub struct Both {
    local: Arc<dyn Protection>,
    shared: Arc<dyn Protection>,
}

impl Both {
    /// The two stores as one, which closes both. They protect the same rollup.
    ///
    /// # Errors
    /// [`SignerError::OtherDomain`].
    pub fn new(local: Arc<dyn Protection>, shared: Arc<dyn Protection>) -> Result<Self, SignerError> {
        let (found, wanted) = (local.domain(), shared.domain());
        if found == wanted {
            return Ok(Self { local, shared });
        }
        Err(SignerError::OtherDomain { path: "the local signing store".into(), found, wanted })
    }

    /// One answer of the two.
    async fn agree(
        &self,
        local: Result<Safe, SignerError>,
        shared: Result<Safe, SignerError>,
    ) -> Result<Safe, SignerError> {
        match (local, shared) {
            (Ok(local), Ok(shared)) => self.both_safe(local, shared).await,
            // A refusal is final, and tells more than a fault of the other.
            (Err(refusal @ SignerError::NotSafe(_)), given) => self.refuse(refusal, &*self.shared, given).await,
            (given, Err(refusal @ SignerError::NotSafe(_))) => self.refuse(refusal, &*self.local, given).await,
            // What either has pinned waits for the same payload.
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        }
    }

    /// What one store refuses for good shall not stay pinned in the other, where nobody else was given leave.
    async fn refuse(
        &self,
        refusal: SignerError,
        other: &dyn Protection,
        given: Result<Safe, SignerError>,
    ) -> Result<Safe, SignerError> {
        if let Ok(Safe::Granted(reservation)) = given
            && let Err(failure) = other.cancel(reservation).await
        {
            debug!(%failure, "a duty that is refused stays pinned in the other store");
        }
        Err(refusal)
    }

    /// A payload that this node has not pinned may be another node's, which the shared store tells. One that it has pinned
    /// is its own, also where the shared store was set back and has lost it.
    async fn observe_now(&self, seen: Halt) -> Result<Sighting, SignerError> {
        match self.local.recognise(seen.duty, seen.digest).await? {
            Sighting::Ours => return Ok(Sighting::Ours),
            Sighting::Unknowable | Sighting::Elsewhere => {}
        }
        let sighting = self.shared.observe(seen).await?;
        match sighting {
            // Here too, so that the halt outlives a shared store that is set back.
            Sighting::Elsewhere => self.local.observe(seen).await.map(|_| sighting),
            Sighting::Ours | Sighting::Unknowable => Ok(sighting),
        }
    }

    /// The shared store decides, since it knows what the other nodes have pinned; what this node alone knows is asked
    /// before, so that a refusal changes neither.
    async fn hand_over_now(&self, validator: Address, from: Slot) -> Result<(), SignerError> {
        for kind in DutyKind::MARKED {
            let pinned = self.local.marks(validator, kind).await?.max_signed;
            if let Some(pinned) = pinned.filter(|pinned| *pinned >= from) {
                return Err(SignerError::HandOverTooEarly { validator, from, pinned });
            }
        }
        self.shared.hand_over(validator, from).await?;
        self.local.hand_over(validator, from).await
    }

    /// The shared permit counts, since it carries the fence; a signature that either store has is given out, and kept by
    /// the other too.
    async fn both_safe(&self, local: Safe, shared: Safe) -> Result<Safe, SignerError> {
        match (local, shared) {
            (Safe::Done(signature), Safe::Done(_)) => Ok(Safe::Done(signature)),
            (Safe::Done(signature), Safe::Granted(reservation)) => {
                keep(&*self.shared, reservation.into_permit(), signature).await
            }
            (Safe::Done(signature), Safe::Resume(permit)) => keep(&*self.shared, permit, signature).await,
            (Safe::Granted(reservation), Safe::Done(signature)) => {
                keep(&*self.local, reservation.into_permit(), signature).await
            }
            (Safe::Resume(permit), Safe::Done(signature)) => keep(&*self.local, permit, signature).await,
            (Safe::Granted(local), Safe::Granted(shared)) => Ok(Safe::Granted(shared.with_twin(&local))),
            (Safe::Resume(_), Safe::Granted(reservation)) => Ok(Safe::Resume(reservation.into_permit())),
            (Safe::Granted(_) | Safe::Resume(_), Safe::Resume(permit)) => Ok(Safe::Resume(permit)),
        }
    }
}

/// What both have done; the first failure, if either failed.
async fn in_both(
    local: BoxFuture<'_, Result<(), SignerError>>,
    shared: BoxFuture<'_, Result<(), SignerError>>,
) -> Result<(), SignerError> {
    let (local, shared) = join(local, shared).await;
    local.and(shared)
}

async fn keep(store: &dyn Protection, permit: SigningPermit, signature: Signature) -> Result<Safe, SignerError> {
    store.record_signature(permit, signature).await?;
    Ok(Safe::Done(signature))
}

impl Protection for Both {
    fn domain(&self) -> Domain {
        self.local.domain()
    }

    fn reserve_many<'a>(
        &'a self,
        duties: &'a [(Duty, B256)],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Vec<Result<Safe, SignerError>>> {
        Box::pin(async move {
            let asked = join(self.local.reserve_many(duties, by), self.shared.reserve_many(duties, by));
            let (local, shared) = asked.await;
            join_all(local.into_iter().zip(shared).map(|(local, shared)| self.agree(local, shared))).await
        })
    }

    fn reserve_after_peer(
        &self,
        duty: Duty,
        digest: B256,
        by: Option<UnixTime>,
    ) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(async move {
            let wanted = [(duty, digest)];
            let asked = join(self.local.reserve_many(&wanted, by), self.shared.reserve_after_peer(duty, digest, by));
            let (local, shared) = asked.await;
            self.agree(only(local), shared).await
        })
    }

    fn reserve_with_payload<'a>(
        &'a self,
        duty: Duty,
        digest: B256,
        payload: &'a [u8],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Result<Safe, SignerError>> {
        Box::pin(async move {
            let asked = join(
                self.local.reserve_with_payload(duty, digest, payload, by),
                self.shared.reserve_with_payload(duty, digest, payload, by),
            );
            let (local, shared) = asked.await;
            self.agree(local, shared).await
        })
    }

    /// A payload that another node has pinned is in the shared store alone.
    fn payload(&self, duty: Duty) -> BoxFuture<'_, Result<Option<Vec<u8>>, SignerError>> {
        Box::pin(async move {
            match self.shared.payload(duty).await? {
                Some(payload) => Ok(Some(payload)),
                None => self.local.payload(duty).await,
            }
        })
    }

    /// Whatever this node has pinned is in its own store.
    fn own_payload(&self, duty: Duty) -> BoxFuture<'_, Result<Option<Vec<u8>>, SignerError>> {
        self.local.payload(duty)
    }

    fn cancel(&self, reservation: Reservation) -> BoxFuture<'_, Result<bool, SignerError>> {
        let (local, shared) = reservation.split();
        Box::pin(async move {
            // The shared one first: while it stands, no other node signs another payload.
            let is_free = self.shared.cancel(shared).await?;
            match local {
                Some(local) if is_free => self.local.cancel(local).await,
                Some(_) | None => Ok(false),
            }
        })
    }

    fn observe(&self, seen: Halt) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        Box::pin(self.observe_now(seen))
    }

    fn recognise(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        Box::pin(async move {
            match self.local.recognise(duty, digest).await? {
                Sighting::Ours => Ok(Sighting::Ours),
                Sighting::Unknowable | Sighting::Elsewhere => self.shared.recognise(duty, digest).await,
            }
        })
    }

    fn change_key(&self, validator: Address, change: KeyChange) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(in_both(self.local.change_key(validator, change), self.shared.change_key(validator, change)))
    }

    fn listen_only_until(&self, slot: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(in_both(self.local.listen_only_until(slot), self.shared.listen_only_until(slot)))
    }

    /// The shared one first: it may be away, and then the local one still owes it when both are opened next.
    fn listen_when_new(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Slot>, SignerError>> {
        Box::pin(async move {
            let shared = self.shared.listen_when_new(slot).await?;
            Ok(shared.max(self.local.listen_when_new(slot).await?))
        })
    }

    fn hand_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(self.hand_over_now(validator, from))
    }

    fn take_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(in_both(self.local.take_over(validator, from), self.shared.take_over(validator, from)))
    }

    fn add_marks(&self, validator: Address, marks: Vec<(DutyKind, Marks)>) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(in_both(self.local.add_marks(validator, marks.clone()), self.shared.add_marks(validator, marks)))
    }

    /// What refuses in either store counts.
    fn marks(&self, validator: Address, kind: DutyKind) -> BoxFuture<'_, Result<Marks, SignerError>> {
        Box::pin(async move {
            let (local, shared) = join(self.local.marks(validator, kind), self.shared.marks(validator, kind)).await;
            Ok(local?.merge(shared?))
        })
    }

    /// What either store says against a key counts.
    fn key_states(&self) -> BTreeMap<Address, KeyState> {
        let mut states = self.shared.key_states();
        for (validator, local) in self.local.key_states() {
            let state = states.entry(validator).or_default();
            *state = KeyState { retired: state.retired || local.retired, halt: state.halt.or(local.halt) };
        }
        states
    }

    fn listens_until(&self) -> Option<Slot> {
        self.local.listens_until().max(self.shared.listens_until())
    }

    fn record_signature(&self, permit: SigningPermit, signature: Signature) -> BoxFuture<'_, Result<(), SignerError>> {
        let local = SigningPermit::after_commit(permit.duty(), permit.digest());
        Box::pin(async move {
            in_both(self.local.record_signature(local, signature), self.shared.record_signature(permit, signature))
                .await
        })
    }

    fn prune(&self, finalized: Slot) -> BoxFuture<'_, Result<u64, SignerError>> {
        Box::pin(async move {
            let (local, shared) = join(self.local.prune(finalized), self.shared.prune(finalized)).await;
            Ok(local? + shared?)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            join(self.local.close(), self.shared.close()).await;
        })
    }
}
