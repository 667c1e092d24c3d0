//! The checks, in the order in which they stand in the way.

use super::{Check, Facts, FromNow, Progress, Turn, Verdict};
use crate::amount::ether;
use crate::lifecycle::Lifecycle;
use crate::roles::Role;
use crate::span::words;
use crate::status::Desired;

/// Looks at the facts: what is found, and a sentence about it.
type Look = fn(&Facts) -> (Verdict, String);

/// The one check that stands in the way of publishing alone: what it fails is proposed all the same.
pub(super) const PUBLISHING: &str = "publishing";

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let checks: [(&str, Look); 12] = [
        ("role", role),
        ("desired", desired),
        ("running", running),
        ("l1", l1),
        ("synced", synced),
        ("turn", turn),
        ("keys", keys),
        ("signer", signer),
        ("funds", funds),
        ("parent", parent),
        ("time", time),
        (PUBLISHING, publishing),
    ];
    let check = |(name, look): (&str, Look)| {
        let (verdict, says) = look(facts);
        Check { name: name.to_owned(), verdict, says }
    };
    checks.into_iter().map(check).collect()
}

fn pass(says: impl Into<String>) -> (Verdict, String) {
    (Verdict::Pass, says.into())
}

fn fail(says: impl Into<String>) -> (Verdict, String) {
    (Verdict::Fail, says.into())
}

fn role(facts: &Facts) -> (Verdict, String) {
    let roles = facts.roles;
    if roles.has(Role::Sequencer) {
        return pass(format!("the node is {roles}"));
    }
    fail(format!("the node is {roles}, and no sequencer; add `sequencer` to node.roles and restart it"))
}

fn desired(facts: &Facts) -> (Verdict, String) {
    let Some(wish) = &facts.wish else { return pass("nobody has asked for a stop") };
    let why = wish.reason.as_ref().map_or_else(String::new, |reason| format!(": \"{reason}\""));
    match wish.state {
        Desired::Running => pass(format!("{} wants it to run{why}", wish.by)),
        Desired::Stopped => fail(format!("{} wants it stopped{why}; `fermata start` starts it", wish.by)),
    }
}

fn running(facts: &Facts) -> (Verdict, String) {
    let state = facts.actual.lifecycle;
    match (state, facts.actual.starting, &facts.failure) {
        (Lifecycle::Running, _, _) => pass("the node is running"),
        (_, true, _) => (Verdict::Unknown, "the node is starting".to_owned()),
        (_, false, Some(failure)) => fail(format!(
            "the node is {state}, because the last run ended by itself: {failure}; `fermata start` starts it"
        )),
        (Lifecycle::Idle | Lifecycle::Stopped, false, None) => {
            fail(format!("the node is {state}; `fermata start` starts it"))
        }
        (Lifecycle::Stopping { .. }, false, None) => fail("the node is stopping"),
        (Lifecycle::Closed, false, None) => fail("the node is closed; start a new process"),
    }
}

fn l1(facts: &Facts) -> (Verdict, String) {
    let l1 = &facts.l1;
    let age = words(l1.age);
    match &l1.error {
        Some(error) => fail(format!("L1 does not answer: {error}")),
        None if l1.age > l1.allowed => {
            fail(format!("the L1 head, block {}, is {age} old; check the L1 endpoint", l1.head))
        }
        None => pass(format!("L1 answers, and its head, block {}, is {age} old", l1.head)),
    }
}

fn synced(facts: &Facts) -> (Verdict, String) {
    match facts.followed {
        Some(checkpoint) => pass(format!("the chain is at checkpoint {checkpoint}, the newest on L1")),
        None => fail("the chain on L1 has not been followed yet; the log tells how far it is"),
    }
}

fn turn(facts: &Facts) -> (Verdict, String) {
    let slot = facts.slot;
    match &facts.turn {
        Turn::Ours { key } => pass(format!("slot {slot} is ours, with key {key}")),
        Turn::Theirs { proposer, next_ours } => {
            let whose = proposer.map_or_else(|| "anyone's".to_owned(), |proposer| format!("{proposer}'s"));
            let next = next_ours.map_or_else(
                || "none of the slots known ahead is ours".to_owned(),
                |next| format!("slot {next} is ours next"),
            );
            fail(format!("slot {slot} is {whose} turn; {next}"))
        }
        Turn::Unknown(why) => (Verdict::Unknown, format!("whose turn slot {slot} is cannot be told: {why}")),
    }
}

fn keys(facts: &Facts) -> (Verdict, String) {
    match facts.keys {
        0 => fail("no validator key is loaded; check the [validator] keys"),
        1 => pass("1 validator key is loaded"),
        many => pass(format!("{many} validator keys are loaded")),
    }
}

fn signer(facts: &Facts) -> (Verdict, String) {
    match (facts.signer_open, &facts.signer_refusal) {
        (true, None) => pass("the signer signs"),
        (true, Some(refusal)) => fail(refusal),
        (false, _) => fail("the signer is stopped: it signs while the node runs"),
    }
}

fn funds(facts: &Facts) -> (Verdict, String) {
    match &facts.funds {
        Err(why) => (Verdict::Unknown, format!("what the publisher has cannot be told: {why}")),
        Ok(accounts) => match accounts.iter().max_by_key(|(_, balance)| *balance) {
            Some((account, balance)) if !balance.is_zero() => {
                pass(format!("publisher {account} has {}", ether(*balance)))
            }
            Some((account, _)) => fail(format!("no publisher has ETH; send some to {account}")),
            None => fail("no publisher key is loaded; check the [publisher] keys"),
        },
    }
}

/// Of the checkpoints before, one may be on its way to L1: what is built on it is sent when it has landed.
fn parent(facts: &Facts) -> (Verdict, String) {
    match facts.ahead.as_slice() {
        [] => pass("every checkpoint before is on L1"),
        [one] => pass(format!("the checkpoint of slot {one} is on its way to L1; this one is built on it")),
        [first, ..] => fail(format!(
            "{} checkpoints are still on their way to L1, that of slot {first} for the longest; see `fermata publisher`",
            facts.ahead.len()
        )),
    }
}

fn time(facts: &Facts) -> (Verdict, String) {
    let moments = &facts.moments;
    if facts.progress != Progress::None {
        return pass("it was begun in time");
    }
    match (moments.frame, moments.start_deadline, moments.end) {
        (FromNow::In(wait), _, _) => (Verdict::Unknown, format!("its build frame opens in {}", words(wait))),
        (FromNow::Ago(_), FromNow::In(left), _) => {
            pass(format!("its build frame is open, {} are left to begin", words(left)))
        }
        (FromNow::Ago(_), FromNow::Ago(late), FromNow::In(_)) => {
            fail(format!("it was too late to begin {} ago; a node that starts now takes the next slot", words(late)))
        }
        (FromNow::Ago(_), FromNow::Ago(_), FromNow::Ago(over)) => fail(format!("it ended {} ago", words(over))),
    }
}

fn publishing(facts: &Facts) -> (Verdict, String) {
    facts.publishing.off_because().map_or_else(|| pass("its checkpoints go to L1"), fail)
}
