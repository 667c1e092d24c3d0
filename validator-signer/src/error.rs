//! What can go wrong, by what the caller does next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use fermata_primitives::{Slot, UnixTime};

use crate::{Domain, Duty, EthLastError, EthNotSafe, Holder, InterchangeError, NotSafe, RemoteError};

/// Why the crate did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Signing would break the rule "once"; nothing was signed. Final: skip the duty.
    #[error(transparent)]
    NotSafe(#[from] NotSafe),
    /// The same, for an Ethereum duty.
    #[error(transparent)]
    EthNotSafe(Box<EthNotSafe>),
    /// The interchange file was refused, whole.
    #[error(transparent)]
    Interchange(#[from] InterchangeError),

    /// The signer is not started, or was stopped before the key had answered: then the duty is pinned to its payload.
    #[error("the signer is stopped; start it and ask again")]
    Stopped,
    /// The signer or its store was closed.
    #[error("the signer is closed; open its store anew and make a new signer")]
    Closed,

    /// The key itself failed. The duty is pinned to its payload: ask again with the same one.
    #[error("the key of {validator} did not sign; ask again with the same payload")]
    KeyFailed {
        /// The key that was asked.
        validator: Address,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else had asked for the same payload, and its signing failed for both.
    #[error(transparent)]
    Joined(Arc<SignerError>),
    /// Another node holds the duty with the same payload, and has not signed it yet. Ask again with the same one.
    #[error("{duty} is held by node {owner} since {age:?}; ask again with the same payload")]
    Busy {
        /// The duty.
        duty: Duty,
        /// Name of the node that holds it.
        owner: String,
        /// For how long, by the database's clock.
        age: Duration,
    },
    /// The database server does not answer. Nothing was signed; ask again with the same payload.
    #[error(
        "the signing database {server} is not available ({reason}); {}",
        if *ambiguous { "the duty may be on record: ask again with the same payload" } else { "nothing was recorded: ask again" }
    )]
    Unavailable {
        /// Server, database and schema.
        server: String,
        /// Whether the duty may be on record all the same.
        ambiguous: bool,
        /// What happened.
        reason: String,
    },
    /// The store has no room; nothing was recorded and nothing signed. Ask again once there is room.
    #[error("no room left for the signing store {path}; free disk space or open it with a larger map, then ask again")]
    NoSpace {
        /// The store.
        path: PathBuf,
        /// What the disk or LMDB said.
        #[source]
        source: Arc<heed::Error>,
    },

    /// The deadline came before the duty was looked at; nothing was recorded and nothing signed.
    #[error("the deadline {by} passed before {duty} was recorded; skip it, or ask again with a later deadline")]
    DeadlinePassed {
        /// The duty.
        duty: Duty,
        /// The deadline.
        by: UnixTime,
    },
    /// The payload to be kept beside the pin is too large; nothing was recorded and nothing signed.
    #[error("the payload of {duty} has {len} bytes, at most {limit} are kept beside a pin; keep it elsewhere")]
    PayloadTooLarge {
        /// The duty.
        duty: Duty,
        /// Its length, bytes.
        len: usize,
        /// The most that is kept, bytes.
        limit: usize,
    },
    /// A key cannot be handed over from a slot at or before what it has been pinned to here.
    #[error(
        "{validator} cannot be handed over from slot {from} on: slot {pinned} is pinned here; hand over from a later one"
    )]
    HandOverTooEarly {
        /// The key.
        validator: Address,
        /// First slot that the other node would sign.
        from: Slot,
        /// Highest slot that is pinned here.
        pinned: Slot,
    },

    /// No keystore holds this key.
    #[error("no key for validator {validator}; add its keystore and reload the keys")]
    UnknownKey {
        /// The key that was asked for.
        validator: Address,
    },
    /// The key returned a signature that is not its own. It was discarded.
    #[error(
        "the signature returned for {validator} is not its own (recovers to {recovered:?}); check the key's source"
    )]
    WrongSignature {
        /// The key that was asked.
        validator: Address,
        /// Whose signature it is, if anybody's.
        recovered: Option<Address>,
    },
    /// The store can no longer be trusted in this process. Every duty is refused until it is opened anew.
    #[error("the signing store {path} has failed ({reason}); nothing is signed until it is closed and opened again")]
    StoreFailed {
        /// The store.
        path: PathBuf,
        /// What happened.
        reason: String,
    },

    /// There is no store here. It is never made silently, since an empty store would sign anything.
    #[error("no signing store at {path}; for keys that never signed, initialise one; else bring the old one back")]
    NotInitialised {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is something here already.
    #[error("{path} exists already; open the store that is there, or choose a directory that does not exist")]
    AlreadyInitialised {
        /// The directory.
        path: PathBuf,
    },
    /// Another process (or another store of this one) holds the directory.
    #[error("the signing store {path} is held by {}; stop it first", told(holder.as_deref()))]
    HeldByAnother {
        /// The store.
        path: PathBuf,
        /// The holder, if its lock file tells it.
        holder: Option<Box<Holder>>,
    },
    /// The directory lies on another machine, where neither its lock nor its pages can be relied on.
    #[error("{path} lies on a network file system ({kind}); keep the signing store on a disk of this machine")]
    NetworkFileSystem {
        /// The store.
        path: PathBuf,
        /// What the file system is.
        kind: &'static str,
    },
    /// The store is an older copy of itself: it has forgotten duties that were signed since.
    #[error(
        "{path} is not what was signed with last ({what}; anchor {anchor}); bring the newest copy back, or accept this one \
         as restored with a low mark no lower than any slot that was signed"
    )]
    Stale {
        /// The store.
        path: PathBuf,
        /// The file that knows better.
        anchor: PathBuf,
        /// By how much it is behind.
        what: String,
    },
    /// A low mark for a restored store that lies below what is known to have been signed.
    #[error("slot {low} is too low a mark: these keys are known to have signed in slot {known}; give a later one")]
    LowMarkTooLow {
        /// The mark that was asked for.
        low: Slot,
        /// The highest slot known to have been signed in.
        known: Slot,
    },
    /// A restored store with Ethereum keys, and not told what they may have signed.
    #[error(transparent)]
    EthLast(#[from] EthLastError),
    /// What is on disk is not what was written.
    #[error(
        "{path} is damaged ({what}); restore it from the machine that signed last, and do not sign with these keys until then"
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Written by a newer version of this program.
    #[error("{path} has schema {found}, this program knows {known}; use the newer program")]
    NewerSchema {
        /// The file that says so.
        path: PathBuf,
        /// Schema on disk.
        found: u32,
        /// Newest schema this program reads.
        known: u32,
    },
    /// Written by an older version of this program.
    #[error("{path} has schema {found}, this program reads {known} alone; use the older program")]
    OlderSchema {
        /// What says so.
        path: PathBuf,
        /// Schema found.
        found: u32,
        /// The schema this program reads.
        known: u32,
    },
    /// The database server is not the one of before, or was set back: it may have lost duties that were signed.
    #[error(
        "the signing database {server} may have lost duties ({what}); bring the one of before back, or accept it as it \
         is and refuse every slot that may have been signed: fermata protection accept-shared"
    )]
    StaleServer {
        /// Server, database and schema.
        server: String,
        /// How it differs from what is remembered.
        what: String,
    },
    /// The database server cannot be used as it is set up.
    #[error("the signing database {server} cannot be used: {what}")]
    BadServer {
        /// Server, database and schema.
        server: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The store protects another rollup.
    #[error("{path} is for {found}, not for {wanted}; each rollup has a signing store of its own")]
    OtherDomain {
        /// The file that says so.
        path: PathBuf,
        /// Domain on disk.
        found: Domain,
        /// Domain it was opened for.
        wanted: Domain,
    },
    /// LMDB refused to open or read the store.
    #[error("the signing store {path} cannot be read; check the disk and the rights of the directory")]
    Database {
        /// The store.
        path: PathBuf,
        /// What LMDB said.
        #[source]
        source: heed::Error,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}; check that it exists and who may use it")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },

    /// The password does not open the keystore.
    #[error("the password does not open {path}; check the password file that goes with it")]
    WrongPassword {
        /// The keystore.
        path: PathBuf,
    },
    /// Not a keystore this program can read.
    #[error("{path} is not an encrypted V3 keystore ({what}); replace it, or take it out of the directory")]
    BadKeystore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Not a private key. It is not repeated here, since it may be one with a slip of the pen.
    #[error("this is no private key ({what}); give 64 hexadecimal digits, with or without 0x")]
    BadPrivateKey {
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is a file where the key's would be. It is left as it is.
    #[error("{path} exists already; the key is there, or move that file away and ask again")]
    KeyFileExists {
        /// The file.
        path: PathBuf,
    },
    /// Not the typed data of this duty; nothing was recorded and nothing signed.
    #[error("the typed data for {duty} cannot be signed ({what}); sign its digest, or give the typed data of a vote")]
    BadTypedData {
        /// The duty it was given for.
        duty: Duty,
        /// What is wrong with it.
        what: String,
    },
    /// A remote signer could not be set up, or did not say which keys it holds.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The same key twice: two sources would hide that one of them was meant to be another key.
    #[error("the key {address} is given twice; remove one of its sources")]
    DuplicateKey {
        /// The key.
        address: Address,
    },
    /// A directory without any keystore.
    #[error("no keystore (*.json) in {path}; create a key there or name another directory")]
    NoKeys {
        /// The directory.
        path: PathBuf,
    },
    /// A directory without any test vector.
    #[error("no test vectors (*.json) in {path}; name the directory that has the files themselves")]
    NoVectors {
        /// The directory.
        path: PathBuf,
    },
    /// Not a mnemonic, or not a derivation path. Neither is repeated here, since the one is a secret.
    #[error("no keys can be derived ({what}); give a BIP-39 phrase and a path prefix like m/44'/60'/0'/0")]
    BadMnemonic {
        /// Which of the two is wrong, and how.
        what: String,
    },
}

impl From<EthNotSafe> for SignerError {
    fn from(refusal: EthNotSafe) -> Self {
        Self::EthNotSafe(Box::new(refusal))
    }
}

fn told(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), ToString::to_string)
}
