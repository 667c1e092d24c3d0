//! The keys that a node would sign with.

use std::fmt::Write as _;

use alloy::primitives::Address;
use clap::Args;
use fermata_primitives::Slot;
use fermata_validator_signer::{Duty, Halt, KeyState, ListedKey, Scan, Sentinel, SlashingProtection, StoreSurvey};
use serde::Serialize;

use crate::cli::failure::Form;
use crate::cli::protection::{failure, handed_over, refused_through};
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure, NodeArgs};
use crate::config::NodeConfig;
use crate::data_dir::signer_dir;
use crate::node::validator_keys;
use crate::status::{KeyStanding, KeyStatus};

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
    /// What the store says of it; absent where the store cannot be read.
    #[serde(flatten)]
    known: Option<Known>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    state: KeyStanding,
    /// What it was seen to sign elsewhere, where another node signs with it.
    halt: Option<Halt>,
    /// The first slot that another node signs for by plan.
    handed_over_from: Option<Slot>,
    /// The last slot that is refused, whatever the records say.
    refused_through: Option<Slot>,
    /// The highest slot on record.
    last_slot: Option<Slot>,
}

impl Known {
    fn new(key: Address, survey: &StoreSurvey) -> Self {
        let state = KeyState { retired: survey.retired.contains(&key), halt: survey.halted.get(&key).copied() };
        let KeyStatus { state, halt, .. } = KeyStatus::new(key, state);
        Self {
            state,
            halt,
            handed_over_from: handed_over(survey).get(&key).copied(),
            refused_through: refused_through(survey, key),
            last_slot: survey.signers.get(&key).copied(),
        }
    }
}

impl ListArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let config = NodeConfig::load(&self.node.sources())?;
        let keys = validator_keys(&config.validator).await.map_err(failure)?;
        let sentinel = Sentinel { scan: scan.clone(), anchor: Some(config.protection.anchor.clone()) };
        let (survey, store) = match SlashingProtection::verify(&signer_dir(&config.data_dir), &sentinel) {
            Ok(survey) => (Some(survey), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let known = |key: &ListedKey| survey.as_ref().map(|survey| Known::new(key.address, survey));
        let row = |key| Row { known: known(&key), key };
        let listing = Listing { keys: keys.list().into_iter().map(row).collect(), store };
        tell(console, self.form(), &listing, listed)
    }
}

fn listed(listing: &Listing) -> String {
    let Listing { keys, store } = listing;
    let mut text = String::new();
    for Row { key: ListedKey { address, origin }, known } in keys {
        let known = known.as_ref().map(told).unwrap_or_default();
        let _ = writeln!(text, "{address}  {origin}{known}");
    }
    let _ = write!(text, "{} keys", keys.len());
    if let Some(why) = store {
        let _ = write!(text, "\ntheir state is not known: {why}");
    }
    text
}

/// What is known of a key, to go on with after its name.
fn told(known: &Known) -> String {
    let mut text = match (known.state, &known.halt) {
        (KeyStanding::Halted, Some(Halt { duty, digest, .. })) => {
            let Duty { kind, slot, .. } = duty;
            format!(", halted: another node signs with it ({kind} in slot {slot}, digest {digest})")
        }
        (KeyStanding::Retired, _) => ", retired".to_owned(),
        (KeyStanding::Enabled | KeyStanding::Halted, _) => String::new(),
    };
    if let Some(slot) = known.last_slot {
        let _ = write!(text, ", signed up to slot {slot}");
    }
    if let Some(slot) = known.refused_through {
        let _ = write!(text, ", refused up to slot {slot}");
    }
    if let Some(slot) = known.handed_over_from {
        let _ = write!(text, ", handed over from slot {slot} on");
    }
    text
}
