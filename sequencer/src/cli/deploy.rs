//! `fermata deploy`: the whole L1 rollup on any L1, with its validators staked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, keccak256};
use alloy::providers::Provider;
use alloy::signers::local::PrivateKeySigner;
use clap::Args;
use fermata_anvil::{
    AnvilError, BlsSecret, DeployConfig, L1Access, Mining, ValidatorRegistration, connect, deploy, find_artifacts,
    stake,
};
use fermata_primitives::SystemClock;

use super::{Console, Failure, NodeArgs};
use crate::catalogue::Reason;
use crate::config::NodeConfig;
use crate::node::genesis_hash;

/// Options of `fermata deploy`.
#[derive(Args, Clone, Debug)]
pub struct DeployArgs {
    /// JSON-RPC endpoint of L1.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub l1_rpc_url: String,
    /// Private key that pays; better in the environment than in the shell's history.
    #[arg(long, env = "FERMATA_DEPLOYER_KEY", hide_env_values = true, value_name = "HEX")]
    pub deployer_key: String,
    /// Where the addresses are written.
    #[arg(long, value_name = "FILE", default_value = "addresses.json")]
    pub out: PathBuf,
    /// JSON file with the deployment's settings; what it leaves out has its default. `fermata deploy --print-settings`
    /// prints them all.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Print the settings and deploy nothing.
    #[arg(long)]
    pub print_settings: bool,
    /// Hash of the L2 genesis block, instead of the one that the node's `execution` settings make.
    #[arg(long, value_name = "HASH")]
    pub genesis_archive: Option<B256>,
    /// Private keys of validators to stake, one a line; the deployer may withdraw.
    #[arg(long, value_name = "FILE")]
    pub validators: Option<PathBuf>,
    /// Longest wait for a transaction to be mined, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait: u64,
    /// The node that the rollup is deployed for.
    #[command(flatten)]
    pub node: GenesisArgs,
}

/// Where the L2 genesis is read from.
#[derive(Args, Clone, Debug)]
pub struct GenesisArgs {
    /// TOML file of the node that the rollup is for.
    #[arg(long, env = "FERMATA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl DeployArgs {
    /// Deploys, stakes, writes the addresses, and gives the exit code.
    pub async fn run(&self, console: &mut Console) -> u8 {
        let deployed = self.deploy(console).await;
        deployed.map_or_else(|failure| failure.end(console, super::failure::Form::Human), |()| 0)
    }

    async fn deploy(&self, console: &mut Console) -> Result<(), Failure> {
        let mut config = self.deploy_config()?;
        if self.print_settings {
            console.say(serde_json::to_string_pretty(&config).expect("settings are plain data"));
            return Ok(());
        }
        config.genesis_archive = self.genesis()?;
        let deployer: PrivateKeySigner =
            self.deployer_key.parse().map_err(|_| invalid("--deployer-key is not a private key of 32 bytes in hex"))?;
        let validators = self.registrations(deployer.address())?;
        let provider = connect(&self.l1_rpc_url).map_err(of_anvil)?;
        let mining = Mining::ByTheChain { wait: Duration::from_secs(self.wait) };
        let access = L1Access { provider: provider.clone(), deployer, mining, clock: Arc::new(SystemClock) };
        let artifacts = find_artifacts().map_err(of_anvil)?;
        console.complain(format_args!("deploying to {}", self.l1_rpc_url));
        let deployment = deploy(config, &artifacts, access.clone()).await.map_err(of_anvil)?;
        let save = deployment.addresses.save(&self.out);
        save.map_err(|error| Failure::new(Reason::DataDirUnusable, &error))?;
        console.say(format_args!("rollup {} → {}", deployment.addresses.rollup, self.out.display()));
        if !validators.is_empty() {
            console.complain(format_args!("staking {} validators", validators.len()));
            stake(access, &deployment.addresses, &validators).await.map_err(of_anvil)?;
            console.say(format_args!("{} validators staked; they serve after the set's lag", validators.len()));
        }
        let block = provider.get_block_number().await.unwrap_or_default();
        console.say(format_args!("{} gas, L1 block {block}", deployment.gas_used));
        Ok(())
    }

    fn deploy_config(&self) -> Result<DeployConfig, Failure> {
        let Some(path) = &self.settings else { return Ok(DeployConfig::default()) };
        let named = |error: &dyn std::fmt::Display| invalid(&format!("{}: {error}", path.display()));
        let text = std::fs::read(path).map_err(|error| named(&error))?;
        serde_json::from_slice(&text).map_err(|error| named(&error))
    }

    fn genesis(&self) -> Result<B256, Failure> {
        if let Some(hash) = self.genesis_archive {
            return Ok(hash);
        }
        let args = NodeArgs { config: self.node.config.clone(), ..NodeArgs::default() };
        let mut sources = args.sources();
        // The node's L1 and keys say nothing about its genesis, and need not be known yet.
        sources.presets = crate::dev::placeholders();
        let config = NodeConfig::load(&sources)?;
        genesis_hash(&config.execution).map_err(|error| invalid(&error))
    }

    fn registrations(&self, withdrawer: Address) -> Result<Vec<ValidatorRegistration>, Failure> {
        let Some(path) = &self.validators else { return Ok(Vec::new()) };
        let bad = |line: usize, what: &str| invalid(&format!("{} line {line}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| bad(0, &error.to_string()))?;
        let keys = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        keys.map(|(index, line)| {
            let key: PrivateKeySigner =
                line.trim().parse().map_err(|_| bad(index + 1, "is not a private key of 32 bytes in hex"))?;
            let seed = keccak256([b"bls".as_slice(), key.to_bytes().as_slice()].concat());
            let bls_secret = BlsSecret::from_bytes(&seed).map_err(of_anvil)?;
            Ok(ValidatorRegistration { attester: key.address(), withdrawer, bls_secret })
        })
        .collect()
    }
}

fn invalid(message: &str) -> Failure {
    Failure { reason: Reason::ConfigInvalid, message: message.to_owned(), hint: None }
}

fn of_anvil(error: AnvilError) -> Failure {
    Failure::new(super::dev::reason_of(&error), &error)
}
