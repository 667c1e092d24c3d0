//! Answers as people like to read them.

mod asked;
mod publisher;
mod publisher_journal;
mod status;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::Duration;

use alloy::primitives::{Address, B256};

use crate::span::words;
use crate::verbs::{
    CloseAnswer, DrainOutcome, DrainReport, DrainedWork, Ending, Head, LandedCheckpoint, StartAnswer, StopAnswer,
    WorkKind,
};

pub(super) use asked::{explained, journal, reached};
pub(super) use publisher::publishers;
pub(super) use publisher_journal::publisher_journal;
pub(super) use status::{progress, status};

pub(super) fn started(answer: &StartAnswer) -> String {
    let how = if answer.changed { "started".to_owned() } else { format!("{} already", answer.state) };
    format!("{how} at {}", head(&answer.head))
}

pub(super) fn stopped(answer: &StopAnswer) -> String {
    match &answer.drain {
        Some(drain) => drained("stopped", drain),
        None => format!("{} already; nothing was in flight", answer.state),
    }
}

pub(super) fn closed(answer: &CloseAnswer) -> String {
    let mut text = match &answer.drain {
        Some(drain) => drained("closed", drain),
        None => "closed".to_owned(),
    };
    if !answer.closed.is_empty() {
        let _ = write!(text, "\nreleased  {}", answer.closed.join(", "));
    }
    text
}

/// How it ended, what became of each piece of work, and where the node is.
fn drained(verb: &str, drain: &DrainReport) -> String {
    let how = match drain.outcome {
        DrainOutcome::Drained => "everything in flight ended by itself",
        DrainOutcome::Interrupted => "what was in flight was interrupted",
        DrainOutcome::Deadline => "the deadline passed, and what was left was interrupted",
    };
    let took = words(Duration::from_millis(drain.took_ms));
    let mut text = format!("{verb} in {took}: {how}");
    for work in &drain.work {
        let _ = write!(text, "\n  {}", ended(work));
    }
    for failure in &drain.failures {
        let _ = write!(text, "\n  failed: {failure}");
    }
    let _ = write!(text, "\nhead {}", head(&drain.head));
    if let Some(landed) = &drain.last_checkpoint {
        let _ = write!(text, ", last checkpoint {}", checkpoint(landed));
    }
    text
}

/// A piece of work and its end, in a line.
fn ended(work: &DrainedWork) -> String {
    let what = match work.kind {
        WorkKind::Build => "the blocks",
        WorkKind::Checkpoint => "the checkpoint",
        WorkKind::Attestation => "another's checkpoint",
        WorkKind::Fallback => "the votes",
    };
    let how = match &work.ending {
        Ending::Landed { l1_tx } => format!("landed on L1, {}", short_hash(*l1_tx)),
        Ending::Withheld => "withheld from L1, as publishing is off".to_owned(),
        Ending::Attested { members } => format!("attested with {members} of its members"),
        Ending::Failed { reason } if work.kind == WorkKind::Attestation => format!("not attested: {reason}"),
        Ending::Failed { reason } => format!("did not land: {reason}"),
        Ending::Cut => "cut before anything was sent".to_owned(),
        Ending::InFlight { l1_tx, head: at } => {
            format!("cut while {} is in flight; if it lands, the head will be {}", short_hash(*l1_tx), head(at))
        }
        Ending::Aborted => {
            "heeded no interrupt and was aborted; the next start reads on L1 what became of it".to_owned()
        }
        Ending::Panicked => "panicked; please report it, with the log".to_owned(),
    };
    format!("{what} of slot {}: {how}", work.slot)
}

/// Labels in a column of their own.
fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    let line = |(label, text): &(&str, String)| format!("{label:>width$}  {text}").trim_end().to_owned();
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Cells in columns as wide as their widest, under their heads. Numbers of the last column need no padding.
fn columns<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let heads = heads.map(str::to_owned);
    let all: Vec<_> = std::iter::once(&heads).chain(rows).collect();
    let width = |at: usize| all.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &&[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// Only the first of several rows shows the label.
fn labelled(label: &'static str, rows: impl Iterator<Item = String>) -> Vec<(&'static str, String)> {
    rows.enumerate().map(|(at, row)| (if at == 0 { label } else { "" }, row)).collect()
}

fn head(head: &Head) -> String {
    format!("#{} {}", head.number, short_hash(head.hash))
}

fn checkpoint(landed: &LandedCheckpoint) -> String {
    let LandedCheckpoint { number, slot, l1_tx, l1_block } = landed;
    format!("{number} of slot {slot} in L1 block {l1_block}, {}", short_hash(*l1_tx))
}

fn short_hash(hash: B256) -> String {
    let hex = hash.to_string();
    format!("{}…{}", &hex[..10], &hex[hex.len() - 4..])
}

fn short_address(address: Address) -> String {
    let hex = address.to_string();
    format!("{}…{}", &hex[..8], &hex[hex.len() - 4..])
}
