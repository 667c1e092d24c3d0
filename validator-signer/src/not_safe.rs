//! Why a payload is not signed.

use alloy::primitives::B256;
use fermata_primitives::Slot;

use crate::Duty;

/// Why signing is not safe. Each is final for the payload it refuses, but where it names what an operator can do.
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
    /// The slot lies at or below the low mark: it is not known any more what was signed there.
    #[error("refusing {duty}: what was signed up to slot {low} is not known any more; skip this duty")]
    BelowLow {
        /// The duty.
        duty: Duty,
        /// Highest slot that is refused.
        low: Slot,
    },
    /// The slot lies at or above the high mark: another node signs there.
    #[error("refusing {duty}: the key is handed over to another node from slot {high} on; let that one sign it")]
    AtOrAboveHigh {
        /// The duty.
        duty: Duty,
        /// First slot that is refused.
        high: Slot,
    },
    /// The kind is signed in strict mode, and something as late was pinned before.
    #[error("refusing {duty}: slot {max_signed} was pinned before, and this kind only goes forward; skip this duty")]
    NotAboveMaxSigned {
        /// The duty.
        duty: Duty,
        /// Highest slot that was pinned.
        max_signed: Slot,
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
    /// The key was retired here.
    #[error("refusing {duty}: the key is retired; enable it if no other node signs with it")]
    Retired {
        /// The duty.
        duty: Duty,
    },
    /// The key signed elsewhere what it never signed here.
    #[error("refusing {duty}: another node signs with this key (seen: {seen}); stop that one, then lift the halt")]
    Halted {
        /// The duty.
        duty: Duty,
        /// The duty that the key was seen to sign elsewhere.
        seen: Duty,
    },
    /// The store only listens yet, for a second node that signs with its keys.
    #[error("refusing {duty}: the store only listens until slot {until}; skip this duty")]
    ListenOnly {
        /// The duty.
        duty: Duty,
        /// First slot that is signed.
        until: Slot,
    },
}
