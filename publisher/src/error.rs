//! What can go wrong besides a request's outcome.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::utils::format_ether;
use alloy::primitives::{Address, U256};
use alloy::transports::TransportError;

use crate::{IllegalMove, InvalidFunding, InvalidRequest};

/// Errors of the publisher. Where one is returned, nothing was sent, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Work needs a running manager.
    #[error("the publisher manager is not running; start it, then send again")]
    NotRunning,
    /// The manager is closed for good.
    #[error("the publisher manager is closed; open a new one on its data directory")]
    Closed,
    /// A stop cut it short.
    #[error("a stop interrupted it; start the publisher manager again when it is wanted")]
    Interrupted,
    /// A send needs an account.
    #[error("no publisher key is configured; configure at least one")]
    NoSigners,
    /// Publishers cannot be topped up as configured.
    #[error(transparent)]
    Funding(#[from] InvalidFunding),
    /// L1 cannot be reached.
    #[error("L1 endpoint cannot be reached ({method}); check that it runs and that its URL is right, then try again")]
    L1Unreachable {
        /// The call.
        method: &'static str,
        /// The cause.
        #[source]
        source: TransportError,
    },
    /// L1 did not answer in time.
    #[error("L1 endpoint did not answer {method} within {after:?}; check its load, then try again")]
    L1TimedOut {
        /// The call.
        method: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// Nobody tells what blobs cost.
    #[error(
        "L1 endpoint does not serve eth_blobBaseFee, and the forks of its chain are not known; use another endpoint"
    )]
    NoBlobFee,
    /// A request cannot be one.
    #[error("the request is invalid: {0}")]
    Invalid(#[from] InvalidRequest),
    /// L1 answered with an error.
    #[error("L1 endpoint refused {method}; check that it serves this method")]
    L1Refused {
        /// The call.
        method: &'static str,
        /// The answer.
        #[source]
        source: TransportError,
    },
    /// A bundle needs Multicall3.
    #[error("there is no Multicall3 at {address}; deploy it, or correct its address")]
    NoMulticall {
        /// Where it should be.
        address: Address,
    },
    /// L1 is another chain than configured.
    #[error(
        "L1 endpoint serves chain {actual}, and chain {expected} is configured; correct the endpoint or the chain id"
    )]
    WrongChain {
        /// The configured chain.
        expected: u64,
        /// The served chain.
        actual: u64,
    },
    /// No account can pay.
    #[error("no publisher can pay {needed} wei: {}; send to one, it will be picked up without a restart", Balances(.accounts))]
    Unfunded {
        /// The most the request can cost, in wei.
        needed: U256,
        /// What each account holds.
        accounts: Vec<AccountBalance>,
    },
    /// The chain counts fewer transactions than the records say have landed.
    #[error(
        "L1 counts {chain} transactions of {account}, and {recorded} are recorded as landed: this is another chain, or it \
         was rewound; give the publisher a fresh data directory"
    )]
    ChainRewound {
        /// The account.
        account: Address,
        /// The chain's pending nonce.
        chain: u64,
        /// What the records say.
        recorded: u64,
    },
    /// The data directory cannot be used.
    #[error("data directory {} cannot be used; check that it exists on a writable disk with space left", .path.display())]
    DataDir {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Another process owns the data directory.
    #[error("data directory {} is held by process {holder}; stop it, or give this one a directory of its own", .path.display())]
    DataDirHeld {
        /// The directory.
        path: PathBuf,
        /// The process, as it wrote itself into the lock file.
        holder: String,
    },
    /// The store is not what this version writes.
    #[error("store {} is damaged: {detail}; restore it from a backup, or move it away after checking on L1 that no transaction of its accounts is pending", .file.display())]
    StoreDamaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The store was written by a newer version.
    #[error("store {} has schema {found}, and this version knows {known}; run the version that wrote it, or a newer one", .file.display())]
    StoreNewer {
        /// The file.
        file: PathBuf,
        /// Its schema.
        found: u32,
        /// The schema this version writes.
        known: u32,
    },
    /// The store belongs to another chain.
    #[error("store {} belongs to chain {found}, and chain {configured} is configured; give this chain a data directory of its own", .file.display())]
    StoreOfOtherChain {
        /// The file.
        file: PathBuf,
        /// Its chain.
        found: u64,
        /// The configured chain.
        configured: u64,
    },
    /// The store failed; the write did not happen.
    #[error("store {} failed; check the disk and its free space", .file.display())]
    Store {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: heed::Error,
    },
    /// The store could not be closed, because it is still in use.
    #[error("store {} is still in use after {after:?}; drop what uses the publisher manager, then close again", .file.display())]
    StillInUse {
        /// The file.
        file: PathBuf,
        /// How long it was waited for.
        after: Duration,
    },
    /// A signature could not be made.
    #[error("key of {account} cannot sign; check the key")]
    Signing {
        /// The account.
        account: Address,
        /// The cause.
        #[source]
        source: alloy::signers::Error,
    },
    /// Blob proofs cannot be made.
    #[error("blob proofs cannot be made: {0}; every 32-byte word of a blob must be below the BLS modulus")]
    Blob(String),
    /// A bug: the publisher's own records contradict each other.
    #[error(
        "internal contradiction; restart the publisher manager, which reconciles its records with L1, and report this"
    )]
    Contradiction(#[from] IllegalMove),
    /// A bug: a task of the publisher panicked.
    #[error("a task of the publisher ended abnormally; restart the publisher manager and report this")]
    TaskFailed,
}

impl Error {
    /// True when L1 gave no usable answer: asking again later may help.
    #[must_use]
    pub const fn is_of_l1(&self) -> bool {
        matches!(self, Self::L1Unreachable { .. } | Self::L1TimedOut { .. } | Self::L1Refused { .. })
    }
}

/// An account and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountBalance {
    /// The account.
    pub account: Address,
    /// Its balance in wei.
    pub balance: U256,
}

struct Balances<'a>(&'a [AccountBalance]);

impl fmt::Display for Balances<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, AccountBalance { account, balance }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}publisher {account} has {} ETH", format_ether(*balance))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfunded_publisher_is_named_with_its_balance_and_the_remedy() {
        let accounts = vec![AccountBalance { account: Address::ZERO, balance: U256::ZERO }];
        let text = Error::Unfunded { needed: U256::from(7), accounts }.to_string();
        assert!(text.contains("publisher 0x0000000000000000000000000000000000000000 has 0.000000000000000000 ETH"));
        assert!(text.ends_with("send to one, it will be picked up without a restart"));
    }
}
