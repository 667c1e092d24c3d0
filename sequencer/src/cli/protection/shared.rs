//! What is done to the signing store that nodes with the same keys share.

use std::future::Future;

use clap::Args;
use fermata_primitives::Slot;
use fermata_validator_signer::{Domain, PostgresProtection, SignerError};
use serde_json::json;

use super::{configured_domain, failure};
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
}

impl InitSharedArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    pub(super) fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let (config, shared, domain) = self.read()?;
        let options = shared.options(shared_anchor(&config.data_dir));
        wait_for(PostgresProtection::init(&shared.database, domain, &options))?;
        let (database, schema) = (shared.database.to_string(), &shared.schema);
        let made = json!({ "database": database, "schema": schema, "domain": domain });
        tell(console, self.form(), &made, |_| {
            format!(
                "made the schema {schema} in {database} for {domain}\nit is empty and refuses nothing: a key that has signed on \
                 this rollup is looked after by the store of its own node alone"
            )
        })
    }

    fn read(&self) -> Result<(NodeConfig, SharedProtection, Domain), Failure> {
        let config = NodeConfig::load(&self.node.sources())?;
        let domain = configured_domain(&config, self.l1_chain_id)?;
        let shared = config.protection.clone().ok_or_else(|| Failure {
            reason: Reason::ConfigInvalid,
            message: "no database is configured; set validator.protection.postgres".to_owned(),
            hint: None,
        })?;
        Ok((config, shared, domain))
    }
}

impl AcceptSharedArgs {
    pub(super) const fn form(&self) -> Form {
        self.of.form()
    }

    pub(super) fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let (config, shared, domain) = self.of.read()?;
        let (options, through) = (shared.options(shared_anchor(&config.data_dir)), Slot(self.refuse_through));
        wait_for(PostgresProtection::accept_restored(&shared.database, domain, &options, through))?;
        let database = shared.database.to_string();
        tell(console, self.form(), &json!({ "database": database, "refuse_through": through }), |_| {
            format!("{database} is accepted as it is; every slot up to {through} is refused to every key")
        })
    }
}

/// Does what needs the network, to its end.
fn wait_for(work: impl Future<Output = Result<(), SignerError>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure {
        reason: Reason::Internal,
        message: format!("this process gets no event loop: {error}"),
        hint: None,
    })?;
    runtime.block_on(work).map_err(failure)
}
