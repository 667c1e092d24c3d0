//! Keys that never sign twice: duties recorded durably before they are signed.
//!
//! ```text
//! Duty, digest -> Protection::reserve -> Reservation -> SigningPermit -> Keystore::sign -> Signature, kept
//! ```
//! [`ValidatorSigner`] walks that path. A [`Reservation`] can be made by the store alone, once the record is on disk; it
//! becomes a [`SigningPermit`] by move, and a [`Keystore`] signs nothing without one.

mod duty;
mod error;
mod eth;
mod gate;
mod in_key;
mod interchange;
mod key_state;
mod keystore;
mod marks;
mod not_safe;
mod permit;
mod protection;
mod rules;
mod signer;
mod store;
mod v3_file;
mod vectors;

pub use duty::{Domain, Duty, DutyKind};
pub use error::{NextStep, SignerError};
pub use eth::{EthAttestation, EthBlock, EthDuty, EthNotSafe, EthPermit, EthPolicy, EthPublicKey, EthReason, EthSafe};
pub use interchange::{
    Decimal, DutyEntry, EthEntry, ExportKeys, ExportOptions, Extent, Hex, ImportConflict, ImportOptions, ImportReport,
    Interchange, InterchangeError, KindName, MarksEntry, Metadata, RollupInterchange, Scope, SignedAttestation,
    SignedBlock, SignerEntry, State,
};
pub use key_state::{Halt, KeyChange, KeyState, Sighting};
pub use keystore::{DevMnemonic, Keystore, LocalKeys};
pub use marks::Marks;
pub use not_safe::NotSafe;
pub use permit::{Reservation, Safe, SigningPermit};
pub use protection::Protection;
pub use signer::ValidatorSigner;
pub use store::{
    EthOptions, EthSurvey, FarFutureGuard, Holder, KindSurvey, MarksSurvey, PAYLOAD_LIMIT, Scan, Sentinel,
    SlashingProtection, StoreOptions, StoreSurvey, answer_scan,
};
pub use v3_file::{CreatedKey, Password, create_keystore};
pub use vectors::{
    Course, LmdbBackend, Passage, Treatment, VectorBackend, VectorFile, VectorOutcome, VectorStore, run_vectors,
};
