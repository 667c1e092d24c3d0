//! Two stores that must agree: one of this node alone, and one that it shares with others.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::{Slot, UnixTime};
use futures::future::{BoxFuture, join, join_all};
use tracing::debug;

use crate::{
    Domain, Duty, Halt, KeyChange, KeyState, Protection, Reservation, Safe, Sighting, SignerError, SigningPermit,
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

    fn reserve_after_peer(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(async move {
            let asked = join(self.local.reserve(duty, digest), self.shared.reserve_after_peer(duty, digest));
            let (local, shared) = asked.await;
            self.agree(local, shared).await
        })
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

    /// A payload that this node has not pinned may be another node's, which the shared store tells.
    fn observe(&self, seen: Halt) -> BoxFuture<'_, Result<Sighting, SignerError>> {
        self.shared.observe(seen)
    }

    fn change_key(&self, validator: Address, change: KeyChange) -> BoxFuture<'_, Result<(), SignerError>> {
        Box::pin(async move {
            let (local, shared) =
                join(self.local.change_key(validator, change), self.shared.change_key(validator, change)).await;
            local.and(shared)
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

    fn record_signature(&self, permit: SigningPermit, signature: Signature) -> BoxFuture<'_, Result<(), SignerError>> {
        let local = SigningPermit::after_commit(permit.duty(), permit.digest());
        Box::pin(async move {
            let (local, shared) =
                join(self.local.record_signature(local, signature), self.shared.record_signature(permit, signature))
                    .await;
            local.and(shared)
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
