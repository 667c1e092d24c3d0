//! The typed configuration: what the parts of a node are made with.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::transports::http::reqwest::Url;
use fermata_execution::mempool::MempoolConfig;
use fermata_execution::rpc::RpcLimits;
use fermata_publisher::{FeeConfig, FundingConfig};
use fermata_validator_signer::RemoteSettings;

use super::{ProtectionConfig, Provenance};
use crate::publishing::Publishing;
use crate::roles::Roles;
use crate::side_duties::SideSettings;
use crate::timetable::Budgets;

/// A node's configuration. Every value has been checked; no file it names has been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// Where the node keeps its stores.
    pub data_dir: PathBuf,
    /// Which clock it lives by.
    pub clock: ClockKind,
    /// What it is for.
    pub roles: Roles,
    /// L1 and the contracts on it.
    pub l1: L1Config,
    /// The keys that sign.
    pub validator: ValidatorConfig,
    /// What keeps those keys from signing twice.
    pub protection: ProtectionConfig,
    /// The accounts that send.
    pub publisher: PublisherConfig,
    /// The prover; `None` where the node is none.
    pub prover: Option<ProverConfig>,
    /// The time each step of a slot is allowed.
    pub timetable: Budgets,
    /// The poll loop.
    pub sequencer: SequencerConfig,
    /// What is voted for, and when a bad checkpoint is dropped.
    pub side: SideSettings,
    /// The L2 chain.
    pub execution: ExecutionConfig,
    /// The L2 JSON-RPC.
    pub rpc: RpcConfig,
    /// The admin RPC.
    pub admin: AdminConfig,
    /// The log.
    pub log: LogConfig,
    /// Where each value came from.
    pub provenance: Provenance,
}

/// Which clock a node lives by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockKind {
    /// The machine's.
    System,
    /// The machine's, shifted to agree with the L1 head.
    L1,
}

/// L1 and the contracts on it.
#[derive(Clone, PartialEq, Eq)]
pub struct L1Config {
    /// JSON-RPC endpoint.
    pub rpc_url: Url,
    /// The endpoints that transactions are handed to; empty: `rpc_url` alone.
    pub send_urls: Vec<Url>,
    /// The chain id it must have, where one is expected.
    pub chain_id: Option<u64>,
    /// Where the rollup is.
    pub rollup: RollupLocation,
    /// Seconds between two L1 blocks.
    pub ethereum_slot_secs: u64,
    /// Time between two looks at the head while its next block is overdue.
    pub poll_interval: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Where blobs are read from.
    pub blobs: BlobSource,
}

impl L1Config {
    /// The endpoints that transactions are handed to, each with a name that may be shown.
    #[must_use]
    pub fn named_send_urls(&self) -> Vec<(String, &Url)> {
        self.send_urls.iter().map(|url| (super::show::without_credentials(url.as_str()), url)).collect()
    }
}

impl fmt::Debug for L1Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |url: &Url| super::show::without_credentials(url.as_str());
        f.debug_struct("L1Config")
            .field("rpc_url", &shown(&self.rpc_url))
            .field("send_urls", &self.send_urls.iter().map(shown).collect::<Vec<_>>())
            .field("chain_id", &self.chain_id)
            .field("rollup", &self.rollup)
            .field("ethereum_slot_secs", &self.ethereum_slot_secs)
            .field("poll_interval", &self.poll_interval)
            .field("request_timeout", &self.request_timeout)
            .field("blobs", &self.blobs)
            .finish()
    }
}

/// Where the rollup's contracts are found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RollupLocation {
    /// In the file that a deployment wrote.
    AddressesFile(PathBuf),
    /// The rollup contract itself; the others are read from it.
    Rollup(Address),
}

/// Where blobs are read from.
#[derive(Clone, PartialEq, Eq)]
pub enum BlobSource {
    /// The L1 endpoint, which is an anvil.
    Anvil,
    /// A beacon node.
    Beacon(Url),
}

impl fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anvil => f.write_str("Anvil"),
            Self::Beacon(url) => {
                f.debug_tuple("Beacon").field(&super::show::without_credentials(url.as_str())).finish()
            }
        }
    }
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where keys come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// Nowhere: none of the node's roles needs any.
    NoKeys,
    /// Encrypted V3 keystores.
    Keystores {
        /// Their directory.
        dir: PathBuf,
        /// File with their password.
        password_file: PathBuf,
    },
    /// A mnemonic; for development.
    Mnemonic {
        /// Its words.
        phrase: Secret,
        /// Path the keys are derived under, such as `m/44'/60'/0'/0`.
        path: String,
        /// Index of the first.
        first: u32,
        /// How many are derived.
        count: u32,
    },
}

/// The keys that sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidatorConfig {
    /// Where those that are here come from.
    pub keys: KeySource,
    /// The remote signer that holds others, where there is one.
    pub remote: Option<RemoteSettings>,
    /// Who gets fees and rewards; `None`: the proposing validator.
    pub coinbase: Option<Address>,
}

/// The accounts that send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublisherConfig {
    /// Where they come from.
    pub keys: KeySource,
    /// What they may bid.
    pub fees: FeeConfig,
    /// Blocks that must hold a transaction before its end is believed.
    pub confirmations: NonZeroU64,
    /// Who tops them up, and how far; nobody without it.
    pub funding: Option<FundingSettings>,
}

/// Who tops up the publishers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FundingSettings {
    /// Where the funder's key comes from.
    pub key: KeySource,
    /// When and how far.
    pub funding: FundingConfig,
}

/// The prover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProverConfig {
    /// Where the keys of the accounts that send come from.
    pub keys: KeySource,
    /// Who gets the rewards; `None`: the first account.
    pub id: Option<Address>,
    /// Who makes the proofs.
    pub proofs: ProofMaker,
    /// Time between two looks whether a proof is done.
    pub poll_interval: Duration,
    /// How long one answer of the prover service may take.
    pub request_timeout: Duration,
}

/// Who makes the proofs.
#[derive(Clone, PartialEq, Eq)]
pub enum ProofMaker {
    /// Nobody: the rollup's verifier takes any proof.
    Mock,
    /// A prover service.
    Service(Url),
}

impl fmt::Debug for ProofMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mock => f.write_str("Mock"),
            Self::Service(url) => {
                f.debug_tuple("Service").field(&super::show::without_credentials(url.as_str())).finish()
            }
        }
    }
}

/// The poll loop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SequencerConfig {
    /// Time from the end of a tick to the next.
    pub poll_interval: Duration,
    /// What the process does first.
    pub start: StartPolicy,
    /// How long a signal lets a stop drain.
    pub stop_deadline: Duration,
    /// Fewest transactions a block is built with.
    pub min_transactions: usize,
    /// Whether its checkpoints go to L1.
    pub publishing: Publishing,
}

/// What the process does first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartPolicy {
    /// What an operator asked for last; start where nobody has.
    Desired,
    /// Start.
    Always,
    /// Wait for a start.
    Never,
}

/// The L2 chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecutionConfig {
    /// Where the chain begins.
    pub genesis: GenesisSource,
    /// Gas limit of a block.
    pub gas_limit: u64,
    /// Limits of the mempool.
    pub mempool: MempoolConfig,
}

/// Where the chain begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GenesisSource {
    /// In a JSON file.
    File(PathBuf),
    /// With these accounts.
    Accounts {
        /// L2 chain id.
        chain_id: u64,
        /// Timestamp of the genesis block, in seconds.
        timestamp: u64,
        /// Its base fee, in wei per gas.
        base_fee: u64,
        /// Who has what.
        prefunded: Vec<Prefunded>,
    },
}

/// An account of the genesis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefunded {
    /// The account.
    pub address: Address,
    /// Its balance in wei.
    pub balance: U256,
}

/// The L2 JSON-RPC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RpcConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How much one caller may ask for.
    pub limits: RpcLimits,
}

/// The admin RPC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether that may be an address that others reach.
    pub may_be_public: bool,
    /// Origins of web pages that may call it.
    pub allowed_origins: Vec<String>,
    /// Host names it answers to, besides loopback.
    pub allowed_hosts: Vec<String>,
}

/// The log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// A tracing filter.
    pub filter: String,
    /// For whom.
    pub format: LogFormat,
}

/// For whom the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// People.
    Pretty,
    /// Machines: a JSON object a line.
    Json,
}
