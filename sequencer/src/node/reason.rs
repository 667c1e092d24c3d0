//! Which row of the catalogue an error belongs to. Exhaustive: a new error does not compile until somebody decides.

use fermata_execution::ExecutionError;
use fermata_publisher::Error as PublisherError;
use fermata_validator_signer::{RemoteError, SignerError};

use crate::catalogue::Reason;
use crate::error::SequencerError;

impl SequencerError {
    /// The catalogue's row.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::L1Unreachable { .. } | Self::L1Timeout { .. } => Reason::L1Down,
            Self::WrongChain { .. } => Reason::WrongChain,
            Self::NoContract { .. } => Reason::NoContract,
            Self::WrongGenesis { .. } => Reason::WrongGenesis,
            Self::Times(_) | Self::RealVerifier { .. } | Self::SharedAccount { .. } | Self::FunderKeys { .. } => {
                Reason::ConfigInvalid
            }
            Self::NotSequencer { .. } => Reason::NotSequencer,
            Self::NotStaked { .. } => Reason::NotStaked,
            Self::Interrupted | Self::CutInFlight { .. } => Reason::Interrupted,
            Self::HeadMismatch { .. } => Reason::HeadMismatch,
            Self::HeadNotSynced { .. } => Reason::NotSynced,
            Self::Execution(error) => of_execution(error),
            Self::Signer(error) => of_signer(error),
            Self::Publisher(error) => of_publisher(error),
            Self::Rollup(_) => Reason::ConfigInvalid,
            Self::NoCommittee { .. }
            | Self::WouldRevert { .. }
            | Self::NotSynced { .. }
            | Self::BadCheckpoint { .. }
            | Self::NoPlace(_)
            | Self::NotResumed(_)
            | Self::BadProposal(_)
            | Self::TooFewAttestations { .. }
            | Self::NotLanded(_)
            | Self::NothingToBuild
            | Self::TooLate(_)
            | Self::ProverService { .. }
            | Self::ProofRefused { .. }
            | Self::NotProven(_)
            | Self::ProofTooLate { .. }
            | Self::Task { .. } => Reason::StartFailed,
        }
    }
}

const fn of_execution(error: &ExecutionError) -> Reason {
    match error {
        ExecutionError::NewerStore { .. } => Reason::StoreNewer,
        ExecutionError::DamagedStore { .. } => Reason::StoreDamaged,
        ExecutionError::AlreadyOpen { .. } => Reason::DataDirHeld,
        ExecutionError::Io { .. } | ExecutionError::StoreFull { .. } => Reason::DataDirUnusable,
        ExecutionError::GenesisMismatch { .. } => Reason::WrongGenesis,
        ExecutionError::BadGenesis(_) => Reason::ConfigInvalid,
        ExecutionError::Closed
        | ExecutionError::UnknownBlock(_)
        | ExecutionError::UnknownJob(_)
        | ExecutionError::BadAttributes(_)
        | ExecutionError::InvalidTransaction { .. }
        | ExecutionError::HeadsOutOfOrder { .. }
        | ExecutionError::BadCall(_)
        | ExecutionError::Evm(_)
        | ExecutionError::Missing(_)
        | ExecutionError::Store(_)
        | ExecutionError::Transaction(_)
        | ExecutionError::Thread { .. }
        | ExecutionError::WorkerGone => Reason::Internal,
    }
}

pub(crate) const fn of_signer(error: &SignerError) -> Reason {
    match error {
        SignerError::HeldByAnother { .. } => Reason::DataDirHeld,
        SignerError::NewerSchema { .. } | SignerError::OlderSchema { .. } => Reason::StoreNewer,
        SignerError::Damaged { .. } | SignerError::NotInitialised { .. } | SignerError::OtherDomain { .. } => {
            Reason::StoreDamaged
        }
        SignerError::Stale { .. } | SignerError::StaleServer { .. } => Reason::StoreStale,
        SignerError::LowMarkTooLow { .. } | SignerError::EthLast(_) => Reason::InvalidParams,
        SignerError::WrongPassword { .. } => Reason::KeystorePassword,
        SignerError::BadKeystore { .. }
        | SignerError::NoKeys { .. }
        | SignerError::DuplicateKey { .. }
        | SignerError::BadPrivateKey { .. }
        | SignerError::KeyFileExists { .. }
        | SignerError::BadMnemonic { .. } => Reason::KeystoreUnusable,
        SignerError::Remote(error) => of_remote(error),
        SignerError::Io { .. } | SignerError::NoSpace { .. } | SignerError::NetworkFileSystem { .. } => {
            Reason::DataDirUnusable
        }
        SignerError::Interchange(_) => Reason::InterchangeRefused,
        SignerError::NoVectors { .. } => Reason::CheckFailed,
        SignerError::NotSafe(_)
        | SignerError::EthNotSafe(_)
        | SignerError::Busy { .. }
        | SignerError::Unavailable { .. }
        | SignerError::BadServer { .. }
        | SignerError::Joined(_)
        | SignerError::DeadlinePassed { .. }
        | SignerError::PayloadTooLarge { .. }
        | SignerError::HandOverTooEarly { .. }
        | SignerError::Stopped
        | SignerError::Closed
        | SignerError::KeyFailed { .. }
        | SignerError::BadTypedData { .. }
        | SignerError::UnknownKey { .. }
        | SignerError::WrongSignature { .. }
        | SignerError::StoreFailed { .. }
        | SignerError::AlreadyInitialised { .. }
        | SignerError::Database { .. } => Reason::SignerDown,
    }
}

const fn of_remote(error: &RemoteError) -> Reason {
    match error {
        RemoteError::Unreachable { .. }
        | RemoteError::TimedOut { .. }
        | RemoteError::Refused { .. }
        | RemoteError::Malformed { .. }
        | RemoteError::TypedDataNeeded { .. }
        | RemoteError::OtherTypedData { .. } => Reason::RemoteSignerDown,
        RemoteError::NotHeld { .. }
        | RemoteError::BadUrl { .. }
        | RemoteError::BadPem { .. }
        | RemoteError::Unreadable { .. }
        | RemoteError::BadTls { .. } => Reason::KeystoreUnusable,
    }
}

const fn of_publisher(error: &PublisherError) -> Reason {
    match error {
        PublisherError::L1Unreachable { .. }
        | PublisherError::L1TimedOut { .. }
        | PublisherError::L1Refused { .. }
        | PublisherError::NoBlobFee => Reason::L1Down,
        PublisherError::WrongChain { .. } => Reason::WrongChain,
        PublisherError::Funding(_) => Reason::ConfigInvalid,
        PublisherError::NoMulticall { .. } => Reason::NoContract,
        PublisherError::Unfunded { .. } => Reason::Unfunded,
        PublisherError::DataDir { .. } | PublisherError::Store { .. } => Reason::DataDirUnusable,
        PublisherError::DataDirHeld { .. } => Reason::DataDirHeld,
        PublisherError::StoreDamaged { .. }
        | PublisherError::StoreOfOtherChain { .. }
        | PublisherError::ChainRewound { .. } => Reason::StoreDamaged,
        PublisherError::StoreNewer { .. } => Reason::StoreNewer,
        PublisherError::NoSigners => Reason::KeystoreUnusable,
        PublisherError::Interrupted => Reason::Interrupted,
        PublisherError::NotRunning
        | PublisherError::Closed
        | PublisherError::StillInUse { .. }
        | PublisherError::Signing { .. }
        | PublisherError::Blob(_)
        | PublisherError::Invalid(_)
        | PublisherError::Contradiction(_)
        | PublisherError::TaskFailed => Reason::Internal,
    }
}
