//! What the funding of publishers is told once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::MULTICALL3_ADDRESS;
use alloy::signers::local::PrivateKeySigner;

use crate::desk::Signers;
use crate::machine::account::Role;

/// The time over which the cap counts.
pub(crate) const CAP_SPAN: Duration = Duration::from_secs(60 * 60);

/// When and how far publishers are topped up. All amounts in wei.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingConfig {
    /// A publisher that holds less is topped up.
    pub threshold: U256,
    /// What it holds then, where the funder and the cap allow it; at least the threshold otherwise.
    pub target: U256,
    /// Balances are looked at this often, by the clock, and at every head of L1 while one is known to be low. Of one such
    /// span of L1 time there is one top-up at most.
    pub every: Duration,
    /// The most that is given within an hour, besides gas.
    pub hourly_cap: U256,
    /// Where Multicall3 is; where there is none, one publisher at a time gets a plain transfer.
    pub multicall: Address,
}

impl FundingConfig {
    /// A configuration with a look every two minutes, and Multicall3 where every public chain has it.
    #[must_use]
    pub const fn new(threshold: U256, target: U256, hourly_cap: U256) -> Self {
        Self { threshold, target, every: Duration::from_secs(120), hourly_cap, multicall: MULTICALL3_ADDRESS }
    }

    fn check(&self) -> Result<(), InvalidFunding> {
        if self.threshold.is_zero() || self.target <= self.threshold {
            return Err(InvalidFunding::Target { threshold: self.threshold, target: self.target });
        }
        if self.hourly_cap < self.threshold {
            return Err(InvalidFunding::Cap { threshold: self.threshold, hourly_cap: self.hourly_cap });
        }
        if self.every < Duration::from_secs(1) || self.every > CAP_SPAN {
            return Err(InvalidFunding::Every(self.every));
        }
        Ok(())
    }
}

/// The keys of a publisher manager.
#[derive(Clone, Debug, Default)]
pub struct PublisherKeys {
    /// Those that send what callers ask for; the first is used first.
    pub publishers: Vec<PrivateKeySigner>,
    /// The one that tops up the others. Without it, or without a [`FundingConfig`], nothing is topped up.
    pub funder: Option<PrivateKeySigner>,
}

impl From<Vec<PrivateKeySigner>> for PublisherKeys {
    fn from(publishers: Vec<PrivateKeySigner>) -> Self {
        Self { publishers, funder: None }
    }
}

impl PublisherKeys {
    /// Keys by their addresses, and the accounts by their roles, publishers first.
    pub(crate) fn by_role(&self) -> (Signers, Vec<(Address, Role)>) {
        let publishers = self.publishers.iter().map(|signer| (signer, Role::Publisher));
        let all: Vec<_> = publishers.chain(self.funder.iter().map(|signer| (signer, Role::Funder))).collect();
        let signers: BTreeMap<_, _> = all.iter().map(|(signer, _)| (signer.address(), (*signer).clone())).collect();
        (Arc::new(signers), all.iter().map(|(signer, role)| (signer.address(), *role)).collect())
    }

    /// The keys as they are used under this configuration.
    ///
    /// # Errors
    /// [`InvalidFunding`] names what does not fit.
    pub(crate) fn checked(self, config: Option<&FundingConfig>) -> Result<Self, InvalidFunding> {
        let Some(config) = config else { return Ok(Self { funder: None, ..self }) };
        config.check()?;
        let funder = self.funder.as_ref().map(PrivateKeySigner::address);
        match self.publishers.iter().map(PrivateKeySigner::address).find(|publisher| Some(*publisher) == funder) {
            Some(account) => Err(InvalidFunding::FunderIsPublisher { account }),
            None => Ok(self),
        }
    }
}

/// Why publishers cannot be topped up as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFunding {
    /// It would send to itself, and its nonces would serve two masters.
    #[error("the funder {account} is one of the publishers; give it a key of its own")]
    FunderIsPublisher {
        /// The account.
        account: Address,
    },
    /// What was topped up would be low at once.
    #[error("publishers are topped up below {threshold} wei to {target} wei; set the target above a threshold above 0")]
    Target {
        /// The threshold.
        threshold: U256,
        /// The target.
        target: U256,
    },
    /// An empty publisher could never be topped up.
    #[error("the hourly cap of {hourly_cap} wei is below the threshold of {threshold} wei; raise it to that at least")]
    Cap {
        /// The threshold.
        threshold: U256,
        /// The cap.
        hourly_cap: U256,
    },
    /// Ticks are counted in seconds, and a cap within an hour.
    #[error("publishers are looked at every {0:?}; set a second at least, and an hour at most")]
    Every(Duration),
}
