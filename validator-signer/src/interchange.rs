//! The way out of a store and into another one: slashing-protection interchange files.
//!
//! `metadata` and `data` are EIP-3076, version 5, as Ethereum's validator clients read and write them. What a rollup's
//! keys signed lies beside them in a top-level member of its own, which those clients pass over.

mod contents;
mod error;
mod ethereum;
mod merge;
mod rollup;
mod text;
mod told;

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

pub(crate) use contents::Contents;
pub use error::InterchangeError;
pub use ethereum::{EthEntry, Metadata, SignedAttestation, SignedBlock};
pub(crate) use merge::{Merged, OnRecord, Rewritten};
pub use rollup::{DutyEntry, KindName, MarksEntry, RollupInterchange, Scope, SignerEntry, State};
pub use text::{Decimal, Hex};
pub(crate) use told::{Found, Origin};

use crate::{Duty, EthDuty, EthPublicKey};

/// Version of EIP-3076 that is read and written.
const FORMAT_VERSION: &str = "5";

/// An interchange file. Made by [`parse`](Self::parse) or by a store's export.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interchange {
    /// Version and chain of `data`.
    pub metadata: Metadata,
    /// What Ethereum's keys signed.
    pub data: Vec<EthEntry>,
    /// What a rollup's keys signed; other clients neither write nor read it.
    #[serde(default, with = "text::required", skip_serializing_if = "Option::is_none")]
    pub rollup_interchange: Option<RollupInterchange>,
}

impl Interchange {
    /// Reads a file. Strict where a mistake could lose a record: unknown members inside `metadata`, `data` and
    /// `rollup_interchange`, numbers that are no strings, and hexadecimal of another length are refused. Other top-level
    /// members are passed over.
    ///
    /// # Errors
    /// [`InterchangeError::Malformed`] tells the line; [`InterchangeError::WrongVersion`],
    /// [`InterchangeError::ChecksumMismatch`].
    pub fn parse(text: &[u8]) -> Result<Self, InterchangeError> {
        /// Read before all else: another version may have other members.
        #[derive(Deserialize)]
        struct Versioned {
            metadata: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            interchange_format_version: String,
        }
        let malformed = |error: serde_json::Error| InterchangeError::Malformed { what: error.to_string() };
        let Versioned { metadata: Version { interchange_format_version: found } } =
            serde_json::from_slice(text).map_err(malformed)?;
        if found != FORMAT_VERSION {
            return Err(InterchangeError::WrongVersion { member: "metadata", found, known: FORMAT_VERSION });
        }
        let file: Self = serde_json::from_slice(text).map_err(malformed)?;
        if let Some(rollup) = &file.rollup_interchange {
            rollup.check()?;
        }
        Ok(file)
    }

    /// The file's text, with a newline at its end.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("the members are strings, lists and flags");
        text.push('\n');
        text
    }
}

/// How much of a history is carried over.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Extent {
    /// Every record.
    #[default]
    Full,
    /// Marks alone, above all that was signed: small, and nothing that was signed before can be repeated.
    Minified,
}

/// How a file is imported.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ImportOptions {
    /// How much of it.
    pub extent: Extent,
    /// Root of the chain that the store's Ethereum keys sign for. Needed once for a store that does not know it yet.
    pub genesis_validators_root: Option<B256>,
}

/// What an import did. The store refuses now whatever it or the file refused.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct ImportReport {
    /// Ethereum keys in the file.
    pub public_keys: usize,
    /// Rollup keys in the file.
    pub signers: usize,
    /// Records that were not in the store before.
    pub added: usize,
    /// Duties of which store and file know different payloads. Each is kept, and refused for every payload.
    pub conflicts: Vec<ImportConflict>,
    /// Rollup keys that the store which wrote the file does not sign with any more: this one may.
    pub handed_over: Vec<Address>,
    /// Rollup keys that the store which wrote the file still signed with: stop it before this one signs.
    pub still_active: Vec<Address>,
}

/// A duty of which store and file know different payloads: one of them signed what the other had signed already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportConflict {
    /// Of a rollup's key.
    Rollup {
        /// The duty.
        duty: Duty,
        /// Digest in the store.
        ours: B256,
        /// Digest in the file.
        theirs: B256,
    },
    /// Of an Ethereum key.
    Ethereum {
        /// The key.
        public_key: EthPublicKey,
        /// The duty.
        duty: EthDuty,
        /// Root in the store.
        ours: B256,
        /// Root in the file.
        theirs: B256,
    },
}

impl std::fmt::Display for ImportConflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rollup { duty, ours, theirs } => write!(f, "{duty}: {ours} in the store, {theirs} in the file"),
            Self::Ethereum { public_key, duty, ours, theirs } => {
                write!(f, "{duty} by {public_key}: {ours} in the store, {theirs} in the file")
            }
        }
    }
}

impl Serialize for ImportConflict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is exported.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ExportOptions {
    /// The keys to export, or all there are.
    pub keys: ExportKeys,
    /// How much of their history.
    pub extent: Extent,
}

/// The keys of an export.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum ExportKeys {
    /// Every key that the store knows anything of.
    #[default]
    All,
    /// These; one that the store knows nothing of is in the file, with nothing signed.
    Chosen {
        /// Rollup keys.
        signers: Vec<Address>,
        /// Ethereum keys.
        public_keys: Vec<EthPublicKey>,
    },
}
