//! The keys that a node would sign with.

use std::fmt::Write as _;

use clap::Args;
use fermata_primitives::Slot;
use fermata_validator_signer::{ListedKey, Scan, Sentinel, SlashingProtection, StoreSurvey};
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

/// What the signing store says of a key as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Enabled,
    /// By an operator.
    Retired,
    /// Another node was seen to sign with it.
    Halted,
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
    /// Absent where the store cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// The highest slot on record.
    last_slot: Option<Slot>,
}

impl Row {
    fn new(key: ListedKey, survey: Option<&StoreSurvey>) -> Self {
        let state = survey.map(|survey| {
            match (survey.halted.contains_key(&key.address), survey.retired.contains(&key.address)) {
                (_, true) => State::Retired,
                (true, false) => State::Halted,
                (false, false) => State::Enabled,
            }
        });
        let last_slot = survey.and_then(|survey| survey.signers.get(&key.address)).copied();
        Self { key, state, last_slot }
    }
}

impl ListArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let config = NodeConfig::load(&self.node.sources())?;
        let keys = validator_keys(&config.validator).await.map_err(failure)?;
        let sentinel = Sentinel { scan: scan.clone(), anchor: Some(config.protection_anchor()) };
        let (survey, store) = match SlashingProtection::verify(&signer_dir(&config.data_dir), &sentinel) {
            Ok(survey) => (Some(survey), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let row = |key| Row::new(key, survey.as_ref());
        let listing = Listing { keys: keys.list().into_iter().map(row).collect(), store };
        tell(console, self.form(), &listing, listed)
    }
}

fn listed(listing: &Listing) -> String {
    let Listing { keys, store } = listing;
    let mut text = String::new();
    for Row { key: ListedKey { address, origin }, state, last_slot } in keys {
        let state = match state {
            None | Some(State::Enabled) => "",
            Some(State::Retired) => ", retired",
            Some(State::Halted) => ", halted: another node signs with it",
        };
        let last = last_slot.map_or_else(String::new, |slot| format!(", signed up to slot {slot}"));
        let _ = writeln!(text, "{address}  {origin}{state}{last}");
    }
    let _ = write!(text, "{} keys", keys.len());
    if let Some(why) = store {
        let _ = write!(text, "\ntheir state is not known: {why}");
    }
    text
}
