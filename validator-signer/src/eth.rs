//! Duties of Ethereum's own validators: blocks and attestations, with the rules of EIP-3076.
//!
//! Their rules differ from a rollup's: an attestation also conflicts with those that it surrounds or that surround it.

mod asked;
mod duty;
pub(crate) mod history;
pub(crate) mod judging;
mod marks;
mod protection;
pub(crate) mod restored;
pub(crate) mod rules;
mod safety;

pub(crate) use asked::EthAsked;
pub use asked::EthOptions;
pub use duty::{EthAttestation, EthBlock, EthDuty, EthPublicKey};
pub use marks::EthMarks;
pub use protection::EthProtection;
pub use restored::{EthLast, EthLastError};
pub use safety::{EthNotSafe, EthPermit, EthReason, EthSafe};

/// How much of what an Ethereum key signed is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum EthPolicy {
    /// Every record since the last prune: a repeat of the same data is allowed, and so is whatever conflicts with nothing.
    #[default]
    FullHistory,
    /// The highest slot, source and target alone: whatever does not exceed them is refused, a repeat too.
    Watermark,
}
