//! Opening a node: stores first, then what L1 says, then the tasks that outlive every run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::http::reqwest::Url;
use fermata_execution::{Options, RevmExecution};
use fermata_primitives::{CheckpointNumber, L1FollowingClock, SharedClock, SystemClock, crash_point};
use fermata_publisher::{FundingConfig, L1, PublisherConfig, PublisherKeys, PublisherManager, SendBackend};
use fermata_rollup::L1Addresses;
use fermata_validator_signer::{Domain, KeyRing, Scan, ValidatorSigner};
use tokio::sync::watch;

use super::parts::NodeParts;
use super::protection::Stores;
use super::workshop::Makings;
use super::{Background, Held, Inner, Node, hot, keys, proving};
use crate::catalogue::Reason;
use crate::config::{ClockKind, NodeConfig, RollupLocation, Settings};
use crate::data_dir::{DataDir, DataDirError, Scope};
use crate::engine::{Engine, EngineConfig};
use crate::error::SequencerError;
use crate::l1::{Follower, HeadMonitor, HeadReceiver, L1Client, Proposals, RollupView};
use crate::lookout::Lookout;
use crate::network::{Alone, Network, NodeId};
use crate::node_store::{NodeStore, NodeStoreError};
use crate::pruning::Pruner;
use crate::timetable::TimetableError;
use crate::workshop::Workshop;

/// Why a node did not open. What had been opened is released again.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The node's own store.
    #[error(transparent)]
    Store(#[from] NodeStoreError),
    /// L1, a store, or a key.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
    /// The `[timetable]` does not fit the rollup's slots.
    #[error("the [timetable] does not fit the rollup's slots")]
    Timetable(#[from] TimetableError),
    /// It was closed.
    #[error("the node is closed; open it anew")]
    Closed,
    /// The genesis file.
    #[error("the genesis file cannot be used: {0}; check execution.genesis_file")]
    Genesis(String),
}

impl NodeError {
    /// The catalogue's row.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::DataDir(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Sequencer(error) => error.reason(),
            Self::Closed => Reason::Closed,
            Self::Timetable(_) | Self::Genesis(_) => Reason::ConfigInvalid,
        }
    }
}

macro_rules! into_node_error {
    ($($source:ty),*) => {
        $(impl From<$source> for NodeError {
            fn from(error: $source) -> Self {
                Self::Sequencer(error.into())
            }
        })*
    };
}
into_node_error!(
    fermata_execution::ExecutionError,
    fermata_validator_signer::SignerError,
    fermata_publisher::Error,
    fermata_rollup::RollupError
);

/// What a node is opened into.
#[derive(Clone, Default, Debug)]
pub struct Surroundings {
    /// The way to other nodes; without one the node is alone.
    pub network: Option<Arc<dyn Network>>,
    /// The clock that the time of L1 is moved by, where its owner is in this process: a node that lives by the clock of L1
    /// lives by this one. Without it, it follows the head.
    pub clock: Option<Arc<L1FollowingClock>>,
    /// Who reads the signing store before it is used.
    pub scan: Scan,
}

/// The rollup on L1, as the configuration names it.
pub(crate) struct Located {
    pub(crate) view: RollupView,
    deployed_at_block: u64,
}

impl Node {
    /// Opens stores, reads the rollup's constants from L1, and begins to follow its head. Nothing is signed or sent
    /// before the engine is started.
    ///
    /// # Errors
    /// [`NodeError`] names what is wrong and what to do; whatever had been opened is released.
    pub async fn open(config: NodeConfig) -> Result<Self, NodeError> {
        Self::open_in(config, Surroundings::default()).await
    }

    /// Opens a node among others, as [`Node::open`] does one that is alone.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub async fn open_in(config: NodeConfig, surroundings: Surroundings) -> Result<Self, NodeError> {
        let Footing { data_dir, store, clock, l1_clock, located, execution, monitor, l1_chain_id } =
            Footing::open(&config, surroundings.clock).await?;
        let Located { view, deployed_at_block } = located;
        let head = monitor.head();
        let is_recorded = store.signing_store_was_made().await?;
        let is_new = !is_recorded && store.token_hash(Scope::Danger).await?.is_none();
        let network = surroundings.network.unwrap_or_else(|| Arc::new(Alone::new(NodeId::new("this node"))));
        let scan = surroundings.scan;
        let ground = Ground {
            config: &config,
            data_dir: &data_dir,
            view: &view,
            l1_chain_id,
            clock: &clock,
            network,
            scan,
            is_new,
        };
        let proposer = watch::Sender::new(hot::proposer(&config));
        let side = watch::Sender::new(config.side.clone());
        let proposals = Proposals::new(view.clone(), deployed_at_block);
        let keys = Arc::new(keys::validators(&config.validator).await?);
        let makings = Makings {
            keys: Arc::clone(&keys),
            execution: Arc::<RevmExecution>::clone(&execution),
            head: head.clone(),
            proposals: proposals.clone(),
            proposer: proposer.subscribe(),
            side: side.subscribe(),
            store: Arc::clone(&store),
        };
        let workshop = Arc::new(makings.make(&ground).await?);
        if !is_recorded {
            store.record_signing_store().await?;
            crash_point!("sequencer.after_signing_store");
        }
        let prover = proving::open(&ground, &workshop, proposals, head.clone()).await?;
        let provers = prover.iter().map(|prover| Arc::clone(prover.publisher()));
        let managers = provers.chain([Arc::clone(&workshop.publisher)]).collect();
        let appliers = hot::appliers(&config, proposer, side, managers);
        let settings = Arc::new(Settings::new(&config, appliers));
        let background = begin_background(monitor, &workshop, head.clone());
        let pruner = Arc::new(pruner(&workshop));
        if let Some(prover) = &prover {
            background.tasks.spawn(Arc::clone(prover).run(background.ended.clone()));
        }
        let poll_interval = config.sequencer.poll_interval;
        let held = Mutex::new(Some(Held { data_dir, endpoint: None, socket: None }));
        let inner = Arc::new(Inner {
            config,
            settings,
            clock: clock.clone(),
            l1_clock,
            workshop,
            keys,
            execution,
            store,
            head,
            prover,
            background,
            pruner,
            in_run: Mutex::default(),
            held,
        });
        let engine = Engine::new(Arc::new(NodeParts(Arc::clone(&inner))), EngineConfig { poll_interval }, clock);
        Ok(Self { engine, inner })
    }
}

/// What a node stands on: its directory and first stores, its clock, and L1.
struct Footing {
    data_dir: DataDir,
    store: Arc<NodeStore>,
    clock: SharedClock,
    l1_clock: Option<Arc<L1FollowingClock>>,
    located: Located,
    execution: Arc<RevmExecution>,
    monitor: HeadMonitor,
    l1_chain_id: u64,
}

impl Footing {
    /// With the clock that is `kept` by another, where there is one.
    async fn open(config: &NodeConfig, kept: Option<Arc<L1FollowingClock>>) -> Result<Self, NodeError> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let store = Arc::new(NodeStore::open(&data_dir.node())?);
        let is_kept = kept.is_some();
        let (clock, l1_clock) = clocks(config.clock, kept);
        let follows = l1_clock.clone().filter(|_| !is_kept);
        let client = l1_client(config);
        let located = locate(config, &client).await?;
        let execution = Arc::new(open_execution(config, &data_dir, &clock).await?);
        check_genesis(&located.view, &execution).await?;
        let (times, overdue) = (*located.view.times(), config.l1.poll_interval);
        let monitor = HeadMonitor::begin(client.clone(), times, clock.clone(), follows, overdue).await?;
        let l1_chain_id = client.chain_id().await?;
        Ok(Self { data_dir, store, clock, l1_clock, located, execution, monitor, l1_chain_id })
    }
}

fn clocks(kind: ClockKind, kept: Option<Arc<L1FollowingClock>>) -> (SharedClock, Option<Arc<L1FollowingClock>>) {
    match kind {
        ClockKind::System => (Arc::new(SystemClock), None),
        ClockKind::L1 => {
            let clock = kept.unwrap_or_default();
            (Arc::<L1FollowingClock>::clone(&clock), Some(clock))
        }
    }
}

/// The L1 endpoint, as it is configured.
pub(crate) fn l1_client(config: &NodeConfig) -> L1Client {
    let provider = ProviderBuilder::default().connect_http(config.l1.rpc_url.clone()).erased();
    L1Client::new(provider, config.l1.request_timeout)
}

/// Finds the rollup and reads its constants.
///
/// # Errors
/// L1 does not answer, is another chain, or has no such contract.
pub(crate) async fn locate(config: &NodeConfig, client: &L1Client) -> Result<Located, NodeError> {
    let (rollup, deployed_at_block, expected) = match &config.l1.rollup {
        RollupLocation::Rollup(address) => (*address, 0, config.l1.chain_id),
        RollupLocation::AddressesFile(path) => {
            let addresses = L1Addresses::load(path)?;
            let expected = config.l1.chain_id.unwrap_or(addresses.l1_chain_id);
            (addresses.rollup, addresses.deployed_at_block, Some(expected))
        }
    };
    if let Some(expected) = expected {
        client.expect_chain(expected).await?;
    }
    let view = RollupView::open(client.clone(), rollup, config.l1.ethereum_slot_secs).await?;
    Ok(Located { view, deployed_at_block })
}

async fn open_execution(
    config: &NodeConfig,
    data_dir: &DataDir,
    clock: &SharedClock,
) -> Result<RevmExecution, NodeError> {
    let genesis = keys::genesis(&config.execution).map_err(NodeError::Genesis)?;
    let options =
        Options { dir: data_dir.execution(), genesis, clock: clock.clone(), mempool: config.execution.mempool.clone() };
    Ok(RevmExecution::open(options).await?)
}

async fn check_genesis(view: &RollupView, execution: &RevmExecution) -> Result<(), NodeError> {
    let on_l1 = view.archive_at(CheckpointNumber(0)).await?;
    let ours = execution.reader().genesis().hash;
    if on_l1 == ours { Ok(()) } else { Err(SequencerError::WrongGenesis { on_l1, ours }.into()) }
}

/// What the parts of a node are made from.
pub(super) struct Ground<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) data_dir: &'a DataDir,
    pub(super) view: &'a RollupView,
    pub(super) l1_chain_id: u64,
    pub(super) clock: &'a SharedClock,
    pub(super) network: Arc<dyn Network>,
    scan: Scan,
    /// No node has come up in this data directory before: neither a signing store nor an admin token is on record.
    is_new: bool,
}

impl Ground<'_> {
    pub(super) fn domain(&self) -> Domain {
        Domain { l1_chain_id: self.l1_chain_id, rollup: self.view.address() }
    }

    pub(super) async fn signer(&self, keys: Arc<KeyRing>) -> Result<ValidatorSigner, NodeError> {
        let stores = Stores {
            config: &self.config.protection,
            data_dir: self.data_dir,
            domain: self.domain(),
            times: *self.view.times(),
            clock: self.clock.clone(),
            scan: self.scan.clone(),
            holder: self.network.id().to_string(),
            is_new: self.is_new,
        };
        Ok(ValidatorSigner::owning(stores.open().await?, keys))
    }

    /// What lands the L1 transactions of the slots.
    pub(super) fn publisher(&self, heads: HeadReceiver) -> Result<PublisherManager, NodeError> {
        let settings = &self.config.publisher;
        let publishers = keys::publishers(&settings.keys)?;
        let funder = self.funder()?;
        let funding = settings.funding.as_ref().map(|settings| settings.funding.clone());
        self.manager(("publisher", self.data_dir.publisher()), (PublisherKeys { publishers, funder }, funding), heads)
    }

    /// The key of the account that tops up the publishers, where there is one.
    pub(super) fn funder(&self) -> Result<Option<PrivateKeySigner>, NodeError> {
        let settings = self.config.publisher.funding.as_ref();
        Ok(settings.map(|settings| keys::funder(&settings.key)).transpose()?)
    }

    /// A manager of these accounts, which keeps its records in `dir` and tells its figures under `name`.
    pub(super) fn manager(
        &self,
        (name, dir): (&str, PathBuf),
        (keys, funding): (PublisherKeys, Option<FundingConfig>),
        heads: HeadReceiver,
    ) -> Result<PublisherManager, NodeError> {
        let options = PublisherConfig {
            name: name.to_owned(),
            confirmations: self.config.publisher.confirmations,
            fees: self.config.publisher.fees.clone(),
            funding,
            rpc_timeout: self.config.l1.request_timeout,
            ..PublisherConfig::new(self.l1_chain_id, self.view.times().ethereum_slot(), dir)
        };
        let l1 = l1_of(self.config, self.view.client().provider().clone(), heads);
        Ok(PublisherManager::open(options, keys, l1, self.clock.clone())?)
    }
}

/// L1 as a publisher is given it: read from where the node reads, and sent to where the configuration says.
fn l1_of(config: &NodeConfig, provider: DynProvider, heads: HeadReceiver) -> L1 {
    let backend = |(name, url): (String, &Url)| SendBackend {
        name,
        provider: ProviderBuilder::default().connect_http(url.clone()).erased(),
    };
    L1 { send_to: config.l1.named_send_urls().into_iter().map(backend).collect(), ..L1::new(provider, heads) }
}

fn begin_background(monitor: HeadMonitor, workshop: &Arc<Workshop>, head: HeadReceiver) -> Background {
    let background = Background::default();
    let (committees, chain) = (Arc::clone(&workshop.committees), Arc::clone(&workshop.chain));
    let watch = Arc::clone(&workshop.side).watch(head.clone(), background.ended.clone());
    let follower = Follower::new(workshop.view.clone(), committees, chain, head, workshop.clock.clone());
    background.tasks.spawn(monitor.run(background.ended.clone()));
    background.tasks.spawn(follower.run(background.ended.clone()));
    background.tasks.spawn(watch);
    let peers = &workshop.peers;
    let lookout = Lookout::new(peers.network.as_ref(), workshop.own_keys.clone(), peers.domain, workshop.clock.clone());
    background.tasks.spawn(lookout.run(background.ended.clone()));
    background
}

fn pruner(workshop: &Workshop) -> Pruner {
    let (protection, l1) = (Arc::clone(workshop.signer.protection()), workshop.view.client().clone());
    Pruner::new(protection, Arc::new(l1), *workshop.timetable.times(), workshop.clock.clone())
}

#[cfg(test)]
mod tests;
