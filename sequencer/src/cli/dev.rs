//! `fermata dev`: an L1 of its own with the real rollup contracts, and a node on it, in one process.

mod banner;
mod lines;

use std::path::PathBuf;
use std::sync::Arc;

use fermata_anvil::{AnvilError, DevChain};
use fermata_primitives::SystemClock;
use fermata_publisher::PreparedBlobs;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::task::TaskTracker;

use crate::catalogue::Reason;
use crate::config::{ConfigError, NodeConfig, Sources};
use crate::data_dir::{DataDir, DataDirError};
use crate::dev;
use crate::service::{Begun, Service, ServiceError};
use crate::signals::Signals;

/// Options of `fermata dev`.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub struct DevArgs {
    /// Where the chain's files lie. Begins afresh each time.
    #[arg(long, value_name = "DIR", default_value = "dev")]
    pub data_dir: PathBuf,
    /// How many validators stake; the committee is all of them.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=48))]
    pub validators: u32,
    /// Seconds of a slot.
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(3..=600))]
    pub slot: u64,
    /// Whether the node is a prover too. The rollup's verifier is the published mock, which takes any proof: nothing is
    /// proven, and the contract has the epochs as proven.
    #[arg(long, value_name = "ON|OFF", default_value = "on")]
    pub prover: Switch,
    /// Ends by itself, gracefully, after this many checkpoints on L1.
    #[arg(long, value_name = "N")]
    pub checkpoints: Option<u64>,
}

/// A choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// Why `fermata dev` ended early.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The L1 did not come up.
    #[error(transparent)]
    L1(#[from] AnvilError),
    /// The node did not come up.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A key of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The addresses file, or the genesis.
    #[error(transparent)]
    Rollup(#[from] fermata_rollup::RollupError),
    /// The genesis.
    #[error(transparent)]
    Genesis(#[from] fermata_execution::ExecutionError),
    /// A file or a signal handler.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl DevError {
    /// The catalogue's row.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::L1(error) => reason_of(error),
            Self::Service(error) => error.reason(),
            Self::Config(_) | Self::Rollup(_) | Self::Genesis(_) => Reason::ConfigInvalid,
            Self::DataDir(error) => error.reason(),
            Self::Io { .. } => Reason::DataDirUnusable,
        }
    }
}

/// Runs the development chain until it is closed, a signal ends it, or it has the checkpoints that were asked for.
///
/// # Errors
/// [`DevError`]; everything that had come up is taken down again.
pub(super) async fn run(args: DevArgs, mut sources: Sources, metrics: PrometheusHandle) -> Result<(), DevError> {
    let signals = Signals::listen().map_err(io("listen for signals"))?;
    let tasks = TaskTracker::new();
    // The first proof loads the trusted setup, which takes a while: not in the first slot.
    tasks.spawn_blocking(|| drop(PreparedBlobs::compute(vec![Default::default()])));
    let data_dir = begin_afresh(&args.data_dir)?;
    let chain = start_chain(&args).await?;
    let addresses_file = data_dir.join("addresses.json");
    chain.deployment.addresses.save(&addresses_file)?;
    sources.presets = dev::settings(&chain, &addresses_file);
    sources.presets.push(crate::config::Setting::new("data_dir", data_dir.display().to_string(), "fermata dev"));
    if args.prover == Switch::On {
        let by = "--prover of fermata dev";
        sources.presets.push(crate::config::Setting::new("node.roles", "sequencer,validator,prover", by));
    }
    let config = NodeConfig::load(&sources)?;
    let outcome = serve(&args, &chain, config, metrics, signals).await;
    tasks.close();
    tasks.wait().await;
    chain.stop().await?;
    outcome
}

/// Runs the node on the chain, and tells what happens.
async fn serve(
    args: &DevArgs,
    chain: &DevChain,
    config: NodeConfig,
    metrics: PrometheusHandle,
    mut signals: Signals,
) -> Result<(), DevError> {
    let service = Service::open(config, metrics).await?;
    banner::print(chain, &service);
    let events = service.node().events();
    match service.start_as_desired(&mut signals).await {
        Ok(Begun::Serving) => {
            let closed = service.closed().clone();
            tokio::select! {
                () = lines::print(vec![(String::new(), events)], args.checkpoints) => {}
                () = closed.cancelled() => {}
                signal = signals.next() => println!("\n{signal}: draining (again to interrupt)"),
            }
        }
        Ok(Begun::Ending) => {}
        Err(error) => {
            service.end(signals).await;
            return Err(error.into());
        }
    }
    let drained = service.end(signals).await;
    banner::farewell(drained.as_ref());
    Ok(())
}

/// The catalogue's row of an error about L1 and what is deployed on it.
pub(super) const fn reason_of(error: &AnvilError) -> Reason {
    match error {
        AnvilError::ToolMissing { .. } | AnvilError::Artifact { .. } => Reason::ToolMissing,
        AnvilError::InvalidConfig { .. } => Reason::ConfigInvalid,
        AnvilError::WithoutFunds { .. } => Reason::Unfunded,
        AnvilError::WrongChain { .. } => Reason::WrongChain,
        AnvilError::SlotTimes(_) => Reason::ConfigInvalid,
        AnvilError::Process { .. }
        | AnvilError::NotListening { .. }
        | AnvilError::BadUrl { .. }
        | AnvilError::L1Unreachable { .. }
        | AnvilError::L1Refused { .. }
        | AnvilError::Reverted { .. }
        | AnvilError::NotMined { .. }
        | AnvilError::NoSuchContract { .. }
        | AnvilError::Multicall { .. }
        | AnvilError::BlsSecretZero
        | AnvilError::DepositRefused { .. }
        | AnvilError::StillQueued { .. }
        | AnvilError::ClockDisobeyed { .. }
        | AnvilError::BeyondTime { .. }
        | AnvilError::IntervalRunning
        | AnvilError::IntervalZero
        | AnvilError::ReorgDepth { .. }
        | AnvilError::CheatFailed { .. }
        | AnvilError::Mnemonic(_) => Reason::L1Down,
    }
}

/// Takes the directory for a moment, so that a node that runs there is not robbed, and removes the stores in it.
fn begin_afresh(dir: &std::path::Path) -> Result<PathBuf, DevError> {
    let held = DataDir::open(dir)?;
    for store in [held.node(), held.signer(), held.publisher(), held.execution(), held.prover()] {
        match std::fs::remove_dir_all(&store) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(DevError::Io { what: format!("cannot remove {}", store.display()), source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    held.close();
    std::path::absolute(dir).map_err(io("find the data directory"))
}

async fn start_chain(args: &DevArgs) -> Result<DevChain, DevError> {
    let mut config = dev::chain_config()?;
    config.validators = args.validators;
    config.deploy.slot_secs = args.slot;
    config.deploy.committee_size = u64::from(args.validators);
    Ok(DevChain::start(config, Arc::new(SystemClock)).await?)
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> DevError {
    move |source| DevError::Io { what: format!("cannot {what}"), source }
}
