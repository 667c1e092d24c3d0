//! Which signing store a command is about, and for which rollup.

use std::path::PathBuf;

use clap::Args;
use fermata_rollup::L1Addresses;
use fermata_validator_signer::{Domain, Scan, Sentinel};

use crate::catalogue::Reason;
use crate::cli::failure::Form;
use crate::cli::{Failure, NodeArgs};
use crate::config::{NodeConfig, RollupLocation};
use crate::data_dir::{signer_anchor, signer_dir};
use crate::error::SequencerError;

/// Which signing store.
#[derive(Args, Clone, Default, Debug)]
pub struct StoreArgs {
    /// The store's directory, instead of the one in the node's data directory.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The store's anchor, instead of the configured one; with --store there is none unless it is named.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where a signing store is.
pub(super) struct Place {
    /// Its directory.
    pub(super) store: PathBuf,
    /// The data directory it is in, unless it was named by itself.
    pub(super) data_dir: Option<PathBuf>,
    /// Its anchor, where one is kept.
    pub(super) anchor: Option<PathBuf>,
}

impl Place {
    /// What is done against damage and restored copies when the store is used.
    pub(super) fn sentinel(&self, scan: &Scan) -> Sentinel {
        Sentinel { scan: scan.clone(), anchor: self.anchor.clone() }
    }
}

impl StoreArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    /// Where the store and its anchor are. The configuration is asked only where neither the store nor a data directory is
    /// named, or where it is named itself.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn place(&self) -> Result<Place, Failure> {
        let (store, data_dir, anchor) = match (&self.store, &self.node.data_dir, &self.node.config) {
            (Some(store), _, _) => (store.clone(), None, None),
            (None, Some(data_dir), None) => {
                let data_dir = PathBuf::from(data_dir);
                (signer_dir(&data_dir), Some(data_dir.clone()), Some(signer_anchor(&data_dir)))
            }
            (None, _, _) => {
                let config = self.config()?;
                (signer_dir(&config.data_dir), Some(config.data_dir.clone()), Some(config.protection.anchor.clone()))
            }
        };
        Ok(Place { store, data_dir, anchor: self.anchor.clone().or(anchor) })
    }

    /// Whether the store is named by itself or by its data directory, and no configuration with it.
    pub(super) const fn names_a_store(&self) -> bool {
        self.store.is_some() || (self.node.data_dir.is_some() && self.node.config.is_none())
    }

    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn config(&self) -> Result<NodeConfig, Failure> {
        Ok(NodeConfig::load(&self.node.sources())?)
    }
}

/// The configured rollup, on the L1 of `l1_chain_id` where that is given.
///
/// # Errors
/// The addresses file cannot be read, or nothing tells the chain id.
pub(super) fn configured_domain(config: &NodeConfig, l1_chain_id: Option<u64>) -> Result<Domain, Failure> {
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
