//! `fermata protection hand-over|take-over`: keys that move to another node at a slot that was agreed on.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alloy::primitives::Address;
use clap::Args;
use fermata_primitives::Slot;
use fermata_validator_signer::{DutyKind, EthProtection, Scan, SignerError, StoreSurvey};
use serde_json::json;

use super::working::EitherArgs;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure};

/// Which keys move, and when.
#[derive(Args, Clone, Debug)]
struct MoveArgs {
    /// A key that moves; may be repeated.
    #[arg(long = "key", value_name = "ADDRESS", required = true)]
    keys: Vec<Address>,
    /// The first slot that the new node signs for.
    #[arg(long, value_name = "SLOT")]
    from_slot: u64,
}

/// Which keys this node leaves to another.
#[derive(Args, Clone, Debug)]
pub struct HandOverArgs {
    #[command(flatten)]
    moving: MoveArgs,
    #[command(flatten)]
    pub(super) at: EitherArgs,
}

/// Which keys this node takes from another.
#[derive(Args, Clone, Debug)]
pub struct TakeOverArgs {
    #[command(flatten)]
    moving: MoveArgs,
    #[command(flatten)]
    pub(super) at: EitherArgs,
}

impl HandOverArgs {
    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let MoveArgs { keys, from_slot } = &self.moving;
        self.at.expect_all_are_told()?;
        let handing_over = self.at.with_store(scan, async |store| {
            let mut unknown = Vec::new();
            for key in keys {
                if is_unknown(store, *key).await? {
                    unknown.push(*key);
                }
                store.hand_over(*key, Slot(*from_slot)).await?;
            }
            Ok(unknown)
        });
        let unknown = handing_over.await?;
        let done = json!({ "keys": keys, "handed_over_from": from_slot, "without_records": unknown });
        tell(console, self.at.form(), &done, |_| {
            let mut told = format!(
                "{} keys are refused slot {from_slot} and all later ones here\nnow, and not before, at the node that takes them: \
                 `fermata protection take-over --from-slot {from_slot}` with the same keys",
                keys.len()
            );
            for key in &unknown {
                let _ = write!(told, "\nnothing that {key} has signed is on record here: see that it is the right key");
            }
            told
        })
    }
}

impl TakeOverArgs {
    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let MoveArgs { keys, from_slot } = &self.moving;
        self.at.expect_all_are_told()?;
        let taking_over = self.at.with_store(scan, async |store| {
            for key in keys {
                store.take_over(*key, Slot(*from_slot)).await?;
            }
            Ok(())
        });
        taking_over.await?;
        tell(console, self.at.form(), &json!({ "keys": keys, "taken_over_from": from_slot }), |_| {
            format!(
                "{} keys sign here from slot {from_slot} on, and are refused every slot before\nthe node that signed with them \
                 before must have handed them over from the same slot on",
                keys.len()
            )
        })
    }
}

/// Whether nothing tells that the key ever signed here: a slip in an address would hand nothing over.
async fn is_unknown(store: &dyn EthProtection, key: Address) -> Result<bool, SignerError> {
    for kind in DutyKind::MARKED {
        let marks = store.marks(key, kind).await?;
        if marks.low.is_some() || marks.max_signed.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The keys that another node signs with by plan, each with the first slot it does so in.
pub(in crate::cli) fn handed_over(survey: &StoreSurvey) -> BTreeMap<Address, Slot> {
    let mut handed_over = BTreeMap::new();
    for marks in &survey.marks {
        if let Some(high) = marks.marks.high {
            let from = handed_over.entry(marks.validator).or_insert(high);
            *from = high.min(*from);
        }
    }
    handed_over
}

/// The last slot that is refused to a key, whatever the records say: pruned, restored, or taken over from another node.
pub(in crate::cli) fn refused_through(survey: &StoreSurvey, key: Address) -> Option<Slot> {
    let marks = survey.marks.iter().filter(|marks| marks.validator == key);
    marks.filter_map(|marks| marks.marks.low).max().max(survey.floor)
}
