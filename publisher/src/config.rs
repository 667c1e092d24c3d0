//! What a publisher manager is told once.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::{FeeConfig, ForkSchedule, FundingConfig};

/// Configuration of a [`crate::PublisherManager`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherConfig {
    /// What its figures are told under, where a process has several managers.
    pub name: String,
    /// The chain the L1 endpoint must serve.
    pub chain_id: u64,
    /// Time between two L1 blocks.
    pub ethereum_slot: Duration,
    /// Directory of the store; made when missing.
    pub data_dir: PathBuf,
    /// What may be bid; [`crate::PublisherManager::set_fees`] changes it.
    pub fees: FeeConfig,
    /// Longest wait for one answer of L1.
    pub rpc_timeout: Duration,
    /// Blocks that must hold a transaction, its own included, before its end is believed: its dedup key is held until then.
    pub confirmations: NonZeroU64,
    /// How many settled transactions the store keeps.
    pub keep_settled: usize,
    /// When and how far publishers are topped up; not at all without it.
    pub funding: Option<FundingConfig>,
    /// When the chain's rules for blobs change. Without it, what blobs cost is the node's word alone, and the version of
    /// sidecars is what a node took last.
    pub forks: Option<ForkSchedule>,
}

impl PublisherConfig {
    /// A configuration with the usual fees, 5 s for an answer, one confirmation, the last 32 settled transactions kept,
    /// no top-ups, and the forks of the chain where it is a public one.
    #[must_use]
    pub fn new(chain_id: u64, ethereum_slot: Duration, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: "publisher".to_owned(),
            chain_id,
            ethereum_slot,
            data_dir: data_dir.into(),
            fees: FeeConfig::default(),
            rpc_timeout: Duration::from_secs(5),
            confirmations: NonZeroU64::MIN,
            keep_settled: 32,
            funding: None,
            forks: ForkSchedule::of_chain(chain_id),
        }
    }
}
