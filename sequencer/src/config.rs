//! Configuration: flags > environment `FERMATA_*` > TOML file > presets > defaults.
//!
//! ```text
//! Sources -> RawConfig (every key with its value and where it came from) -> NodeConfig (typed, checked once)
//! ```
//!
//! [`Settings`] is the configuration of a running node: hot keys can be set in it.
//!
//! [`KEYS`] is the one list of keys. An unknown key is an error in every layer; all that is wrong is told at once.

mod convert;
mod error;
mod keys;
mod node_config;
mod protection;
mod provenance;
mod raw;
mod reader;
mod settings;
mod show;
mod sources;
#[cfg(test)]
mod tests;

pub use error::{ConfigError, Problem, Problems};
pub use keys::{KEYS, Key, Kind, Reload, Secrecy, markdown};
pub use node_config::{
    AdminConfig, BlobSource, ClockKind, ExecutionConfig, FundingSettings, GenesisSource, KeySource, L1Config,
    LogConfig, LogFormat, NodeConfig, Prefunded, ProofMaker, ProverConfig, PublisherConfig, RollupLocation, RpcConfig,
    Secret, SequencerConfig, StartPolicy, ValidatorConfig,
};
pub use protection::{ProtectionConfig, SharedProtection};
pub use provenance::Provenance;
pub use raw::{Origin, RawConfig, RawValue};
pub use settings::{Applier, SetOutcome, Settings};
pub(crate) use show::without_credentials;
pub use show::{Shown, shown};
pub use sources::{ENV_PREFIX, Setting, Sources, env_name};
