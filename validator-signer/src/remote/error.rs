//! What can go wrong with a remote signer.

use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::{Address, B256};

use super::RemoteUrl;

/// Why a remote signer did not do what it was asked. Where it was asked to sign, the duty stays pinned to its payload, and
/// may be asked for again.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It cannot be reached, or the connection broke before it had answered; or one side does not trust the other's
    /// certificate.
    #[error("the remote signer {url} cannot be reached; check that it runs, the way to it and the certificates")]
    Unreachable {
        /// Where it is.
        url: RemoteUrl,
        /// What the connection said.
        #[source]
        source: reqwest::Error,
    },
    /// It did not answer in time; it may have signed.
    #[error("the remote signer {url} has not answered within {} ms; look at its load, or allow it more", after.as_millis())]
    TimedOut {
        /// Where it is.
        url: RemoteUrl,
        /// How long it had.
        after: Duration,
    },
    /// It answered, and refused.
    #[error("the remote signer {url} refused ({code}: {text}); look at its log and at the keys it is given")]
    Refused {
        /// Where it is.
        url: RemoteUrl,
        /// JSON-RPC error code, or HTTP status.
        code: i64,
        /// Its own words, at most 200 characters of them.
        text: String,
    },
    /// It answered what no signer answers.
    #[error("the remote signer {url} gave no answer of a signer ({what}); check that the URL is that of one")]
    Malformed {
        /// Where it is.
        url: RemoteUrl,
        /// What is wrong with it.
        what: String,
    },
    /// It does not hold a key it is expected to hold.
    #[error(
        "the remote signer {url} does not hold the key of {validator}; add it there, or take it from the list here"
    )]
    NotHeld {
        /// Where it is.
        url: RemoteUrl,
        /// The key.
        validator: Address,
    },
    /// It hashes the typed data of a vote itself, and was given the digest alone.
    #[error("the remote signer {url} signs no digest of a vote; give it the vote's typed data")]
    TypedDataNeeded {
        /// Where it is.
        url: RemoteUrl,
    },
    /// The typed data is not that of the permit; it was not sent.
    #[error("the typed data hashes to {found}, the permit is for {permitted}; give what was recorded")]
    OtherTypedData {
        /// The digest on record.
        permitted: B256,
        /// What the typed data hashes to; zero where it cannot be hashed.
        found: B256,
    },

    /// Not the URL of a remote signer. It is not repeated, since it may hold credentials.
    #[error("this is no URL of a remote signer ({what}); write it like https://signer.internal:9000")]
    BadUrl {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A certificate or key that cannot be used.
    #[error("{path} holds no {what} in PEM; check the file")]
    BadPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate or key that cannot be read.
    #[error("cannot read {path}; check that it exists and who may use it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What was read does not make a TLS client: a certificate and a key that do not belong together.
    #[error("no connection to {url} can be set up; check that the client certificate and its key belong together")]
    BadTls {
        /// Where it is.
        url: RemoteUrl,
        /// What the library said.
        #[source]
        source: reqwest::Error,
    },
}
