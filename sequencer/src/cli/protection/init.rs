//! `fermata protection init`: an empty signing store.

use std::fmt::Write as _;

use alloy::primitives::Address;
use clap::Args;
use fermata_validator_signer::{Domain, SlashingProtection};
use serde_json::json;

use super::failure;
use super::place::{StoreArgs, configured_domain};
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure};
use crate::data_dir::DataDir;

/// Which signing store to make, and for which rollup.
#[derive(Args, Clone, Default, Debug)]
pub struct InitArgs {
    #[command(flatten)]
    pub(super) at: StoreArgs,
    /// Chain id of the L1, instead of the configured one.
    #[arg(long, value_name = "ID")]
    l1_chain_id: Option<u64>,
    /// Address of the rollup contract, instead of the configured one.
    #[arg(long, value_name = "ADDRESS")]
    rollup: Option<Address>,
}

impl InitArgs {
    pub(super) fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let (place, domain) = (self.at.place()?, self.domain()?);
        // A data directory is made as a node makes it, and is nobody else's meanwhile.
        let _held = place.data_dir.as_deref().map(DataDir::open).transpose()?;
        let dir = &place.store;
        SlashingProtection::init(dir, domain).map_err(failure)?;
        let made = json!({ "store": dir, "domain": domain });
        let of_another = place.anchor.filter(|anchor| anchor.exists());
        tell(console, self.at.form(), &made, |_| {
            let mut told = format!(
                "made {} for {domain}\nit is empty and refuses nothing: a key that has signed on this rollup, here or elsewhere, must \
                 not be used with it",
                dir.display()
            );
            if let Some(anchor) = of_another {
                let _ = write!(
                    told,
                    "\n{} is the anchor of the store that was here: no node opens this one before `fermata protection \
                     accept-restored`",
                    anchor.display()
                );
            }
            told
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
