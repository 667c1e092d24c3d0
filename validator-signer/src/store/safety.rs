//! The store's answers: leave to sign, the signature of before, or a refusal.

use alloy::primitives::{B256, Signature};
use fermata_primitives::Slot;

use crate::Duty;

/// Signing is safe.
#[derive(Debug)]
#[must_use = "a permit that is not used leaves the duty pinned to its payload"]
pub enum Safe {
    /// The duty is on record, durably, with this digest and no signature yet. Also the answer to a repeat after a
    /// crash between record and signature: the same payload may always be signed.
    New(SigningPermit),
    /// This payload was signed before; here is its signature.
    SameData(Signature),
}

/// Why signing is not safe. Each is final for the payload it refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotSafe {
    /// The duty is on record with another payload.
    #[error("refusing to sign twice: {duty} is on record with digest {on_record}, asked for {asked}; skip this duty")]
    Conflict {
        /// The duty.
        duty: Duty,
        /// Digest on record; zero when it is not known.
        on_record: B256,
        /// Digest that was refused.
        asked: B256,
    },
    /// The slot lies at or below what was pruned: it is no longer known what was signed there.
    #[error("refusing {duty}: records up to slot {watermark} are pruned; skip this duty")]
    BelowWatermark {
        /// The duty.
        duty: Duty,
        /// Highest slot that is refused.
        watermark: Slot,
    },
    /// The slot's checkpoint proposal is on record, so its blocks are settled.
    #[error("refusing {duty}: the slot's checkpoint proposal is on record already; skip this duty")]
    Sealed {
        /// The duty.
        duty: Duty,
    },
    /// The slot is further ahead than the store allows.
    #[error("refusing {duty}: it is slot {current} now; check the clock and the caller")]
    TooFarAhead {
        /// The duty.
        duty: Duty,
        /// The slot by the store's clock.
        current: Slot,
    },
    /// A digest of zeros stands for "unknown" on record and is no payload.
    #[error("refusing {duty}: the digest is zero; give the payload's digest")]
    ZeroDigest {
        /// The duty.
        duty: Duty,
    },
}

/// Leave to sign one payload for one duty. Made by the store alone, after the record is durable, and consumed by the
/// signer: without a record no signature, by type.
///
/// Dropping it undoes nothing. The duty stays pinned to the payload, and the same payload gets a new permit.
#[derive(Debug)]
#[must_use = "a permit that is not used leaves the duty pinned to its payload"]
pub struct SigningPermit {
    duty: Duty,
    digest: B256,
}

impl SigningPermit {
    pub(super) const fn after_commit(duty: Duty, digest: B256) -> Self {
        Self { duty, digest }
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
