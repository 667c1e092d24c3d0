//! An L1 with a rollup on it, ready to build on, in about a second.
//!
//! A committee is drawn from the validators of some epochs ago, so a fresh rollup has none for as long. A dev chain's L1
//! therefore begins in the past: anvil starts with a genesis that old, the rollup is deployed and the validators stake
//! there, and one warp brings the chain to now. What is left to choose is the phase: the rollup's genesis time is chosen
//! so that a build frame opens just when the node can have started.

mod accounts;
mod l1_process;
mod plan;
mod prepared;
mod stopwatch;

use std::sync::Arc;
use std::time::Duration;

use alloy::providers::DynProvider;
use fermata_primitives::{L1FollowingClock, L1Timestamp, SharedClock, Slot, UnixTime};
use tokio_util::task::TaskTracker;

pub use self::accounts::DevAccounts;
pub(crate) use self::accounts::idle_account;
pub use self::l1_process::L1Process;
use self::plan::Plan;
pub(crate) use self::prepared::Prepared;
use self::stopwatch::Stopwatch;
use crate::deploy::Foundations;
use crate::{
    Anvil, AnvilConfig, AnvilError, DeployConfig, Deployer, Deployment, IntervalMining, L1Access, L1Clock, Mining,
    Result, TestL1, submit_deposits, warm_up,
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

    pub(crate) fn check(&self) -> Result<()> {
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartReport {
    /// Until anvil listened, the artifacts were read and the keys computed; of a restored chain, until its state was loaded.
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
    pub anvil: L1Process,
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
        warm_up.spawn(warm_up::meet_a_blob(provider.clone(), idle_account()?, config.deploy.l1_chain_id));
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
        let deployment = rollup_at(&mut deployer, &foundations, &l1_clock, genesis).await?;
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
        let anvil = L1Process::Own(Box::new(anvil));
        Ok(Self { anvil, provider, l1_clock, deployment, accounts, first_slot, took, warm_up })
    }

    /// As [`DevChain::start`], on a [`TestL1`]: in a fraction of the time, and each time with the same blocks. L1 time is not
    /// wall time but goes on from where the state was taken, and `clock` with it.
    ///
    /// # Errors
    /// Those of [`TestL1::start`].
    ///
    /// # Cancel safety
    /// Dropping the future gives the anvil back.
    pub async fn restore(config: DevChainConfig, clock: Arc<L1FollowingClock>) -> Result<Self> {
        let shared: SharedClock = Arc::<L1FollowingClock>::clone(&clock);
        let plan = Plan { config: &config, clock: shared.clone() };
        let mut watch = Stopwatch::new(shared.clone());
        let TestL1 { anvil, provider, l1_clock, deployment, accounts } = TestL1::start(&config, shared).await?;
        let took_anvil = watch.lap();

        let first_slot = Slot(plan.head_start());
        let opens = frame_opens(&deployment, first_slot);
        let grid = IntervalMining::new(deployment.times.genesis(), config.deploy.ethereum_slot_secs)?;
        let (ready, last) = (UnixTime::from(opens) - config.node_start, grid.before(opens));
        // Of the state's own blocks anvil knows the newest alone; with two more, the finalized one is known as well.
        l1_clock.warp_to(grid.before(last)).await?;
        l1_clock.warp_to(last).await?;
        clock.set(ready.max(last.into()));
        l1_clock.start_interval(grid)?;
        let took = StartReport { anvil: took_anvil, warp: watch.lap(), ..StartReport::default() };
        let (anvil, warm_up) = (L1Process::Leased(anvil), TaskTracker::new());
        warm_up.close();
        Ok(Self { anvil, provider, l1_clock, deployment, accounts, first_slot, took, warm_up })
    }

    /// When the build frame of `slot` opens: a slot and an Ethereum slot before it starts.
    #[must_use]
    pub const fn frame_opens(&self, slot: Slot) -> L1Timestamp {
        frame_opens(&self.deployment, slot)
    }

    /// Stops mining, then anvil, gracefully.
    ///
    /// # Errors
    /// Those of [`Anvil::stop`].
    pub async fn stop(self) -> Result<()> {
        self.l1_clock.stop_interval().await;
        self.warm_up.wait().await;
        self.anvil.stop().await
    }
}

/// When the build frame of `slot` opens: a slot and an Ethereum slot before it starts.
const fn frame_opens(deployment: &Deployment, slot: Slot) -> L1Timestamp {
    let times = &deployment.times;
    times.start_of(slot).minus_secs(times.slot().as_secs() + times.ethereum_slot().as_secs())
}

/// Deploys the rollup so that its genesis time is `genesis`.
pub(crate) async fn rollup_at(
    deployer: &mut Deployer,
    foundations: &Foundations,
    l1_clock: &L1Clock,
    genesis: L1Timestamp,
) -> Result<Deployment> {
    // The deployment's block is the one after this, a second later.
    l1_clock.warp_to(genesis.minus_secs(1)).await?;
    let deployment = deployer.rollup(foundations).await?;
    let actual = deployment.times.genesis();
    if actual == genesis { Ok(deployment) } else { Err(AnvilError::ClockDisobeyed { wanted: genesis, actual }) }
}
