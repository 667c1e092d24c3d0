//! Keys that never sign twice: duties recorded durably before they are signed.
//!
//! ```text
//! Duty, digest -> Protection::reserve -> Reservation -> SigningPermit -> Keystore::sign -> Signature, kept
//! ```
//! [`ValidatorSigner`] walks that path. A [`Reservation`] can be made by the store alone, once the record is on disk; it
//! becomes a [`SigningPermit`] by move, and a [`Keystore`] signs nothing without one.

mod both;
mod duty;
mod error;
mod gate;
mod in_key;
mod key_state;
mod keystore;
mod marks;
mod not_safe;
mod permit;
#[cfg(feature = "postgres")]
mod postgres;
mod protection;
mod rules;
mod signer;
mod store;
mod v3_file;

pub use both::Both;
pub use duty::{Domain, Duty, DutyKind};
pub use error::{NextStep, SignerError};
pub use key_state::{Halt, KeyChange, KeyState, Sighting};
pub use keystore::{DevMnemonic, Keystore, LocalKeys};
pub use marks::Marks;
pub use not_safe::NotSafe;
pub use permit::{Reservation, Safe, SigningPermit};
#[cfg(feature = "postgres")]
pub use postgres::{DatabaseUrl, PostgresOptions, PostgresProtection};
pub use protection::Protection;
pub use signer::ValidatorSigner;
pub use store::{
    FarFutureGuard, KindSurvey, MarksSurvey, PAYLOAD_LIMIT, SlashingProtection, StoreOptions, StoreSurvey,
};
pub use v3_file::{CreatedKey, Password, create_keystore};
