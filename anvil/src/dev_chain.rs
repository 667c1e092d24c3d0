//! An L1 with a rollup on it, ready to build on, in about a second.
//!
//! A committee is drawn from the validators of some epochs ago, so a fresh rollup has none for as long. A dev chain's L1
//! therefore begins in the past: anvil starts with a genesis that old, the rollup is deployed and the validators stake
//! there, and one warp brings the chain to now. What is left to choose is the phase: the rollup's genesis time is chosen
//! so that a build frame opens just when the node can have started.

mod accounts;
mod warm_up;

use std::time::Duration;

use alloy::providers::DynProvider;
use fermata_primitives::{L1Timestamp, SharedClock, Slot, UnixTime};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

pub use self::accounts::DevAccounts;
use crate::{
    Anvil, AnvilConfig, AnvilError, AnvilMining, Artifacts, DeployConfig, Deployer, Deployment, IntervalMining,
    L1Access, L1Clock, Mining, Result, StakeDeposit, find_artifacts, submit_deposits,
};

/// What a dev chain is like.
#[derive(Clone, Debug)]
pub struct DevChainConfig {
    /// How anvil runs; its genesis time and mining are set by the dev chain, its chain id by `deploy`.
    pub anvil: AnvilConfig,
    /// What the rollup is deployed with.
    pub deploy: DeployConfig,
    /// How many validators stake.
    pub validators: u32,
    /// What the caller needs from the dev chain's being ready until its node can build: no frame opens before.
    pub node_start: Duration,
}

impl Default for DevChainConfig {
    fn default() -> Self {
        let node_start = Duration::from_millis(150);
        Self { anvil: AnvilConfig::default(), deploy: DeployConfig::default(), validators: 4, node_start }
    }
}

impl DevChainConfig {
    /// With this many validators, all of whom are the committee and enter in one epoch. A large one votes on slashing in
    /// shorter rounds: each vote has room for so many members in so many epochs.
    #[must_use]
    pub fn with_committee_of(mut self, validators: u32) -> Self {
        self.validators = validators;
        self.deploy.committee_size = u64::from(validators);
        let queue = &mut self.deploy.staking_queue;
        queue.normal_flush_size_min = queue.normal_flush_size_min.max(validators);
        queue.max_queue_flush_size = queue.max_queue_flush_size.max(validators);
        self.deploy.slashing.shorten_rounds_for(self.deploy.committee_size);
        self
    }

    fn check(&self) -> Result<()> {
        self.deploy.check()?;
        let seats = self.deploy.committee_size;
        if u64::from(self.validators) < seats {
            let problem = format!("a committee of {seats} (`deploy.committee_size`) needs at least as many");
            return Err(AnvilError::InvalidConfig { key: "validators", problem });
        }
        Ok(())
    }
}

/// How long each step of a start took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartReport {
    /// Until anvil listened, the artifacts were read and the keys computed.
    pub anvil: Duration,
    /// Until the foundations stood.
    pub foundations: Duration,
    /// Until the rollup stood.
    pub rollup: Duration,
    /// Until the validators were in.
    pub stake: Duration,
    /// Until L1 time was wall time and blocks came by themselves.
    pub warp: Duration,
}

impl StartReport {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.anvil + self.foundations + self.rollup + self.stake + self.warp
    }
}

/// A running L1 with a rollup on it and a committee that stands. Dropping it ends the L1.
#[derive(Debug)]
pub struct DevChain {
    /// The L1.
    pub anvil: Anvil,
    /// A provider for it.
    pub provider: DynProvider,
    /// The owner of its clock, mining a block each Ethereum slot.
    pub l1_clock: L1Clock,
    /// Where the rollup is, and its time model.
    pub deployment: Deployment,
    /// Who can pay and sign.
    pub accounts: DevAccounts,
    /// The slot whose build frame opens first, at [`DevChain::frame_opens`] of it.
    pub first_slot: Slot,
    /// What took how long.
    pub took: StartReport,
    /// Anvil's first blob, which takes it a while.
    warm_up: TaskTracker,
}

impl DevChain {
    /// Starts anvil, deploys, stakes, and brings L1 time to wall time.
    ///
    /// # Errors
    /// Those of [`Anvil::start`], [`crate::deploy`] and [`submit_deposits`]; nothing keeps running.
    ///
    /// # Cancel safety
    /// Dropping the future ends the L1.
    pub async fn start(config: DevChainConfig, clock: SharedClock) -> Result<Self> {
        config.check()?;
        let plan = Plan { config: &config, clock: clock.clone() };
        let mut watch = Stopwatch::new(clock.clone());
        let prepared = Prepared::begin(config.validators)?;
        let anvil = Anvil::start(&plan.anvil(), clock.clone()).await?;
        let provider = anvil.provider()?;
        let warm_up = TaskTracker::new();
        warm_up.spawn(warm_up::meet_a_blob(provider.clone(), accounts::idle()?, config.deploy.l1_chain_id));
        warm_up.close();
        let l1_clock = L1Clock::own(provider.clone(), clock.clone()).await?;
        let Prepared { artifacts, accounts, deposits } =
            prepared.await.expect("reading and counting is not aborted")?;
        let took_anvil = watch.lap();

        let mining = Mining::ByUs(l1_clock.clone());
        let deployer = accounts.deployer.clone();
        let access = L1Access { provider: provider.clone(), deployer, mining, clock: clock.clone() };
        let mut deployer = Deployer::connect(config.deploy.clone(), artifacts, access.clone()).await?;
        let foundations = deployer.foundations().await?;
        let took_foundations = watch.lap();

        let genesis = plan.rollup_genesis(took_foundations);
        // The deployment's block is the one after this, a second later.
        l1_clock.warp_to(genesis.minus_secs(1)).await?;
        let deployment = deployer.rollup(&foundations).await?;
        let actual = deployment.times.genesis();
        if actual != genesis {
            return Err(AnvilError::ClockDisobeyed { wanted: genesis, actual });
        }
        let took_rollup = watch.lap();

        submit_deposits(access, &deployment.addresses, &deposits).await?;
        let took_stake = watch.lap();

        let grid = IntervalMining::new(genesis, config.deploy.ethereum_slot_secs)?;
        l1_clock.warp_to(grid.at_or_before(clock.now().floor_secs())).await?;
        l1_clock.start_interval(grid)?;
        let took = StartReport {
            anvil: took_anvil,
            foundations: took_foundations,
            rollup: took_rollup,
            stake: took_stake,
            warp: watch.lap(),
        };
        let first_slot = plan.first_slot(&deployment);
        Ok(Self { anvil, provider, l1_clock, deployment, accounts, first_slot, took, warm_up })
    }

    /// When the build frame of `slot` opens: a slot and an Ethereum slot before it starts.
    #[must_use]
    pub const fn frame_opens(&self, slot: Slot) -> L1Timestamp {
        let times = &self.deployment.times;
        times.start_of(slot).minus_secs(times.slot().as_secs() + times.ethereum_slot().as_secs())
    }

    /// Waits until anvil has met its first blob, and is as quick with the next as it will ever be.
    pub async fn warmed_up(&self) {
        self.warm_up.wait().await;
    }

    /// Stops mining, then anvil, gracefully.
    ///
    /// # Errors
    /// Those of [`Anvil::stop`].
    pub async fn stop(self) -> Result<()> {
        self.l1_clock.stop_interval().await;
        self.warm_up.wait().await;
        self.anvil.stop().await.map(drop)
    }
}

/// What a start needs and can be made ready while anvil starts.
struct Prepared {
    artifacts: Artifacts,
    accounts: DevAccounts,
    deposits: Vec<StakeDeposit>,
}

impl Prepared {
    /// Reads artifacts and computes keys, off the runtime's threads.
    fn begin(validators: u32) -> Result<JoinHandle<Result<Self>>> {
        let out = find_artifacts()?;
        Ok(tokio::task::spawn_blocking(move || {
            let accounts = DevAccounts::derive(validators)?;
            let deposits = accounts.registrations()?.iter().map(StakeDeposit::from).collect();
            Ok(Self { artifacts: Deployer::load_artifacts(&out)?, accounts, deposits })
        }))
    }
}

/// The arithmetic of a start.
struct Plan<'a> {
    config: &'a DevChainConfig,
    clock: SharedClock,
}

impl Plan<'_> {
    /// Slots between the rollup's genesis and the first frame: the validator set's lag, an epoch to stake in, an epoch to
    /// spare, and so far into the epoch that its committee is asked for from the first moment on.
    fn head_start(&self) -> u64 {
        let deploy = &self.config.deploy;
        (deploy.validator_set_lag_epochs + 2) * deploy.epoch_slots + 2
    }

    fn anvil(&self) -> AnvilConfig {
        let deploy = &self.config.deploy;
        // Two slots of room for what comes before the rollup's genesis.
        let room = (self.head_start() + 2) * deploy.slot_secs;
        let genesis = Some(self.clock.now().floor_secs().minus_secs(room));
        let mining = AnvilMining::OnDemand;
        AnvilConfig { chain_id: deploy.l1_chain_id, genesis_timestamp: genesis, mining, ..self.config.anvil.clone() }
    }

    /// The genesis time with which a frame opens as soon as everything can be ready. What is still to do takes about as
    /// long as the foundations `took`; on a busy machine a little more may be left to it.
    fn rollup_genesis(&self, took: Duration) -> L1Timestamp {
        let deploy = &self.config.deploy;
        let ready = self.clock.now() + took.mul_f64(1.5) + self.config.node_start;
        let opens = (ready + Duration::from_nanos(999_999_999)).floor_secs();
        let starts = opens.plus_secs(deploy.slot_secs + deploy.ethereum_slot_secs);
        starts.minus_secs(self.head_start() * deploy.slot_secs)
    }

    /// The first slot whose frame opens late enough for the caller's node.
    fn first_slot(&self, deployment: &Deployment) -> Slot {
        let times = &deployment.times;
        let ready = self.clock.now() + self.config.node_start;
        let lead = times.slot().as_secs() + times.ethereum_slot().as_secs();
        let mut slot = Slot(self.head_start());
        while UnixTime::from(times.start_of(slot).minus_secs(lead)) < ready {
            slot = slot.next();
        }
        slot
    }
}

/// Tells the time between laps.
struct Stopwatch {
    clock: SharedClock,
    last: Duration,
}

impl Stopwatch {
    fn new(clock: SharedClock) -> Self {
        let last = clock.monotonic();
        Self { clock, last }
    }

    fn lap(&mut self) -> Duration {
        let now = self.clock.monotonic();
        let lap = now.saturating_sub(self.last);
        self.last = now;
        lap
    }
}
