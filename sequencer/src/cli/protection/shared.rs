//! What is done to the signing store that nodes with the same keys share.

use std::path::PathBuf;

use clap::Args;
use fermata_primitives::Slot;
use fermata_validator_signer::{Domain, PostgresOptions, PostgresProtection};
use serde_json::json;

use super::eth_last::EthLastArgs;
use super::failure;
use super::place::configured_domain;
use crate::catalogue::Reason;
use crate::cli::failure::Form;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure, NodeArgs};
use crate::config::{NodeConfig, SharedProtection};
use crate::data_dir::shared_anchor;

/// Which configuration names the shared store.
#[derive(Args, Clone, Default, Debug)]
pub struct InitSharedArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Chain id of the L1, instead of the configured one.
    #[arg(long, value_name = "ID")]
    l1_chain_id: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Which configuration names the shared store, and what may be lost.
#[derive(Args, Clone, Default, Debug)]
pub struct AcceptSharedArgs {
    #[command(flatten)]
    of: InitSharedArgs,
    /// The last slot that any node may have signed.
    #[arg(long, value_name = "SLOT")]
    refuse_through: u64,
    #[command(flatten)]
    ethereum: EthLastArgs,
}

impl InitSharedArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let shared = self.read()?;
        let Shared { store, domain, .. } = &shared;
        PostgresProtection::init(&store.database, *domain, &shared.options()).await.map_err(failure)?;
        let (database, schema) = (store.database.to_string(), &store.schema);
        let made = json!({ "database": database, "schema": schema, "domain": domain });
        tell(console, self.form(), &made, |_| {
            format!(
                "made the schema {schema} in {database} for {domain}\nit is empty and refuses nothing: a key that has signed on \
                 this rollup is looked after by the store of its own node alone"
            )
        })
    }

    fn read(&self) -> Result<Shared, Failure> {
        Shared::of(&NodeConfig::load(&self.node.sources())?, self.l1_chain_id)
    }
}

/// The configured store that nodes with the same keys share.
pub(super) struct Shared {
    /// Where this node remembers its server.
    pub(super) anchor: PathBuf,
    pub(super) store: SharedProtection,
    pub(super) domain: Domain,
}

impl Shared {
    /// # Errors
    /// There is none, or nothing tells which rollup it is for.
    pub(super) fn of(config: &NodeConfig, l1_chain_id: Option<u64>) -> Result<Self, Failure> {
        Self::for_rollup(config, configured_domain(config, l1_chain_id)?)
    }

    /// # Errors
    /// There is none.
    pub(super) fn for_rollup(config: &NodeConfig, domain: Domain) -> Result<Self, Failure> {
        let store = config.protection.shared.clone().ok_or_else(|| Failure {
            reason: Reason::ConfigInvalid,
            message: "no database is configured; set validator.protection.postgres".to_owned(),
            hint: None,
        })?;
        Ok(Self { anchor: shared_anchor(&config.data_dir), store, domain })
    }

    fn options(&self) -> PostgresOptions {
        self.store.options(self.anchor.clone())
    }
}

impl AcceptSharedArgs {
    pub(super) const fn form(&self) -> Form {
        self.of.form()
    }

    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let (shared, through) = (self.of.read()?, Slot(self.refuse_through));
        let (Shared { store, domain, .. }, last) = (&shared, self.ethereum.last());
        let options = shared.options();
        let accepted = PostgresProtection::accept_restored(&store.database, *domain, &options, through, last).await;
        let bound = accepted.map_err(failure)?;
        let database = store.database.to_string();
        let done = json!({ "database": database, "refuse_through": through, "ethereum_keys": bound });
        tell(console, self.form(), &done, |_| {
            let told = self.ethereum.told(bound as u64);
            format!("{database} is accepted as it is; every slot up to {through} is refused to every key{told}")
        })
    }
}
