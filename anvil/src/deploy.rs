//! Deployment of the whole L1 rollup, on any L1 where an account can pay for it.
//!
//! Two steps, each of transactions that need not wait for each other: the foundations (tokens, registry, stake registry,
//! governance, libraries), then the rollup, whose block's timestamp is the rollup's genesis time, and its registration.

mod bindings;
mod check;
mod config;
mod constructor;
mod multicall3;
mod sender;

use std::collections::BTreeMap;
use std::path::Path;

use alloy::primitives::{Address, U256};
use alloy::providers::MULTICALL3_ADDRESS;
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolValue};
use fermata_primitives::{L1Timestamp, SlotTimes};
use fermata_rollup::contracts::IRollup;
use fermata_rollup::{ADDRESSES_VERSION, L1Addresses};

use self::bindings::IOwners;
pub use self::config::{DeployConfig, EscapeHatchConfig, GovernanceProposerConfig, SlashingConfig, StakingQueue};
pub(crate) use self::sender::Sender;
pub use self::sender::{L1Access, Mining};
use crate::provider::ask;
use crate::{Artifacts, Result};

/// Every contract that is deployed, with the gas its deployment may take: what it takes, which the pinned artifacts fix,
/// and a sixth. Limits that are known beforehand let each transaction go out without waiting for the one before it.
const GAS: [(&str, u64); 13] = [
    ("TestERC20", 900_000),
    ("Registry", 820_000),
    ("GSE", 4_400_000),
    ("GovernanceProposer", 2_400_000),
    ("Governance", 3_700_000),
    ("MockVerifier", 160_000),
    ("RollupOperationsExtLib", 6_300_000),
    ("ValidatorOperationsExtLib", 5_900_000),
    ("RewardExtLib", 2_800_000),
    ("TallySlasherDeploymentExtLib", 5_300_000),
    ("EmpireSlasherDeploymentExtLib", 2_700_000),
    ("Rollup", 14_000_000),
    ("EscapeHatch", 2_900_000),
];
/// The libraries that the rollup's code is linked to.
const LIBRARIES: [(&str, &str); 5] = [
    ("RollupOperationsExtLib", "deploy the rollup's operations"),
    ("ValidatorOperationsExtLib", "deploy the validators' operations"),
    ("RewardExtLib", "deploy the rewards"),
    ("TallySlasherDeploymentExtLib", "deploy the tally slasher"),
    ("EmpireSlasherDeploymentExtLib", "deploy the empire slasher"),
];
/// Gas an owner's call may take.
const OWNERS_CALL_GAS: u64 = 150_000;
/// Owner's calls of a deployment.
const OWNERS_CALLS: u64 = 8;
/// Checkpoints whose rewards are there from the start, as in upstream's test networks.
const FUNDED_CHECKPOINTS: u64 = 200_000;

/// What the rollup stands on.
#[derive(Clone, Debug)]
pub struct Foundations {
    fee_asset: Address,
    staking_asset: Address,
    registry: Address,
    gse: Address,
    governance: Address,
    governance_proposer: Address,
    verifier: Address,
    libraries: BTreeMap<&'static str, Address>,
    /// Multicall3 is still to come; its deployer is paid.
    multicall3_to_come: bool,
}

impl Foundations {
    /// The one contract that the registry's constructor creates.
    fn reward_distributor(&self) -> Address {
        self.registry.create(1)
    }
}

/// A deployed rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Where everything is.
    pub addresses: L1Addresses,
    /// Its time model; its genesis is the L1 time of the block that deployed it.
    pub times: SlotTimes,
    /// Gas of all transactions together.
    pub gas_used: u64,
}

/// Deploys a rollup step by step; [`deploy`] does it in one go.
#[derive(Debug)]
pub struct Deployer {
    config: DeployConfig,
    artifacts: Artifacts,
    sender: Sender,
    gas_used: u64,
}

/// Deploys the whole L1 rollup with the artifacts below `artifacts`.
///
/// # Errors
/// Before anything is sent: `InvalidConfig`, `SlotTimes`, `Artifact`, `L1Unreachable`, `WrongChain`, `WithoutFunds`,
/// `Multicall`. Later: `Reverted`, `NotMined`; what was deployed by then is of no use to anybody.
///
/// # Cancel safety
/// Dropped half-way, the transactions sent so far stay; deploy anew.
pub async fn deploy(config: DeployConfig, artifacts: &Path, access: L1Access) -> Result<Deployment> {
    config.check()?;
    let artifacts = Deployer::load_artifacts(artifacts)?;
    let mut deployer = Deployer::connect(config, artifacts, access).await?;
    let foundations = deployer.foundations().await?;
    deployer.rollup(&foundations).await
}

impl Deployer {
    /// Reads all that a deployment needs below `out`; takes some tens of milliseconds.
    ///
    /// # Errors
    /// [`AnvilError::Artifact`](crate::AnvilError::Artifact) names the first that is missing or unusable.
    pub fn load_artifacts(out: &Path) -> Result<Artifacts> {
        Artifacts::load(out, &GAS.map(|(name, _)| name))
    }

    /// Checks the configuration, the chain and the account. Sends nothing.
    ///
    /// # Errors
    /// As [`deploy`], before anything is sent.
    pub async fn connect(config: DeployConfig, artifacts: Artifacts, access: L1Access) -> Result<Self> {
        config.check()?;
        let sender = Sender::connect(access, config.l1_chain_id).await?;
        let deployments: u64 = GAS.iter().map(|(_, gas)| gas).sum();
        let gas = deployments + gas_of("TestERC20") + OWNERS_CALLS * OWNERS_CALL_GAS;
        sender.require_funds(gas, multicall3::FUNDS).await?;
        Ok(Self { config, artifacts, sender, gas_used: 0 })
    }

    /// Deploys everything that the rollup stands on.
    ///
    /// # Errors
    /// As [`deploy`].
    pub async fn foundations(&mut self) -> Result<Foundations> {
        let multicall3_to_come = !multicall3::exists(&self.sender).await?;
        if multicall3_to_come {
            multicall3::fund(&mut self.sender).await?;
        }
        let token =
            |owner: Address, name: &str, symbol: &str| (name.to_owned(), symbol.to_owned(), owner).abi_encode_params();
        let owner = self.sender.address();
        let staking_asset =
            self.create("deploy the staking asset", "TestERC20", token(owner, "Staking", "STK")).await?;
        let fee_asset = self.create("deploy the fee asset", "TestERC20", token(owner, "FeeJuice", "FEE")).await?;
        let registry = self.create("deploy the registry", "Registry", (owner, fee_asset).abi_encode_params()).await?;
        let (activation, ejection) = (self.config.activation_threshold, self.config.ejection_threshold);
        let arguments = (owner, staking_asset, activation, ejection).abi_encode_params();
        let gse = self.create("deploy the stake registry", "GSE", arguments).await?;
        let (governance_proposer, governance) = self.governance(registry, gse, staking_asset).await?;
        let verifier = self.create("deploy the mock verifier", "MockVerifier", Vec::new()).await?;
        let mut libraries = BTreeMap::new();
        for (library, action) in LIBRARIES {
            libraries.insert(library, self.create(action, library, Vec::new()).await?);
        }
        self.settle().await?;
        Ok(Foundations {
            fee_asset,
            staking_asset,
            registry,
            gse,
            governance,
            governance_proposer,
            verifier,
            libraries,
            multicall3_to_come,
        })
    }

    /// The governance proposer, and governance that listens to it.
    async fn governance(&mut self, registry: Address, gse: Address, asset: Address) -> Result<(Address, Address)> {
        let signals = self.config.governance_proposer;
        let (quorum, round) = (U256::from(signals.quorum()), U256::from(signals.round_slots));
        let arguments = (registry, gse, quorum, round).abi_encode_params();
        let proposer = self.create("deploy the governance proposer", "GovernanceProposer", arguments).await?;
        let arguments = constructor::governance(asset, proposer);
        let governance = self.create("deploy governance", "Governance", arguments).await?;
        Ok((proposer, governance))
    }

    /// Deploys the rollup, registers it and hands it over to governance; the tokens stay the deployer's to mint. The
    /// timestamp of the block that takes the deployment is the rollup's genesis time.
    ///
    /// # Errors
    /// As [`deploy`].
    pub async fn rollup(&mut self, on: &Foundations) -> Result<Deployment> {
        let arguments = constructor::rollup(&self.config, on, self.sender.address());
        let code = self.artifacts.get("Rollup").link(&on.libraries, &arguments)?;
        let rollup = self.sender.create("deploy the rollup", code, gas_of("Rollup")).await?;
        let governs = IOwners::setGovernanceCall { governance: on.governance };
        self.own("tell the stake registry its governance", on.gse, &governs).await?;
        let add = IOwners::addRollupCall { rollup };
        self.own("register the rollup", on.registry, &add).await?;
        self.own("register the rollup for stake", on.gse, &add).await?;
        self.escape_hatch(on, rollup).await?;
        let hand_over = IOwners::transferOwnershipCall { newOwner: on.governance };
        self.own("hand the rollup to governance", rollup, &hand_over).await?;
        self.own("hand the registry to governance", on.registry, &hand_over).await?;
        self.own("hand the stake registry to governance", on.gse, &hand_over).await?;
        let amount = constructor::CHECKPOINT_REWARD * U256::from(FUNDED_CHECKPOINTS);
        let rewards = IOwners::mintCall { to: on.reward_distributor(), amount };
        self.own("fund the rewards", on.fee_asset, &rewards).await?;
        if on.multicall3_to_come {
            multicall3::deploy(&mut self.sender).await?;
        }
        let receipts = self.settle().await?;
        let deployed = receipts.iter().find(|receipt| receipt.contract_address == Some(rollup));
        let deployed_at_block = deployed.and_then(|receipt| receipt.block_number).unwrap_or_default();
        self.deployment(on, rollup, deployed_at_block).await
    }

    /// The escape hatch, where one is asked for; the rollup knows it from its next epoch on.
    async fn escape_hatch(&mut self, on: &Foundations, rollup: Address) -> Result<()> {
        let Some(config) = self.config.escape_hatch else { return Ok(()) };
        let arguments = constructor::escape_hatch(&config, rollup, on.staking_asset);
        let hatch = self.create("deploy the escape hatch", "EscapeHatch", arguments).await?;
        let update = IRollup::updateEscapeHatchCall { _escapeHatch: hatch };
        self.own("tell the rollup its escape hatch", rollup, &update).await
    }

    async fn deployment(&self, on: &Foundations, rollup: Address, deployed_at_block: u64) -> Result<Deployment> {
        let provider = self.sender.provider();
        let inbox = ask(provider, rollup, IRollup::getInboxCall {}).await?;
        let genesis = ask(provider, rollup, IRollup::getGenesisTimeCall {}).await?;
        let DeployConfig { slot_secs, epoch_slots, ethereum_slot_secs, l1_chain_id, genesis_archive, .. } = self.config;
        let times = SlotTimes::new(L1Timestamp(genesis.saturating_to()), slot_secs, epoch_slots, ethereum_slot_secs)?;
        let addresses = L1Addresses {
            version: ADDRESSES_VERSION,
            l1_chain_id,
            rollup,
            registry: on.registry,
            gse: on.gse,
            governance: on.governance,
            governance_proposer: on.governance_proposer,
            fee_asset: on.fee_asset,
            staking_asset: on.staking_asset,
            inbox,
            multicall3: MULTICALL3_ADDRESS,
            deployed_at_block,
            genesis_archive,
        };
        Ok(Deployment { addresses, times, gas_used: self.gas_used })
    }

    async fn create(&mut self, action: &'static str, name: &'static str, arguments: Vec<u8>) -> Result<Address> {
        let code = self.artifacts.get(name).link(&BTreeMap::new(), &arguments)?;
        self.sender.create(action, code, gas_of(name)).await
    }

    async fn own(&mut self, action: &'static str, contract: Address, call: &impl SolCall) -> Result<()> {
        self.sender.call(action, contract, call.abi_encode(), OWNERS_CALL_GAS).await
    }

    async fn settle(&mut self) -> Result<Vec<TransactionReceipt>> {
        let receipts = self.sender.settle(|revert| self.artifacts.explain(revert)).await?;
        self.gas_used += receipts.iter().map(|receipt| receipt.gas_used).sum::<u64>();
        Ok(receipts)
    }
}

/// Gas that the deployment of `name` may take.
fn gas_of(name: &str) -> u64 {
    GAS.iter().find(|(contract, _)| *contract == name).map_or(0, |(_, gas)| *gas)
}
