//! Keys that never sign twice: duties recorded durably before they are signed.
//!
//! ```text
//! Duty, digest -> Protection::reserve -> Reservation -> SigningPermit -> Keystore::sign -> Signature, kept
//! ```
//! [`ValidatorSigner`] walks that path. A [`Reservation`] can be made by the store alone, once the record is on disk; it
//! becomes a [`SigningPermit`] by move, and a [`Keystore`] signs nothing without one. The keys may lie in files of this
//! machine or with a remote signer; a [`KeyRing`] holds those of several origins, and reads them anew while signing goes on.

mod both;
mod duty;
mod error;
mod eth;
mod gate;
mod in_key;
mod interchange;
mod key_origin;
mod key_ring;
mod key_state;
mod keystore;
mod marks;
mod mnemonic;
mod next_step;
mod not_safe;
mod password;
mod permit;
#[cfg(feature = "postgres")]
mod postgres;
mod protection;
mod remote;
mod rules;
mod signer;
mod store;
mod v3_file;
mod vectors;

pub use both::Both;
pub use duty::{DigestForm, Domain, Duty, DutyKind};
pub use error::SignerError;
pub use eth::{
    EthAttestation, EthBlock, EthDuty, EthLast, EthLastError, EthMarks, EthNotSafe, EthOptions, EthPermit, EthPolicy,
    EthProtection, EthPublicKey, EthReason, EthSafe,
};
pub use interchange::{
    Decimal, DutyEntry, EthEntry, ExportKeys, ExportOptions, Extent, Hex, ImportConflict, ImportOptions, ImportReport,
    Interchange, InterchangeError, KindName, MarksEntry, Metadata, RollupInterchange, Scope, SignedAttestation,
    SignedBlock, SignerEntry, State,
};
pub use key_origin::KeyOrigin;
pub use key_ring::{KeyChanges, KeyRing, ListedKey};
pub use key_state::{Halt, KeyChange, KeyState, Sighting};
pub use keystore::{Keystore, LocalKeys};
pub use marks::Marks;
pub use mnemonic::DevMnemonic;
pub use next_step::NextStep;
pub use not_safe::NotSafe;
pub use password::Password;
pub use permit::{Reservation, Safe, SigningPermit};
#[cfg(feature = "postgres")]
pub use postgres::{DatabaseUrl, PostgresOptions, PostgresProtection};
pub use protection::Protection;
pub use remote::{ClientCertificate, RemoteError, RemoteKeys, RemoteSettings, RemoteUrl};
pub use signer::ValidatorSigner;
pub use store::{
    EthSurvey, FarFutureGuard, Holder, KindSurvey, MarksSurvey, PAYLOAD_LIMIT, Scan, Sentinel, SlashingProtection,
    StoreOptions, StoreSurvey, answer_scan,
};
pub use v3_file::{CreatedKey, create_keystore, import_keystore, import_private_key};
#[cfg(feature = "postgres")]
pub use vectors::PostgresBackend;
pub use vectors::{
    Course, LmdbBackend, Passage, Treatment, VectorBackend, VectorFile, VectorOutcome, VectorStore, run_vectors,
};
