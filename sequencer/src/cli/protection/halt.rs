//! `fermata protection lift-halt`: a key that another node was seen to sign with may sign again.

use std::fmt::Write as _;

use alloy::primitives::Address;
use clap::Args;
use fermata_validator_signer::{KeyChange, Scan};
use serde_json::json;

use super::working::EitherArgs;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure};

/// Which key may sign again.
#[derive(Args, Clone, Debug)]
pub struct LiftHaltArgs {
    /// The key.
    #[arg(value_name = "ADDRESS")]
    validator: Address,
    #[command(flatten)]
    pub(super) at: EitherArgs,
}

impl LiftHaltArgs {
    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let validator = self.validator;
        let lifting = self.at.with_each_store(scan, async |store| {
            let halt = store.key_states().get(&validator).and_then(|state| state.halt);
            store.change_key(validator, KeyChange::LiftHalt).await?;
            Ok(halt.map(|halt| halt.to_string()))
        });
        let stores = lifting.await?;
        let each: Vec<_> = stores.iter().map(|(store, seen)| json!({ "store": store, "lifted": seen })).collect();
        let seen = stores.iter().find_map(|(_, seen)| seen.as_ref());
        let done = json!({ "validator": validator, "lifted": seen, "stores": each });
        tell(console, self.at.form(), &done, |_| {
            let mut told = match seen {
                Some(seen) => format!("{validator} may sign again ({seen})"),
                None => format!("{validator} was not halted"),
            };
            for (store, seen) in stores.iter().filter(|_| stores.len() > 1) {
                let _ =
                    write!(told, "\n  {store}: {}", if seen.is_some() { "lifted" } else { "it was not halted there" });
            }
            told
        })
    }
}
