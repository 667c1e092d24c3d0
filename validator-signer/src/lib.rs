//! Keys that never sign twice: duties recorded durably before they are signed.
//!
//! ```text
//! Duty, digest -> SlashingProtection::reserve -> SigningPermit -> Keystore::sign -> Signature, kept for a repeat
//! ```
//! [`ValidatorSigner`] walks that path. A [`SigningPermit`] can be made by the store alone, once the record is on disk,
//! and a [`Keystore`] signs nothing without one.

mod duty;
mod error;
mod gate;
mod keystore;
mod signer;
mod store;
mod v3_file;

pub use duty::{Domain, Duty, DutyKind};
pub use error::{NextStep, SignerError};
pub use keystore::{DevMnemonic, Keystore, LocalKeys};
pub use signer::ValidatorSigner;
pub use store::{FarFutureGuard, NotSafe, Safe, SigningPermit, SlashingProtection, StoreOptions};
pub use v3_file::{CreatedKey, Password, create_keystore};
