//! The keys that a node would sign with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alloy::primitives::Address;
use clap::Args;
use fermata_primitives::Slot;
use fermata_validator_signer::{ListedKey, SignerError, SlashingProtection};
use serde::Serialize;

use crate::cli::failure::Form;
use crate::cli::protection::failure;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure, NodeArgs};
use crate::config::NodeConfig;
use crate::data_dir::signer_dir;
use crate::node::validator_keys;

/// Whose keys.
#[derive(Args, Clone, Default, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// All keys, and what the signing store says of them.
#[derive(Serialize)]
struct Listing {
    keys: Vec<Row>,
    /// Why the store says nothing; absent where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(flatten)]
    key: ListedKey,
    /// The highest slot on record.
    last_slot: Option<Slot>,
}

impl ListArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let config = NodeConfig::load(&self.node.sources())?;
        let keys = validator_keys(&config.validator).await.map_err(failure)?;
        let (signed, store) = match on_record(&config) {
            Ok(signed) => (signed, None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        let row = |key: ListedKey| Row { last_slot: signed.get(&key.address).copied(), key };
        let listing = Listing { keys: keys.list().into_iter().map(row).collect(), store };
        tell(console, self.form(), &listing, listed)
    }
}

/// The highest slot on record for each key; a node that has not been started yet has no store.
fn on_record(config: &NodeConfig) -> Result<BTreeMap<Address, Slot>, SignerError> {
    match SlashingProtection::verify(&signer_dir(&config.data_dir)) {
        Ok(survey) => Ok(survey.signers),
        Err(SignerError::NotInitialised { .. }) => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn listed(listing: &Listing) -> String {
    let Listing { keys, store } = listing;
    let mut text = String::new();
    for Row { key: ListedKey { address, origin }, last_slot } in keys {
        let last = last_slot.map_or_else(String::new, |slot| format!(", signed up to slot {slot}"));
        let _ = writeln!(text, "{address}  {origin}{last}");
    }
    let _ = write!(text, "{} keys", keys.len());
    if let Some(why) = store {
        let _ = write!(text, "\nwhat they signed is not known: {why}");
    }
    text
}
