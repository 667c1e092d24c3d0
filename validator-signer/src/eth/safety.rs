//! The store's answers for Ethereum duties: leave to sign, or a refusal.

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};

use super::rules::EthVerdict;
use super::{EthAttestation, EthDuty, EthPublicKey};

/// Signing is safe.
#[derive(Debug)]
#[must_use = "a permit that is not used leaves the duty spent"]
pub enum EthSafe {
    /// The duty is on record now, durably.
    New(EthPermit),
    /// The same data was on record before. A BLS key signs it to the same bytes again.
    SameData(EthPermit),
}

impl EthSafe {
    pub(super) const fn after_commit(
        verdict: EthVerdict,
        (public_key, duty, root): (EthPublicKey, EthDuty, B256),
    ) -> Self {
        let permit = EthPermit { public_key, duty, root };
        match verdict {
            EthVerdict::Record => Self::New(permit),
            EthVerdict::SameData => Self::SameData(permit),
        }
    }

    /// Leave to sign, whichever way it came.
    pub fn into_permit(self) -> EthPermit {
        match self {
            Self::New(permit) | Self::SameData(permit) => permit,
        }
    }
}

/// Leave to sign one signing root for one duty. Made by the store alone, after the record is durable.
#[derive(Debug)]
#[must_use = "a permit that is not used leaves the duty spent"]
pub struct EthPermit {
    public_key: EthPublicKey,
    duty: EthDuty,
    root: B256,
}

impl EthPermit {
    /// The key that may sign.
    #[must_use]
    pub const fn public_key(&self) -> EthPublicKey {
        self.public_key
    }

    /// The duty on record.
    #[must_use]
    pub const fn duty(&self) -> EthDuty {
        self.duty
    }

    /// The signing root that may be signed, and no other.
    #[must_use]
    pub const fn root(&self) -> B256 {
        self.root
    }
}

/// Why signing is not safe. Final for the data it refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("refusing {duty} by {public_key}: {reason}; skip this duty")]
pub struct EthNotSafe {
    /// The key.
    pub public_key: EthPublicKey,
    /// The duty.
    pub duty: EthDuty,
    /// Which rule refuses it.
    pub reason: EthReason,
}

/// The rule that refuses an Ethereum duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EthReason {
    /// A block of the slot is on record, with another root or an unknown one.
    #[error("a block of the slot is on record with root {on_record}")]
    AnotherBlock {
        /// Root on record; zero when it is not known.
        on_record: B256,
    },
    /// An attestation to the target is on record, and it is not this one for certain.
    #[error("an {on_record} is on record for the same target, with root {root}")]
    AnotherVote {
        /// The attestation on record.
        on_record: EthAttestation,
        /// Its root; zero when it is not known.
        root: B256,
    },
    /// It would surround one on record.
    #[error("it surrounds the {0} on record")]
    Surrounds(EthAttestation),
    /// It would be surrounded by one on record.
    #[error("it is surrounded by the {0} on record")]
    SurroundedBy(EthAttestation),
    /// No attestation has its source after its target.
    #[error("its source lies after its target")]
    SourceAboveTarget,
    /// It is no longer known what was signed below the mark.
    #[error("slots below {lowest} are spent")]
    SlotBelowLow {
        /// Lowest slot that may be signed.
        lowest: Slot,
    },
    /// It is no longer known what was signed with sources below the mark.
    #[error("sources below epoch {lowest} are spent")]
    SourceBelowLow {
        /// Lowest source that may be signed.
        lowest: Epoch,
    },
    /// It is no longer known what was signed for targets below the mark.
    #[error("targets below epoch {lowest} are spent")]
    TargetBelowLow {
        /// Lowest target that may be signed.
        lowest: Epoch,
    },
    /// The duty lies further ahead than the store allows.
    #[error("it is slot {current} now")]
    TooFarAhead {
        /// Ethereum's slot by the store's clock.
        current: Slot,
    },
    /// The last number there is cannot be told from those above it.
    #[error("no slot or epoch has this number")]
    OutOfRange,
    /// The key was handed over to another store.
    #[error("the key was retired from this store")]
    Retired,
}
