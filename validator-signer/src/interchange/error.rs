//! Why a file is not imported. None of them changes the store.

use alloy::primitives::B256;

use crate::{Domain, Duty, EthAttestation, EthPublicKey};

/// Why an interchange file is refused, whole: a part of it alone could leave a duty unprotected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InterchangeError {
    /// Not an interchange file.
    #[error("not an interchange file ({what}); export it anew from the store it came from")]
    Malformed {
        /// What is wrong, and where.
        what: String,
    },
    /// Written in another version of the format.
    #[error("{member} has version {found}, this program reads {known}; have it exported in that version")]
    WrongVersion {
        /// The member that says so.
        member: &'static str,
        /// Version in the file.
        found: String,
        /// Version that is read.
        known: &'static str,
    },
    /// What a rollup's keys signed is not what was written.
    #[error("rollup_interchange does not fit its sha256: it was changed or cut; export it anew")]
    ChecksumMismatch,
    /// For keys of another Ethereum chain.
    #[error(
        "the file is for the chain with genesis validators root {found}, the store for {wanted}; use the store of that chain"
    )]
    OtherGenesis {
        /// Root in the file.
        found: B256,
        /// Root of the store, or the one that was given.
        wanted: B256,
    },
    /// Nobody has told the store which Ethereum chain its keys sign for.
    #[error(
        "the store knows no Ethereum chain yet and the file is for genesis validators root {found}; if that is the right \
         chain, give this root with the import"
    )]
    UnknownGenesis {
        /// Root in the file.
        found: B256,
    },
    /// A file cannot say for which chain its keys signed.
    #[error("nobody has told the store for which chain its Ethereum keys sign; bind it to that chain, then export")]
    NoGenesis,
    /// For keys of another rollup.
    #[error("the file has duties for {found}, the store is for {wanted}; import them into the store of that rollup")]
    OtherScope {
        /// Rollup in the file.
        found: Domain,
        /// Rollup of the store.
        wanted: Domain,
    },
    /// A signature that is not the key's would be handed out for a repeat.
    #[error("the signature of {duty} is not its key's; export the file anew from the store it came from")]
    FalseSignature {
        /// The duty.
        duty: Duty,
    },
    /// No client signs such an attestation, and the rules say nothing of what conflicts with it.
    #[error("{public_key} has an {attestation}, whose source lies after its target; import the file minified")]
    SourceAboveTarget {
        /// The key.
        public_key: EthPublicKey,
        /// The attestation.
        attestation: EthAttestation,
    },
}
