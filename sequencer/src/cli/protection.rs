//! `fermata protection`: what is done to a signing store that no process uses.

mod shared;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::PathBuf;

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use fermata_rollup::L1Addresses;
use fermata_validator_signer::{Domain, KeyChange, SignerError, SlashingProtection, StoreOptions, StoreSurvey};
use serde_json::json;

use super::failure::Form;
use super::verbs::tell;
use super::{Console, Failure, NodeArgs};
use crate::catalogue::Reason;
use crate::config::{NodeConfig, RollupLocation};
use crate::data_dir::{DataDir, signer_dir};
use crate::error::SequencerError;
use shared::{AcceptSharedArgs, InitSharedArgs};

/// What to do with a signing store.
#[derive(Subcommand, Clone, Debug)]
pub enum ProtectionCommand {
    /// Make an empty signing store, for keys that never signed on the rollup: it refuses nothing.
    #[command(after_help = "Examples:\n  \
        fermata protection init --config fermata.toml\n  \
        fermata protection init --store /var/lib/fermata/signer --l1-chain-id 1 --rollup 0x00…bb\n\n\
        A node makes its store at its first start. This is for one that was lost: bring the lost one back if there is any\n\
        copy of it, since an empty store lets a key sign again what it has signed.")]
    Init(InitArgs),
    /// Read all of a signing store, and tell what is in it. Changes nothing.
    #[command(after_help = "Examples:\n  \
        fermata protection verify --data-dir /var/lib/fermata\n  \
        fermata protection verify --store /backup/signer --json | jq .signers\n\n\
        Exit codes: 31 a process has it open, 33 it is damaged or there is none, 34 a newer version wrote it.")]
    Verify(VerifyArgs),
    /// Make an empty store in the database that nodes with the same keys share (`validator.protection.postgres`).
    #[command(after_help = "Example:\n  \
        fermata protection init-shared --config fermata.toml\n\n\
        Once for all nodes, before the first of them starts with it. A store that is there already is left as it is.")]
    InitShared(InitSharedArgs),
    /// Accept the database of the shared store as it is, after it was restored or replaced.
    #[command(after_help = "Example:\n  \
        fermata protection accept-shared --config fermata.toml --refuse-through 123456\n\n\
        Duties may be lost with the old database. Name the last slot that any node may have signed: all slots up to it are \
        refused to every key from then on. Do it at each node; they all remember the old one.")]
    AcceptShared(AcceptSharedArgs),
    /// Sign with a key again that was halted, because another node was seen to sign with it.
    #[command(after_help = "Example:\n  \
        fermata protection lift-halt 0x70…c8 --config fermata.toml\n\n\
        Stop the other node first, and see to it that it never starts again with this key: what it has signed is not known \
        here.\n\
        The node that uses the store must be stopped as well.")]
    LiftHalt(LiftHaltArgs),
}

/// Which signing store.
#[derive(Args, Clone, Default, Debug)]
pub struct StoreArgs {
    /// The store's directory, instead of the one in the node's data directory.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Which signing store to make, and for which rollup.
#[derive(Args, Clone, Default, Debug)]
pub struct InitArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// Chain id of the L1, instead of the configured one.
    #[arg(long, value_name = "ID")]
    l1_chain_id: Option<u64>,
    /// Address of the rollup contract, instead of the configured one.
    #[arg(long, value_name = "ADDRESS")]
    rollup: Option<Address>,
}

/// Which signing store to read.
#[derive(Args, Clone, Default, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    at: StoreArgs,
}

/// Which key may sign again.
#[derive(Args, Clone, Debug)]
pub struct LiftHaltArgs {
    /// The key.
    #[arg(value_name = "ADDRESS")]
    validator: Address,
    #[command(flatten)]
    at: StoreArgs,
}

impl ProtectionCommand {
    /// Does it, and gives the exit code.
    pub fn run(&self, console: &mut Console) -> u8 {
        let done = match self {
            Self::Init(args) => args.run(console),
            Self::Verify(args) => args.run(console),
            Self::InitShared(args) => args.run(console),
            Self::AcceptShared(args) => args.run(console),
            Self::LiftHalt(args) => args.run(console),
        };
        done.map_or_else(|failure| failure.end(console, self.form()), |()| 0)
    }

    const fn form(&self) -> Form {
        match self {
            Self::Init(args) => args.at.form(),
            Self::Verify(args) => args.at.form(),
            Self::InitShared(args) => args.form(),
            Self::AcceptShared(args) => args.form(),
            Self::LiftHalt(args) => args.at.form(),
        }
    }
}

impl StoreArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    /// The store's directory. The configuration is asked only where neither the store nor its data directory is named.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn dir(&self) -> Result<PathBuf, Failure> {
        match &self.store {
            Some(store) => Ok(store.clone()),
            None => Ok(signer_dir(&self.data_dir()?)),
        }
    }

    fn data_dir(&self) -> Result<PathBuf, Failure> {
        match &self.node.data_dir {
            Some(data_dir) => Ok(data_dir.into()),
            None => Ok(self.config()?.data_dir),
        }
    }

    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn config(&self) -> Result<NodeConfig, Failure> {
        Ok(NodeConfig::load(&self.node.sources())?)
    }
}

impl InitArgs {
    fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let (dir, domain) = (self.at.dir()?, self.domain()?);
        // A data directory is made as a node makes it, and is nobody else's meanwhile.
        let _held = match &self.at.store {
            Some(_) => None,
            None => Some(DataDir::open(&self.at.data_dir()?)?),
        };
        SlashingProtection::init(&dir, domain).map_err(failure)?;
        let made = json!({ "store": dir, "domain": domain });
        tell(console, self.at.form(), &made, |_| {
            format!(
                "made {} for {domain}\nit is empty and refuses nothing: a key that has signed on this rollup, here or elsewhere, must \
                 not be used with it",
                dir.display()
            )
        })
    }

    fn domain(&self) -> Result<Domain, Failure> {
        if let (Some(l1_chain_id), Some(rollup)) = (self.l1_chain_id, self.rollup) {
            return Ok(Domain { l1_chain_id, rollup });
        }
        let configured = configured_domain(&self.at.config()?, self.l1_chain_id)?;
        Ok(Domain { rollup: self.rollup.unwrap_or(configured.rollup), ..configured })
    }
}

/// The configured rollup, on the L1 of `l1_chain_id` where that is given.
///
/// # Errors
/// The addresses file cannot be read, or nothing tells the chain id.
fn configured_domain(config: &NodeConfig, l1_chain_id: Option<u64>) -> Result<Domain, Failure> {
    let (rollup, chain) = match &config.l1.rollup {
        RollupLocation::Rollup(address) => (*address, None),
        RollupLocation::AddressesFile(path) => {
            let addresses = L1Addresses::load(path).map_err(|error| {
                let error = SequencerError::from(error);
                Failure::new(error.reason(), &error)
            })?;
            (addresses.rollup, Some(addresses.l1_chain_id))
        }
    };
    let l1_chain_id = l1_chain_id.or(config.l1.chain_id).or(chain).ok_or_else(|| Failure {
        reason: Reason::ConfigInvalid,
        message: "the chain id of the L1 is not known; give it with --l1-chain-id, or set l1.chain_id".to_owned(),
        hint: None,
    })?;
    Ok(Domain { l1_chain_id, rollup })
}

impl VerifyArgs {
    fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let survey = SlashingProtection::verify(&self.at.dir()?).map_err(failure)?;
        tell(console, self.at.form(), &survey, surveyed)
    }
}

impl LiftHaltArgs {
    fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let (dir, validator) = (self.at.dir()?, self.validator);
        let domain = SlashingProtection::verify(&dir).map_err(failure)?.domain;
        let store = SlashingProtection::open(&dir, domain, StoreOptions::default()).map_err(failure)?;
        let halt = store.key_states().borrow().get(&validator).and_then(|state| state.halt);
        let lifted = futures::executor::block_on(async {
            let lifted = store.change_key(validator, KeyChange::LiftHalt).await;
            store.close().await;
            lifted
        });
        lifted.map_err(failure)?;
        let seen = halt.map(|halt| halt.to_string());
        tell(console, self.at.form(), &json!({ "validator": validator, "lifted": seen }), |_| match &seen {
            Some(seen) => format!("{validator} may sign again ({seen})"),
            None => format!("{validator} was not halted"),
        })
    }
}

/// What is in a sound store, as people like to read it.
fn surveyed(survey: &StoreSurvey) -> String {
    let StoreSurvey { store_id, domain, commits, kinds, signers, marks } = survey;
    let mut text = format!("sound: store {store_id} for {domain}, after {commits} commits");
    for (kind, found) in kinds {
        let _ =
            write!(text, "\n  {kind}: {} pinned, {} signed, up to slot {}", found.pinned, found.signed, found.highest);
    }
    let _ = match survey.highest() {
        Some(highest) => write!(text, "\nhighest slot {highest}, by {} keys in all", signers.len()),
        None => write!(text, "\nno duty is on record"),
    };
    let lows = marks.iter().filter_map(|marks| marks.marks.low);
    if let (Some(least), Some(most)) = (lows.clone().min(), lows.max()) {
        let _ = write!(text, "\n{} low marks, from slot {least} to {most}", marks.len());
    }
    text
}

/// A refusal of the signer's crate, with the catalogue's row.
pub(super) fn failure(error: SignerError) -> Failure {
    let error = SequencerError::Signer(error);
    Failure::new(error.reason(), &error)
}
