//! Answers as people like to read them.

use std::fmt::Write as _;
use std::time::Duration;

use alloy::primitives::utils::format_ether;
use alloy::primitives::{Address, B256};
use fermata_primitives::UnixTime;

use crate::span::words;
use crate::lifecycle::Lifecycle;
use crate::node_store::JournalEntry;
use crate::requests_tracker::RequestKind;
use crate::status::{Desired, HealthStatus, NodeStatus, PublisherStatus, SlotStatus};
use crate::verbs::{
    CloseAnswer, DrainOutcome, DrainReport, DrainedWork, Head, LandedCheckpoint, StartAnswer, StopAnswer,
};

pub(super) fn started(answer: &StartAnswer) -> String {
    if answer.changed { "started".to_owned() } else { format!("{} already", answer.state) }
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

/// The drain report in two lines: how it ended, and where the node is.
fn drained(verb: &str, drain: &DrainReport) -> String {
    let how = match drain.outcome {
        DrainOutcome::Drained => "everything in flight ended by itself",
        DrainOutcome::Interrupted => "what was in flight was interrupted",
        DrainOutcome::Deadline => "the deadline passed, and what was left was interrupted",
    };
    let took = words(Duration::from_millis(drain.took_ms));
    let mut text = format!("{verb} in {took}: {how}");
    for DrainedWork { kind, slot, ending } in &drain.work {
        let _ = write!(text, "\n{} of slot {slot}: {}", kind.word(), ending.word());
    }
    let _ = write!(text, "\nhead {}", head(&drain.head));
    if let Some(landed) = &drain.last_checkpoint {
        let _ = write!(text, ", last checkpoint {}", checkpoint(landed));
    }
    text
}

/// What a stop waits for, in a line.
pub(super) fn draining(status: &NodeStatus) -> String {
    let requests = match status.requests.len() {
        0 => "the tick in flight".to_owned(),
        1 => "1 request".to_owned(),
        many => format!("{many} requests"),
    };
    let slot = status.requests.first().map(|request| request.slot);
    let slot = slot.or(status.slot.map(|slot| slot.target)).map_or_else(String::new, |slot| format!(", slot {slot}"));
    format!("{}: {requests}{slot}, head #{}", status.actual.lifecycle, status.head.unsafe_head.number)
}

pub(super) fn status(status: &NodeStatus) -> String {
    let now = UnixTime::from_millis(status.now_ms);
    let mut rows = vec![("state", state(status, now))];
    rows.extend(status.failure.clone().map(|failure| ("failure", failure)));
    rows.push(("desired", desired(status, now)));
    rows.push(("head", head(&status.head.unsafe_head)));
    rows.push(("", format!("{} safe, {} finalized", head(&status.head.safe), head(&status.head.finalized))));
    rows.extend(status.last_checkpoint.as_ref().map(|landed| ("checkpoint", checkpoint(landed))));
    rows.push(("l1", l1(status)));
    rows.extend(status.slot.map(|at| ("slot", slot(&at))));
    rows.extend(labelled("publisher", status.publishers.iter().map(publisher)));
    rows.push(("signer", keys(status.signer.keys.len())));
    rows.extend(labelled(
        "sending",
        status.requests.iter().map(|request| {
            let kind = match request.kind {
                RequestKind::Checkpoint => "checkpoint",
                RequestKind::Fallback => "votes",
            };
            format!("{kind} of slot {}, for {}", request.slot, words(Duration::from_millis(request.age_ms)))
        }),
    ));
    let health = match status.health.status {
        HealthStatus::Ok => vec!["ok".to_owned()],
        HealthStatus::Failing => status.health.reasons.clone(),
    };
    rows.extend(labelled("health", health.into_iter()));
    table(&rows)
}

pub(super) fn journal(entries: &[JournalEntry], now: UnixTime) -> String {
    if entries.is_empty() {
        return "nobody has asked for anything yet".to_owned();
    }
    let line = |entry: &JournalEntry| {
        let ago = words(now.since(UnixTime::from_millis(entry.at_ms)));
        let reason = entry.reason.as_ref().map_or_else(String::new, |reason| format!("  \"{reason}\""));
        format!("{ago:>12} ago  {:<22} {:<14} {}{reason}", entry.verb, entry.outcome, entry.by)
    };
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Labels in a column of their own.
fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    let line = |(label, text): &(&str, String)| format!("{label:>width$}  {text}").trim_end().to_owned();
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Only the first of several rows shows the label.
fn labelled(label: &'static str, rows: impl Iterator<Item = String>) -> Vec<(&'static str, String)> {
    rows.enumerate().map(|(at, row)| (if at == 0 { label } else { "" }, row)).collect()
}

fn state(status: &NodeStatus, now: UnixTime) -> String {
    let since = words(now.since(UnixTime::from_millis(status.actual.since_ms)));
    let starting = if status.actual.starting { ", starting" } else { "" };
    let runs = match status.runs {
        0 => "no run yet".to_owned(),
        1 => "1 run".to_owned(),
        many => format!("{many} runs"),
    };
    format!("{} for {since}{starting} ({runs}, fermata {})", status.actual.lifecycle, status.version)
}

fn desired(status: &NodeStatus, now: UnixTime) -> String {
    let Some(wish) = &status.desired else { return "nobody has said".to_owned() };
    let word = match wish.state {
        Desired::Running => "running",
        Desired::Stopped => "stopped",
    };
    let since = words(now.since(UnixTime::from_millis(wish.since_ms)));
    let reason = wish.reason.as_ref().map_or_else(String::new, |reason| format!(": \"{reason}\""));
    let differs = (wish.state == Desired::Running) != (status.actual.lifecycle == Lifecycle::Running);
    let differs = if differs { ", which it is not" } else { "" };
    format!("{word}{differs}, says {} {since} ago{reason}", wish.by)
}

fn l1(status: &NodeStatus) -> String {
    status.l1.map_or_else(
        || "not seen yet".to_owned(),
        |l1| format!("block {}, {} behind", l1.number, words(Duration::from_millis(l1.lag_ms))),
    )
}

fn slot(at: &SlotStatus) -> String {
    let whose = match (at.ours, at.proposer) {
        (true, _) => "which is ours".to_owned(),
        (false, Some(proposer)) => format!("which is {}'s", short_address(proposer)),
        (false, None) => "whose proposer is not known".to_owned(),
    };
    format!("{}, building for {}, {whose}", at.current, at.target)
}

fn publisher(account: &PublisherStatus) -> String {
    let balance = account.balance_wei.map_or_else(
        || "balance not known".to_owned(),
        |wei| {
            let ether = format_ether(wei);
            let places = ether.find('.').map_or(ether.len(), |point| (point + 4).min(ether.len()));
            format!("{} ETH", &ether[..places])
        },
    );
    let mut text = format!("{}  {balance}", short_address(account.address));
    for tx in &account.in_flight {
        let _ = write!(text, ", {} for {}", tx.label, words(Duration::from_millis(tx.age_ms)));
    }
    text
}

fn keys(count: usize) -> String {
    if count == 1 { "1 key".to_owned() } else { format!("{count} keys") }
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

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use fermata_primitives::{CheckpointNumber, Slot};

    use super::*;
    use crate::engine::EngineStatus;
    use crate::status::{DesiredState, Health, InFlightTx, L1Status, RequestStatus};

    fn busy() -> NodeStatus {
        let at = |number, byte| Head { number, hash: B256::repeat_byte(byte) };
        let engine = EngineStatus {
            lifecycle: Lifecycle::Running,
            runs: 2,
            ..EngineStatus::at_rest(UnixTime::from_millis(100_000))
        };
        let mut status = NodeStatus::of_engine(&engine, UnixTime::from_millis(825_000));
        status.version = "1.2.3".to_owned();
        status.desired = Some(DesiredState {
            state: Desired::Stopped,
            by: "alice via cli".to_owned(),
            reason: Some("db maintenance".to_owned()),
            since_ms: 820_500,
        });
        status.head.unsafe_head = at(1_042, 0xab);
        status.head.safe = at(1_030, 0xcd);
        status.last_checkpoint = Some(LandedCheckpoint {
            number: CheckpointNumber(87),
            slot: Slot(91),
            l1_tx: B256::repeat_byte(0x5c),
            l1_block: 1_203,
        });
        status.l1 = Some(L1Status { number: 1_205, timestamp: 822, lag_ms: 3_000 });
        status.slot = Some(SlotStatus { current: Slot(92), target: Slot(93), proposer: None, ours: true });
        status.signer.keys = vec![Address::ZERO; 4];
        status.requests = vec![RequestStatus { kind: RequestKind::Checkpoint, slot: Slot(92), age_ms: 2_140 }];
        status.publishers = vec![PublisherStatus {
            address: Address::repeat_byte(0x11),
            balance_wei: Some(U256::from(9_984_567_890_123_456_789_u128)),
            nonce: Some(7),
            in_flight: vec![InFlightTx { tx: None, nonce: 6, age_ms: 900, label: "propose slot 92".to_owned() }],
        }];
        status.health =
            Health::from_reasons(vec!["L1 is 40 s behind".to_owned(), "1 publisher has no funds".to_owned()]);
        status
    }

    #[test]
    fn a_busy_node_fits_a_small_table() {
        let expected = [
            "     state  running for 12 m 5 s (2 runs, fermata 1.2.3)",
            r#"   desired  stopped, which it is not, says alice via cli 4.5 s ago: "db maintenance""#,
            "      head  #1042 0xabababab…abab",
            "            #1030 0xcdcdcdcd…cdcd safe, #0 0x00000000…0000 finalized",
            "checkpoint  87 of slot 91 in L1 block 1203, 0x5c5c5c5c…5c5c",
            "        l1  block 1205, 3.0 s behind",
            "      slot  92, building for 93, which is ours",
            " publisher  0x111111…1111  9.984 ETH, propose slot 92 for 900 ms",
            "    signer  4 keys",
            "   sending  checkpoint of slot 92, for 2.1 s",
            "    health  L1 is 40 s behind",
            "            1 publisher has no funds",
        ];
        assert_eq!(status(&busy()).lines().collect::<Vec<_>>(), expected);
        assert_eq!(draining(&busy()), "running: 1 request, slot 92, head #1042");
    }

    #[test]
    fn a_drain_is_told_in_two_lines() {
        let drain = DrainReport {
            outcome: DrainOutcome::Deadline,
            head: busy().head.unsafe_head,
            last_checkpoint: busy().last_checkpoint,
            work: Vec::new(),
            failures: Vec::new(),
            took_ms: 30_012,
        };
        let answer = StopAnswer { changed: true, state: Lifecycle::Stopped, drain: Some(drain) };
        let expected = "\
stopped in 30.0 s: the deadline passed, and what was left was interrupted
head #1042 0xabababab…abab, last checkpoint 87 of slot 91 in L1 block 1203, 0x5c5c5c5c…5c5c";
        assert_eq!(stopped(&answer), expected);
    }
}
