//! An L1 for a test: an anvil of the pool, with a cached state of a rollup whose validators are staked.
//!
//! Its time is not the wall's: every one of the same configuration begins at the same moment, with the same blocks.

use std::sync::Arc;

use alloy::providers::DynProvider;
use fermata_primitives::{L1Timestamp, SharedClock, SlotTimes};

use crate::dev_chain::{DevChainConfig, Prepared, rollup_at};
use crate::state_cache::{CachedState, Stands, StateCache, key_of};
use crate::{
    AnvilConfig, AnvilError, AnvilMining, AnvilPool, Cheats, Deployer, Deployment, DevAccounts, L1Access, L1Clock,
    LeasedAnvil, Mining, Result, submit_deposits,
};

/// When such an L1 begins: far enough ahead that a clock that has not seen it yet is before all that is due on it.
const BEGIN: L1Timestamp = L1Timestamp(1_900_000_000);
/// When its rollup begins: the foundations are deployed before.
const ROLLUP_BEGINS: L1Timestamp = L1Timestamp(1_900_000_100);

/// An L1 with a rollup on it and its validators staked. No block comes until one is asked for. Dropped, its anvil serves
/// another test.
#[derive(Debug)]
pub struct TestL1 {
    /// The L1.
    pub anvil: Arc<LeasedAnvil>,
    /// A provider for it.
    pub provider: DynProvider,
    /// The owner of its clock.
    pub l1_clock: L1Clock,
    /// Where the rollup is, and its time model.
    pub deployment: Deployment,
    /// Who can pay and sign.
    pub accounts: DevAccounts,
}

impl TestL1 {
    /// Loads the state of that configuration into an anvil of this process's pool; deploys and stakes first where that
    /// was never done. `clock` is what interval mining will follow.
    ///
    /// # Errors
    /// As [`crate::DevChain::start`]; [`AnvilError::StateCache`] where the state cannot be kept.
    ///
    /// # Cancel safety
    /// Dropped early, the anvil goes back to the pool.
    pub async fn start(config: &DevChainConfig, clock: SharedClock) -> Result<Self> {
        config.check()?;
        let anvil_config = anvil_of(config);
        let validators = config.validators;
        let accounts = tokio::task::spawn_blocking(move || DevAccounts::derive(validators));
        let key = key_of(config, &anvil_config)?;
        let make = make(key, config, &anvil_config, clock.clone());
        let CachedState { stands, dump } = StateCache::of_this_build().get_or_make(key, make).await?;
        let anvil = AnvilPool::of_this_process().lease(&anvil_config).await?;
        Cheats::new(anvil.staff_provider()?).load_state(&dump).await?;
        let l1_clock = L1Clock::of_loaded(&anvil, clock).await?;
        if l1_clock.head().hash != stands.head {
            return Err(AnvilError::CheatFailed { action: "load a state it dumped" });
        }
        let accounts = accounts.await.expect("deriving keys does not panic and is not aborted")?;
        let (provider, deployment) = (anvil.provider()?, stands.deployment(config)?);
        Ok(Self { anvil: Arc::new(anvil), provider, l1_clock, deployment, accounts })
    }
}

impl Stands {
    fn deployment(&self, config: &DevChainConfig) -> Result<Deployment> {
        let deploy = &config.deploy;
        let times = SlotTimes::new(self.genesis, deploy.slot_secs, deploy.epoch_slots, deploy.ethereum_slot_secs)?;
        Ok(Deployment { addresses: self.addresses, times, gas_used: self.gas_used })
    }
}

fn anvil_of(config: &DevChainConfig) -> AnvilConfig {
    AnvilConfig {
        chain_id: config.deploy.l1_chain_id,
        genesis_timestamp: Some(BEGIN),
        mining: AnvilMining::OnDemand,
        state: None,
        ..config.anvil.clone()
    }
}

/// Deploys the rollup, stakes its validators, and takes the state down.
async fn make(
    key: alloy::primitives::B256,
    config: &DevChainConfig,
    anvil: &AnvilConfig,
    clock: SharedClock,
) -> Result<CachedState> {
    let prepared = Prepared::begin(config.validators)?;
    let anvil = AnvilPool::of_this_process().lease(anvil).await?;
    let provider = anvil.staff_provider()?;
    let l1_clock = L1Clock::own(provider.clone(), clock.clone()).await?;
    let Prepared { artifacts, accounts, deposits } = prepared.await.expect("reading and counting is not aborted")?;
    let mining = Mining::ByUs(l1_clock.clone());
    let access = L1Access { provider: provider.clone(), deployer: accounts.deployer, mining, clock };
    let mut deployer = Deployer::connect(config.deploy.clone(), artifacts, access.clone()).await?;
    let foundations = deployer.foundations().await?;
    let Deployment { addresses, times, gas_used } =
        rollup_at(&mut deployer, &foundations, &l1_clock, ROLLUP_BEGINS).await?;
    submit_deposits(access, &addresses, &deposits).await?;
    let dump = Cheats::new(provider).dump_state().await?;
    let stands = Stands { key, addresses, genesis: times.genesis(), gas_used, head: l1_clock.head().hash };
    Ok(CachedState { stands, dump })
}
