//! Each cause alone is the answer, and nothing else is.

use std::time::Duration;

use alloy::primitives::{Address, U256};
use fermata_primitives::{CheckpointNumber, Slot};

use super::*;
use crate::lifecycle::{Drain, Lifecycle, Then};
use crate::status::Desired;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A node that is about to propose.
fn healthy() -> Facts {
    Facts {
        slot: Slot(93),
        roles: Roles::default(),
        wish: None,
        actual: ActualState { lifecycle: Lifecycle::Running, since_ms: 0, starting: false },
        failure: None,
        l1: L1Fact { head: 1_205, age: secs(3), allowed: secs(96), error: None },
        followed: Some(CheckpointNumber(87)),
        turn: Turn::Ours { key: Address::repeat_byte(0x11) },
        keys: 4,
        signer_open: true,
        signer_refusal: None,
        funds: Ok(vec![(Address::repeat_byte(0x22), U256::from(5))]),
        moments: Moments {
            frame: FromNow::Ago(secs(1)),
            start_deadline: FromNow::In(secs(20)),
            end: FromNow::In(secs(90)),
        },
        ahead: vec![Slot(92)],
        publishing: Publishing::On,
        progress: Progress::None,
    }
}

/// The one check that does not pass, and the answer.
fn explained(change: impl FnOnce(&mut Facts)) -> (Vec<(String, Verdict)>, String) {
    let mut facts = healthy();
    change(&mut facts);
    let explanation = explain(&facts);
    let odd = explanation.checks.into_iter().filter(|check| check.verdict != Verdict::Pass);
    (odd.map(|check| (check.name, check.verdict)).collect(), explanation.answer)
}

#[test]
fn a_node_with_nothing_in_its_way_proposes() {
    assert_eq!(explained(|_| {}), (vec![], "proposing in slot 93: every check passes".to_owned()));
}

#[test]
fn each_cause_is_named_by_its_check_and_in_the_answer() {
    type Change = fn(&mut Facts);
    let stopped_by_alice: Change = |facts| {
        facts.wish = Some(DesiredState {
            state: Desired::Stopped,
            by: "alice".to_owned(),
            reason: Some("db maintenance".to_owned()),
            since_ms: 0,
        });
    };
    let stopping = Lifecycle::Stopping { drain: Drain::Graceful, then: Then::Stopped };
    assert!(explained(|facts| facts.actual.lifecycle = stopping).1.contains("is stopping"));
    let cases: [(&str, Verdict, &str, Change); 20] = [
        ("role", Verdict::Fail, "the node is follower, and no sequencer", |f| f.roles = Roles::FOLLOWER),
        ("desired", Verdict::Fail, "alice wants it stopped: \"db maintenance\"", stopped_by_alice),
        ("running", Verdict::Fail, "the node is idle; `fermata start`", |f| f.actual.lifecycle = Lifecycle::Idle),
        ("running", Verdict::Fail, "the node is closed", |f| f.actual.lifecycle = Lifecycle::Closed),
        ("running", Verdict::Unknown, "is starting", |f| {
            f.actual = ActualState { lifecycle: Lifecycle::Stopped, since_ms: 0, starting: true };
        }),
        ("running", Verdict::Fail, "a tick panicked", |f| {
            f.actual.lifecycle = Lifecycle::Stopped;
            f.failure = Some("a tick panicked".to_owned());
        }),
        ("l1", Verdict::Fail, "L1 does not answer: refused", |f| f.l1.error = Some("refused".to_owned())),
        ("l1", Verdict::Fail, "is 1 m 37 s old", |f| f.l1.age = secs(97)),
        ("synced", Verdict::Fail, "has not been followed yet", |f| f.followed = None),
        ("turn", Verdict::Fail, "slot 97 is ours next", |f| {
            f.turn = Turn::Theirs { proposer: Some(Address::ZERO), next_ours: Some(Slot(97)) };
        }),
        ("turn", Verdict::Unknown, "cannot be told: no committee", |f| {
            f.turn = Turn::Unknown("no committee".to_owned())
        }),
        ("keys", Verdict::Fail, "no validator key", |f| f.keys = 0),
        ("signer", Verdict::Fail, "the signer is stopped", |f| f.signer_open = false),
        ("signer", Verdict::Fail, "only listens", |f| f.signer_refusal = Some("it only listens".to_owned())),
        ("funds", Verdict::Fail, "send some to 0x0000", |f| f.funds = Ok(vec![(Address::ZERO, U256::ZERO)])),
        ("funds", Verdict::Unknown, "cannot be told: no answer", |f| f.funds = Err("no answer".to_owned())),
        ("parent", Verdict::Fail, "2 checkpoints are still on their way", |f| f.ahead = vec![Slot(91), Slot(92)]),
        ("time", Verdict::Unknown, "opens in 5.0 s", |f| f.moments.frame = FromNow::In(secs(5))),
        ("time", Verdict::Fail, "too late to begin 2.0 s ago", |f| {
            f.moments.start_deadline = FromNow::Ago(secs(2));
        }),
        (
            "publishing",
            Verdict::Fail,
            "not publishing in slot 93: publishing is off: sequencer.publish_checkpoints",
            |f| {
                f.publishing = Publishing::Off;
            },
        ),
    ];
    for (name, verdict, words, change) in cases {
        let (odd, answer) = explained(change);
        assert_eq!(odd, [(name.to_owned(), verdict)], "{answer}");
        assert!(answer.contains(words), "{words} not in {answer}");
    }
}

#[test]
fn of_several_causes_the_first_is_the_answer_and_a_failure_comes_before_a_doubt() {
    let (odd, answer) = explained(|facts| {
        facts.moments.frame = FromNow::In(secs(5));
        facts.actual.lifecycle = Lifecycle::Stopped;
        facts.signer_open = false;
    });
    let names: Vec<_> = odd.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["running", "signer", "time"]);
    assert!(answer.starts_with("not proposing in slot 93: the node is stopped"), "{answer}");
}

#[test]
fn a_slot_that_is_worked_on_or_done_says_so_whatever_the_clock_says() {
    let (_, answer) = explained(|facts| facts.progress = Progress::UnderWay("publishing".to_owned()));
    assert_eq!(answer, "slot 93 is being worked on: publishing");
    let (_, answer) = explained(|facts| facts.progress = Progress::Withheld);
    assert_eq!(answer, "the checkpoint of slot 93 was withheld from L1, as publishing was off");
    let (odd, answer) = explained(|facts| {
        facts.moments.start_deadline = FromNow::Ago(secs(9));
        facts.progress = Progress::Landed { checkpoint: CheckpointNumber(88), l1_block: 7 };
    });
    assert_eq!((odd, answer.as_str()), (vec![], "slot 93 is done: checkpoint 88 is in L1 block 7"));
}
