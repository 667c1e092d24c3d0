//! `fermata protection verify`: what is in a signing store.

use std::fmt::Write as _;

use clap::Args;
use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::{EthMarks, EthSurvey, Halt, Scan, SlashingProtection, StoreSurvey};

use super::failure;
use super::hand_over::handed_over;
use super::place::StoreArgs;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure};

/// Which signing store to read.
#[derive(Args, Clone, Default, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub(super) at: StoreArgs,
}

impl VerifyArgs {
    pub(super) fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let place = self.at.place()?;
        let survey = SlashingProtection::verify(&place.store, &place.sentinel(scan)).map_err(failure)?;
        tell(console, self.at.form(), &survey, surveyed)
    }
}

/// What is in a sound store, as people like to read it.
fn surveyed(survey: &StoreSurvey) -> String {
    let StoreSurvey { store_id, domain, commits, floor, kinds, signers, marks, ethereum, .. } = survey;
    let mut text = format!("sound: store {store_id} for {domain}, after {commits} commits");
    for (kind, found) in kinds {
        let _ =
            write!(text, "\n  {kind}: {} pinned, {} signed, up to slot {}", found.pinned, found.signed, found.highest);
    }
    let _ = match survey.highest() {
        Some(highest) => write!(text, "\nhighest slot {highest}, by {} keys in all", signers.len()),
        None => write!(text, "\nno duty is on record"),
    };
    told_of_ethereum(ethereum, &mut text);
    let lows = marks.iter().filter_map(|marks| marks.marks.low);
    if let (Some(least), Some(most)) = (lows.clone().min(), lows.max()) {
        let _ = write!(text, "\n{} low marks, from slot {least} to {most}", marks.len());
    }
    if let Some(floor) = floor {
        let _ = write!(text, "\nrestored once: slots up to {floor} are refused to every key");
    }
    told_of_keys(survey, &mut text);
    text
}

/// What is known of Ethereum's keys; the last that any of them signed is what a restored copy must be told.
fn told_of_ethereum(ethereum: &EthSurvey, text: &mut String) {
    let EthSurvey { public_keys, blocks, attestations, floor, marks } = ethereum;
    if *public_keys > 0 {
        let _ = write!(text, "\n{public_keys} Ethereum keys: {blocks} blocks, {attestations} attestations");
        let slot = marks.values().filter_map(|marks| marks.block).max();
        let target = marks.values().filter_map(|marks| marks.attestation).map(|mark| mark.target).max();
        let _ = write!(text, ", spent{}", below(slot, target));
    }
    if *floor != EthMarks::default() {
        let target = floor.attestation.map(|mark| mark.target);
        let _ = write!(text, "\nrestored once: every Ethereum key is refused what lies{}", below(floor.block, target));
    }
}

fn below(slot: Option<Slot>, target: Option<Epoch>) -> String {
    let slot = slot.map(|slot| format!(" below slot {slot}"));
    let target = target.map(|target| format!(" below target epoch {target}"));
    [slot, target].into_iter().flatten().collect::<Vec<_>>().join(" and")
}

/// What is said of keys as a whole, and of all of them at once.
fn told_of_keys(survey: &StoreSurvey, text: &mut String) {
    for key in &survey.retired {
        let _ = write!(text, "\nretired: {key}");
    }
    for (key, Halt { duty, digest, .. }) in &survey.halted {
        let _ = write!(
            text,
            "\nhalted: {key}, which another node signed with: {} in slot {}, digest {digest}",
            duty.kind, duty.slot
        );
    }
    for (key, from) in handed_over(survey) {
        let _ = write!(text, "\nhanded over: {key}, which another node signs with from slot {from} on");
    }
    if survey.owes_listening {
        text.push_str("\nnew, restored or imported into: the next node to open it listens before it signs");
    }
    if let Some(until) = survey.listen_only_until {
        let _ = write!(text, "\nit listened first: nothing is signed before slot {until}");
    }
}
