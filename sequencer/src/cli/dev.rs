//! `fermata dev`: an L1 of its own with the real rollup contracts, and one node or several on it, in one process.

mod banner;
mod lines;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fermata_anvil::{AnvilError, DevChain};
use fermata_primitives::SystemClock;
use fermata_publisher::PreparedBlobs;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::task::TaskTracker;

use super::protection::scan_of_this_program;
use crate::catalogue::Reason;
use crate::config::{ConfigError, NodeConfig, Setting, Sources};
use crate::data_dir::{DataDir, DataDirError, signer_anchor};
use crate::dev::{self, Seat};
use crate::network::{Hub, LinkSettings, Network, NetworkError, NodeId, Share};
use crate::node::Surroundings;
use crate::service::{Begun, Service, ServiceError};
use crate::signals::Signals;

/// Options of `fermata dev`.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub struct DevArgs {
    /// Where the chain's files lie. Begins afresh each time.
    #[arg(long, value_name = "DIR", default_value = "dev")]
    pub data_dir: PathBuf,
    /// How many nodes run, each with its share of the validators and a directory of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(Seat::MOST)))]
    pub nodes: u32,
    /// How many validators stake; the committee is all of them.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=128))]
    pub validators: u32,
    /// Milliseconds a message takes from one node to another.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=2_000))]
    pub latency: u64,
    /// Messages of a hundred that are lost on their way from one node to another.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub drop: u8,
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
    /// More nodes than validators.
    #[error(
        "{nodes} nodes need as many validators, and there are {validators}; give --validators {nodes}, or fewer --nodes"
    )]
    TooManyNodes {
        /// Nodes that were asked for.
        nodes: u32,
        /// Validators there are.
        validators: u32,
    },
    /// The links between the nodes.
    #[error(transparent)]
    Network(#[from] NetworkError),
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
            Self::Config(_) | Self::Rollup(_) | Self::Genesis(_) | Self::TooManyNodes { .. } | Self::Network(_) => {
                Reason::ConfigInvalid
            }
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
    if args.nodes > args.validators {
        return Err(DevError::TooManyNodes { nodes: args.nodes, validators: args.validators });
    }
    let signals = Signals::listen().map_err(io("listen for signals"))?;
    let tasks = TaskTracker::new();
    // The first proof loads the trusted setup, which takes a while: not in the first slot.
    tasks.spawn_blocking(|| drop(PreparedBlobs::compute(vec![Default::default()])));
    let dirs = (0..args.nodes).map(|place| begin_afresh(&args.dir_of(place))).collect::<Result<Vec<_>, _>>()?;
    let chain = start_chain(&args).await?;
    let addresses_file =
        std::path::absolute(&args.data_dir).map_err(io("find the data directory"))?.join("addresses.json");
    chain.deployment.addresses.save(&addresses_file)?;
    sources.presets = dev::settings(&chain, &addresses_file);
    let configs = (0..).zip(&dirs).map(|(place, dir)| config_of(&args, sources.clone(), place, dir));
    let configs = configs.collect::<Result<Vec<_>, _>>()?;
    let outcome = serve(&args, &chain, configs, metrics, signals).await;
    tasks.close();
    tasks.wait().await;
    chain.stop().await?;
    outcome
}

impl DevArgs {
    /// Where a node's files lie: one that is alone has all of the directory.
    fn dir_of(&self, place: u32) -> PathBuf {
        if self.nodes == 1 { self.data_dir.clone() } else { self.data_dir.join(name_of(place)) }
    }

    fn links(&self) -> LinkSettings {
        let latency = Duration::from_millis(self.latency);
        LinkSettings { latency, loss: Share::percent(self.drop), ..LinkSettings::default() }
    }
}

fn name_of(place: u32) -> String {
    format!("node-{}", place + 1)
}

/// What the node at `place` is told; the first of several listens where one that is alone would.
fn config_of(args: &DevArgs, mut sources: Sources, place: u32, dir: &Path) -> Result<NodeConfig, ConfigError> {
    let mut preset = |key: &str, value: String| sources.presets.push(Setting::new(key, value, "fermata dev"));
    preset("data_dir", dir.display().to_string());
    if args.latency > 0 {
        preset("timetable.peer_ms", args.latency.to_string());
    }
    if place > 0 {
        preset("rpc.listen", "127.0.0.1:0".to_owned());
        preset("admin.listen", "127.0.0.1:0".to_owned());
    }
    if args.prover == Switch::On && place == 0 {
        sources.presets.push(Setting::new("node.roles", "sequencer,validator,prover", "--prover of fermata dev"));
    }
    if args.nodes > 1 {
        sources.presets.extend(Seat { place, of: args.nodes }.settings(args.validators));
    }
    NodeConfig::load(&sources)
}

/// Runs the nodes on the chain, and tells what happens.
async fn serve(
    args: &DevArgs,
    chain: &DevChain,
    configs: Vec<NodeConfig>,
    metrics: PrometheusHandle,
    mut signals: Signals,
) -> Result<(), DevError> {
    let hub = Hub::new(SEED, Arc::new(SystemClock));
    hub.set_every_link(args.links());
    let services = open_all(&hub, configs, metrics).await?;
    banner::print(chain, &services);
    let events = (0..).zip(&services).map(|(place, service)| (name_of(place), service.node().events())).collect();
    let outcome = run_until_the_end(&services, lines::print(events, args.checkpoints), &mut signals).await;
    let drained = Service::end_all(services, signals).await;
    hub.close().await;
    outcome?;
    drained.iter().flatten().for_each(banner::farewell);
    Ok(())
}

/// Opens a node for each configuration; where one does not open, those that had are closed.
async fn open_all(hub: &Hub, configs: Vec<NodeConfig>, metrics: PrometheusHandle) -> Result<Vec<Service>, DevError> {
    let mut services = Vec::new();
    for (place, config) in (0..).zip(configs) {
        match open_one(hub, place, config, metrics.clone()).await {
            Ok(service) => services.push(service),
            Err(error) => {
                futures::future::join_all(services.into_iter().map(Service::close)).await;
                return Err(error);
            }
        }
    }
    Ok(services)
}

async fn open_one(hub: &Hub, place: u32, config: NodeConfig, metrics: PrometheusHandle) -> Result<Service, DevError> {
    let network: Arc<dyn Network> = hub.join(NodeId::new(&name_of(place)))?;
    let surroundings = Surroundings { network: Some(network), scan: scan_of_this_program(), ..Surroundings::default() };
    Ok(Service::open_in(config, surroundings, metrics).await?)
}

/// Starts the nodes, and waits until all has been told, all are closed, or a signal comes.
async fn run_until_the_end(
    services: &[Service],
    told: impl Future<Output = ()>,
    signals: &mut Signals,
) -> Result<(), DevError> {
    for service in services {
        match service.start_as_desired(signals).await? {
            Begun::Serving => {}
            Begun::Ending => return Ok(()),
        }
    }
    let closed = futures::future::join_all(services.iter().map(|service| service.closed().cancelled()));
    tokio::select! {
        () = told => {}
        _ = closed => {}
        signal = signals.next() => println!("\n{signal}: draining (again to interrupt)"),
    }
    Ok(())
}

/// The links of every development chain lose and delay the same.
const SEED: u64 = 1;

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
        | AnvilError::NotAsNew { .. }
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
        | AnvilError::TransactionsHeld
        | AnvilError::NotSigned { .. }
        | AnvilError::Ended { .. }
        | AnvilError::CheatFailed { .. }
        | AnvilError::StateCache { .. }
        | AnvilError::Mnemonic(_) => Reason::L1Down,
    }
}

/// Takes the directory for a moment, so that a node that runs there is not robbed, and removes the stores in it, and what
/// would miss them.
fn begin_afresh(dir: &Path) -> Result<PathBuf, DevError> {
    let held = DataDir::open(dir)?;
    for store in [held.node(), held.signer(), held.publisher(), held.execution(), held.prover()] {
        match std::fs::remove_dir_all(&store) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(DevError::Io { what: format!("cannot remove {}", store.display()), source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    match std::fs::remove_file(signer_anchor(held.root())) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(DevError::Io { what: "cannot remove the anchor of the signing store".to_owned(), source });
        }
        Ok(()) | Err(_) => {}
    }
    held.close();
    std::path::absolute(dir).map_err(io("find the data directory"))
}

async fn start_chain(args: &DevArgs) -> Result<DevChain, DevError> {
    let mut config = dev::chain_config()?.with_committee_of(args.validators);
    config.deploy.slot_secs = args.slot;
    Ok(DevChain::start(config, Arc::new(SystemClock)).await?)
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> DevError {
    move |source| DevError::Io { what: format!("cannot {what}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_chain_finds_neither_the_stores_of_the_one_before_nor_an_anchor_that_would_miss_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let left = [dir.path().join("signer/data.mdb"), signer_anchor(dir.path())];
        std::fs::create_dir(dir.path().join("signer")).expect("made");
        for file in &left {
            std::fs::write(file, b"of the chain before").expect("written");
        }
        begin_afresh(dir.path()).expect("it is free");
        assert!(left.iter().all(|file| !file.exists()));
    }
}
