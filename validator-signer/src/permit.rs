//! Leave to sign: made by a store alone, once the duty is durable on record.

use alloy::primitives::{B256, Signature};
use alloy::signers::k256::elliptic_curve::rand_core::{OsRng, RngCore as _};

use crate::Duty;

/// Signing is safe.
#[derive(Debug)]
#[must_use = "a reservation that is not used leaves the duty pinned to its payload"]
pub enum Safe {
    /// The duty was not on record. It is now, durably, with this digest, and no key has been asked.
    Granted(Reservation),
    /// The duty was on record with this digest and no signature: a crash or a failing key came between. The key may have
    /// signed it; the same payload may always be signed.
    Resume(SigningPermit),
    /// This payload was signed before; here is its signature.
    Done(Signature),
}

/// Which `reserve` made a pin. A store tells by it whether a reservation is still the only one for its duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Attempt(pub(crate) u128);

impl Attempt {
    /// One that nobody else makes.
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 16];
        OsRng.fill_bytes(&mut bytes);
        Self(u128::from_be_bytes(bytes))
    }
}

/// A duty that this very call has put on record, and whose key was not asked yet.
///
/// It becomes a [`SigningPermit`] by move, and then there is no way back; until then it can be cancelled. Dropping it
/// undoes nothing: the duty stays pinned to the payload, and the same payload gets a permit again.
#[derive(Debug)]
#[must_use = "a reservation that is not used leaves the duty pinned to its payload"]
pub struct Reservation {
    permit: SigningPermit,
    attempt: Attempt,
    /// Which `reserve` made the pin in a second store, where two must agree.
    twin: Option<Attempt>,
}

impl Reservation {
    /// The pin's fence in a store that several nodes share.
    #[cfg(feature = "postgres")]
    pub(crate) const fn under_fence(mut self, fence: i64) -> Self {
        self.permit.fence = fence;
        self
    }

    /// For stores, once the pin is durable.
    pub(crate) const fn after_commit(duty: Duty, digest: B256, attempt: Attempt) -> Self {
        Self { permit: SigningPermit::after_commit(duty, digest), attempt, twin: None }
    }

    /// The duty on record.
    #[must_use]
    pub const fn duty(&self) -> Duty {
        self.permit.duty
    }

    /// The digest on record.
    #[must_use]
    pub const fn digest(&self) -> B256 {
        self.permit.digest
    }

    /// Which `reserve` made the pin.
    pub(crate) const fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The reservation of two stores that both pinned the duty.
    pub(crate) const fn with_twin(self, twin: &Self) -> Self {
        Self { twin: Some(twin.attempt), ..self }
    }

    /// The second store's reservation, and this one without it.
    pub(crate) const fn split(self) -> (Option<Self>, Self) {
        let twin = match self.twin {
            Some(twin) => Some(Self::after_commit(self.permit.duty, self.permit.digest, twin)),
            None => None,
        };
        (twin, Self { twin: None, ..self })
    }

    /// Leave to ask the key. From here on the duty is pinned for ever.
    pub const fn into_permit(self) -> SigningPermit {
        self.permit
    }
}

/// Leave to sign one payload for one duty: all that a key ever gets. Made by a store alone, after the record is durable,
/// and consumed by the signer: without a record no signature, by type.
///
/// Dropping it undoes nothing. The duty stays pinned to the payload, and the same payload gets a new permit.
#[derive(Debug)]
#[must_use = "a permit that is not used leaves the duty pinned to its payload"]
pub struct SigningPermit {
    duty: Duty,
    digest: B256,
    /// Counts the owners that the pin has had; 0 in a store that is not shared.
    #[cfg(feature = "postgres")]
    fence: i64,
}

impl SigningPermit {
    /// For stores, once the pin is durable.
    pub(crate) const fn after_commit(duty: Duty, digest: B256) -> Self {
        Self {
            duty,
            digest,
            #[cfg(feature = "postgres")]
            fence: 0,
        }
    }

    /// The pin's fence in a store that several nodes share.
    #[cfg(feature = "postgres")]
    pub(crate) const fn under_fence(self, fence: i64) -> Self {
        Self { fence, ..self }
    }

    #[cfg(feature = "postgres")]
    pub(crate) const fn fence(&self) -> i64 {
        self.fence
    }

    /// The duty on record.
    #[must_use]
    pub const fn duty(&self) -> Duty {
        self.duty
    }

    /// The digest on record.
    #[must_use]
    pub const fn digest(&self) -> B256 {
        self.digest
    }

    /// The 32 bytes the key signs; see [`DutyKind::signed_hash`](crate::DutyKind::signed_hash).
    #[must_use]
    pub fn signed_hash(&self) -> B256 {
        self.duty.kind.signed_hash(self.digest)
    }
}
