//! The status, as a table and as a line.

use std::fmt::Write as _;
use std::time::Duration;

use fermata_primitives::UnixTime;

use super::{checkpoint, head, labelled, short_address, table};
use crate::amount::ether;
use crate::lifecycle::{Drain, Lifecycle};
use crate::phases::Phase;
use crate::requests_tracker::RequestKind;
use crate::span::words;
use crate::status::{
    Desired, DrainStatus, HealthStatus, KeyStanding, KeyStatus, NetworkStatus, NodeStatus, ProverStatus,
    PublisherStatus, SignerStatus, SlotStatus,
};
use crate::verbs::StopAt;

/// What a verb waits for, in a line.
pub(in crate::cli) fn progress(status: &NodeStatus) -> String {
    let requests = match status.requests.len() {
        0 => "the tick in flight".to_owned(),
        1 => "1 request".to_owned(),
        many => format!("{many} requests"),
    };
    let phase = status.phases.first().map_or_else(String::new, |busy| format!(", {}", doing(busy.phase)));
    let slot = status.requests.first().map(|request| request.slot);
    let slot = slot.or(status.slot.map(|slot| slot.target)).map_or_else(String::new, |slot| format!(", slot {slot}"));
    format!("{}: {requests}{slot}{phase}, head #{}", status.actual.lifecycle, status.head.unsafe_head.number)
}

pub(in crate::cli) fn status(status: &NodeStatus) -> String {
    let now = UnixTime::from_millis(status.now_ms);
    let mut rows = vec![("state", state(status, now))];
    rows.extend(status.failure.clone().map(|failure| ("failure", failure)));
    rows.push(("roles", status.roles.to_string()));
    rows.push(("desired", desired(status, now)));
    rows.push(("head", head(&status.head.unsafe_head)));
    rows.push(("", format!("{} safe, {} finalized", head(&status.head.safe), head(&status.head.finalized))));
    rows.extend(status.last_checkpoint.as_ref().map(|landed| ("checkpoint", checkpoint(landed))));
    rows.push(("l1", l1(status)));
    rows.extend(status.slot.map(|at| ("slot", slot(&at))));
    rows.extend(labelled("publisher", status.publishers.iter().map(publisher)));
    rows.extend(labelled("signer", signer(&status.signer)));
    rows.extend(labelled("network", network(&status.network).into_iter()));
    rows.extend(labelled("prover", status.prover.iter().flat_map(prover)));
    rows.extend(status.stop_at.map(|at| ("planned", planned(at))));
    rows.extend(status.drain.map(|drain| ("draining", draining(&drain, now))));
    rows.extend(labelled(
        "working",
        status.phases.iter().map(|busy| format!("{} for slot {}", doing(busy.phase), busy.slot)),
    ));
    rows.extend(labelled(
        "sending",
        status.requests.iter().map(|request| {
            let kind = match request.kind {
                RequestKind::Checkpoint => "checkpoint",
                RequestKind::Attestation => "attestations",
                RequestKind::Fallback => "votes",
            };
            format!("{kind} of slot {}, for {}", request.slot, words(Duration::from_millis(request.age_ms)))
        }),
    ));
    rows.extend(labelled("warning", status.sending.warnings.iter().map(ToString::to_string)));
    let health = match status.health.status {
        HealthStatus::Ok => vec!["ok".to_owned()],
        HealthStatus::Failing => status.health.reasons.clone(),
    };
    rows.extend(labelled("health", health.into_iter()));
    // A node that is not running need not be told so twice.
    let is_told = |reason: &String| reason.starts_with("the node is ") || status.health.reasons.contains(reason);
    rows.extend(labelled("not ready", status.unready.iter().filter(|reason| !is_told(reason)).cloned()));
    table(&rows)
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
    let balance = account.balance_wei.map_or_else(|| "balance not known".to_owned(), ether);
    let mut text = format!("{}  {balance}", short_address(account.address));
    for tx in &account.in_flight {
        let _ = write!(text, ", {} for {}", tx.label, words(Duration::from_millis(tx.age_ms)));
    }
    text
}

/// Who the others are, what of theirs was refused, and who has signed two things for one duty; nothing for a node that is alone.
fn network(network: &NetworkStatus) -> Vec<String> {
    if network.peers.is_empty() {
        return Vec::new();
    }
    let mut peers = format!("{} other nodes: {}", network.peers.len(), network.peers.join(", "));
    for (reason, count) in &network.refused {
        let _ = write!(peers, ", {count} refused as {reason}");
    }
    let twice = network.equivocations.iter().map(|seen| {
        let duty = seen.duty;
        format!("{} signed two for the {} of slot {}", short_address(duty.validator), duty.kind, duty.slot)
    });
    std::iter::once(peers).chain(twice).collect()
}

/// What it is at, who makes the proofs, and who sends them.
fn prover(prover: &ProverStatus) -> Vec<String> {
    let at = match (&prover.epoch, &prover.last) {
        (Some(due), _) => format!("epoch {} is due, checkpoints {} to {}", due.epoch, due.from, due.to),
        (None, Some(last)) => format!("epoch {} proven, up to checkpoint {}", last.epoch, last.to),
        (None, None) => "no epoch is due".to_owned(),
    };
    [at, prover.proofs.clone()].into_iter().chain(prover.accounts.iter().map(publisher)).collect()
}

/// How many keys there are, and those that do not sign.
fn signer(signer: &SignerStatus) -> impl Iterator<Item = String> {
    let count = match signer.keys.len() {
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    };
    let listens = signer.listens_until.map(|until| format!("only listens until slot {until}"));
    std::iter::once(count).chain(listens).chain(signer.keys.iter().filter_map(not_signing))
}

fn not_signing(key: &KeyStatus) -> Option<String> {
    let address = short_address(key.address);
    match (key.state, key.halt) {
        (KeyStanding::Enabled, _) => None,
        (KeyStanding::Retired, _) => Some(format!("{address} is retired")),
        (KeyStanding::Halted, halt) => {
            let seen = halt.map_or_else(String::new, |halt| format!(", seen: {}", halt.duty.kind));
            let slot = halt.map_or_else(String::new, |halt| format!(" in slot {}", halt.duty.slot));
            Some(format!("{address} is halted{seen}{slot}"))
        }
    }
}

fn planned(at: StopAt) -> String {
    match at {
        StopAt::Slot(slot) => format!("to stop after slot {slot}"),
        StopAt::Block(number) => format!("to stop after block {number}"),
    }
}

fn draining(drain: &DrainStatus, now: UnixTime) -> String {
    let how = match drain.mode {
        Drain::Graceful => "letting what is in flight end",
        Drain::Interrupt => "interrupting",
    };
    let since = words(now.since(UnixTime::from_millis(drain.since_ms)));
    let deadline = drain
        .deadline_ms
        .map_or_else(String::new, |at| format!(", interrupts in {}", words(UnixTime::from_millis(at).since(now))));
    format!("{how} for {since}{deadline}")
}

const fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Building => "building blocks",
        Phase::Proposing => "proposing the checkpoint",
        Phase::Collecting => "collecting attestations",
        Phase::Publishing => "publishing the checkpoint",
    }
}
