//! What a caller does about an error.

use crate::SignerError;

/// What to do about a [`SignerError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextStep {
    /// Give the duty up: it will be refused for ever, or it is too late for it.
    SkipDuty,
    /// Ask again, with the same payload and no other.
    RetrySame,
    /// Start, or open anew, first.
    Reopen,
    /// A person must look.
    Operator,
}

impl SignerError {
    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::NotSafe(_) | Self::EthNotSafe(_) | Self::DeadlinePassed { .. } => NextStep::SkipDuty,
            Self::Joined(failure) => failure.next_step(),
            Self::KeyFailed { .. } | Self::NoSpace { .. } | Self::Busy { .. } | Self::Unavailable { .. } => {
                NextStep::RetrySame
            }
            Self::Stopped | Self::Closed | Self::StoreFailed { .. } => NextStep::Reopen,
            Self::Interchange(_)
            | Self::UnknownKey { .. }
            | Self::PayloadTooLarge { .. }
            | Self::HandOverTooEarly { .. }
            | Self::WrongSignature { .. }
            | Self::NotInitialised { .. }
            | Self::AlreadyInitialised { .. }
            | Self::HeldByAnother { .. }
            | Self::NetworkFileSystem { .. }
            | Self::Stale { .. }
            | Self::LowMarkTooLow { .. }
            | Self::EthLast(_)
            | Self::Damaged { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::StaleServer { .. }
            | Self::BadServer { .. }
            | Self::OtherDomain { .. }
            | Self::Database { .. }
            | Self::Io { .. }
            | Self::WrongPassword { .. }
            | Self::BadKeystore { .. }
            | Self::BadPrivateKey { .. }
            | Self::KeyFileExists { .. }
            | Self::BadTypedData { .. }
            | Self::Remote(_)
            | Self::DuplicateKey { .. }
            | Self::NoKeys { .. }
            | Self::NoVectors { .. }
            | Self::BadMnemonic { .. } => NextStep::Operator,
        }
    }
}
