//! What can be wrong with an encoding, by what the caller does next.

use std::path::PathBuf;

use alloy::primitives::Address;

/// A result of this crate.
pub type Result<T, E = RollupError> = std::result::Result<T, E>;

/// Why an encoding cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// Too much for one checkpoint; the builder seals fewer transactions. Nothing was added.
    #[error("the checkpoint needs {needed} bytes and {limit} fit; seal it with fewer transactions")]
    CheckpointTooLarge {
        /// Bytes that would be needed.
        needed: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// Written by a Fermata that knows more; the operator upgrades.
    #[error("the {what} has version {found}, and this build reads version {known}; upgrade this node")]
    UnknownVersion {
        /// What was read.
        what: &'static str,
        /// The version it says it has.
        found: u64,
        /// The version that can be read.
        known: u64,
    },
    /// Blobs or a payload that nobody can have encoded with these rules; the checkpoint is invalid.
    #[error("the checkpoint's {what} is damaged: {detail}; treat the checkpoint as invalid")]
    Damaged {
        /// What was read.
        what: &'static str,
        /// What was wrong with it.
        detail: &'static str,
    },
    /// The payload's compressed stream cannot be read; the checkpoint is invalid.
    #[error("the checkpoint's payload cannot be decompressed; treat the checkpoint as invalid")]
    Decompression(#[source] std::io::Error),
    /// The compressor failed, which means that memory is short; the build may be tried again.
    #[error("the checkpoint's payload cannot be compressed; free memory and build again")]
    Compression(#[source] std::io::Error),
    /// A payload that grows beyond all bounds; the checkpoint is invalid.
    #[error("the checkpoint's payload decompresses to more than {limit} bytes; treat the checkpoint as invalid")]
    PayloadBomb {
        /// Bytes a payload may have.
        limit: usize,
    },
    /// Packed attestations that the contract would refuse as well.
    #[error("the attestations are malformed ({0}); take them from the transaction that proposed the checkpoint")]
    Attestations(#[from] DamagedAttestations),
    /// A signature of someone who has no seat; the caller drops it.
    #[error("{0} is not a member of the committee; drop its attestation")]
    NotInCommittee(Address),
    /// The staked set cannot fill a committee; the caller waits for more stake.
    #[error("a committee of {committee} cannot be sampled from {set} validators; stake more or wait an epoch")]
    TooFewValidators {
        /// Seats of the committee.
        committee: u64,
        /// Validators that may be sampled.
        set: u64,
    },
    /// A transaction that proposes nothing to this rollup; the caller skips it.
    #[error("the transaction calls no propose of this rollup; skip it")]
    NoPropose,
    /// A transaction with several proposals; the caller picks the one whose digest the event names.
    #[error("the transaction calls propose {0} times; pick the one whose payload digest the event names")]
    SeveralProposes(usize),
    /// Calldata with a known selector and arguments that do not decode; the caller skips the transaction.
    #[error("the calldata's arguments do not decode; skip the transaction")]
    Calldata(#[source] alloy::sol_types::Error),
    /// A header whose number exceeds what the contract can have accepted; the caller skips the transaction.
    #[error("the header's {0} exceeds 64 bits, which L1 refuses; skip the transaction")]
    HeaderOutOfRange(&'static str),
    /// The KZG library refuses the blob: a field element is out of range.
    #[error("blob {index} has no KZG commitment; encode it with pack_blobs")]
    Kzg {
        /// Which blob.
        index: usize,
        /// What the library said.
        #[source]
        source: alloy::eips::eip4844::c_kzg::Error,
    },
    /// The contract proves an epoch in one proof, or not at all; the claim cannot be made.
    #[error(
        "{checkpoints} checkpoints cannot be proven at once, the contract takes 1 to {most}; the epoch will be pruned"
    )]
    UnprovableEpoch {
        /// Checkpoints of the epoch.
        checkpoints: usize,
        /// How many a proof may be about.
        most: usize,
    },
    /// What a prover gave as the opening of the epoch's blobs is none; ask it again, or mend it.
    #[error("the opening of the epoch's blobs has {found} bytes instead of {expected}; check the prover service")]
    BlobOpening {
        /// Bytes an opening has.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The file of contract addresses is of no use; the operator repairs it.
    #[error("{path}: the L1 addresses {fault}")]
    Addresses {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        #[source]
        fault: AddressesFault,
    },
}

/// What is wrong with packed attestations; the contract has an error for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamagedAttestations {
    /// The bitmap is not one bit a member.
    #[error("the bitmap has {got} bytes instead of {expected}")]
    BitmapSize {
        /// Bytes a committee of this size has.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// Signatures and addresses are not as long as the bitmap says.
    #[error("signatures and addresses have {got} bytes instead of {expected}")]
    DataSize {
        /// Bytes the bitmap asks for.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// Not one signer a signature.
    #[error("{got} signers are named for {expected} signatures")]
    SignersSize {
        /// Signatures in the bitmap.
        expected: usize,
        /// Signers named.
        got: usize,
    },
}

/// What is wrong with a file of contract addresses.
#[derive(Debug, thiserror::Error)]
pub enum AddressesFault {
    /// It cannot be read.
    #[error("cannot be read; deploy the contracts with `fermata deploy` or pass the right path")]
    Unreadable(#[source] std::io::Error),
    /// It cannot be written.
    #[error("cannot be written; check the directory's permissions and free space")]
    Unwritable(#[source] std::io::Error),
    /// It is not what `fermata deploy` writes.
    #[error("are damaged; restore the file from the deployment or run `fermata deploy` again")]
    Damaged(#[source] serde_json::Error),
    /// It is of another version.
    #[error("have version {found}, and this build reads version {known}; use the Fermata that wrote the file")]
    Version {
        /// The file's version.
        found: u64,
        /// The version that can be read.
        known: u64,
    },
}
