use std::time::Duration;

use alloy::primitives::B256;
use fermata_primitives::L1Timestamp;
use fermata_sequencer::lifecycle::Lifecycle;

use super::*;
use crate::timeline::{Happening, Timeline};

const GENESIS: u64 = 1_000;

fn l1(number: u64, timestamp: u64) -> L1Head {
    L1Head { number, timestamp: L1Timestamp(timestamp), hash: B256::ZERO }
}

/// Two nodes that have just been opened.
fn two_nodes() -> Timeline {
    let timeline = Timeline::new(l1(1, GENESIS));
    for node in ["a", "b"] {
        let view = NodeView { lifecycle: Lifecycle::Idle, checkpoint: CheckpointNumber(0), block: 0 };
        timeline.join(node, view);
    }
    timeline
}

fn find_since<C: Condition>(timeline: &Timeline, condition: &C, since: Mark) -> Option<C::Found> {
    let times = SlotTimes::new(L1Timestamp(GENESIS), 3, 32, 1).expect("they fit");
    condition.find(&Seen { record: &timeline.read(), times: &times, since })
}

fn find<C: Condition>(timeline: &Timeline, condition: &C) -> Option<C::Found> {
    find_since(timeline, condition, Mark::default())
}

fn tip(checkpoint: u64) -> Happening {
    let checkpoint = CheckpointNumber(checkpoint);
    Happening::Event(Box::new(SequencerEvent::L1TipMoved { l1_block: 1, checkpoint }))
}

fn pruned(to: u64) -> Happening {
    let (from, to, cause) = (CheckpointNumber(5), CheckpointNumber(to), StepBack::Pruned);
    Happening::Event(Box::new(SequencerEvent::L1WentBack { cause, from, to, l1_block: 1 }))
}

#[test]
fn a_level_holds_once_the_last_node_has_reached_it_and_as_long_as_it_has() {
    let timeline = two_nodes();
    timeline.add(Some("a"), tip(3));
    assert_eq!(find(&timeline, &Checkpoint(2)), None);
    timeline.add(Some("b"), tip(2));
    assert_eq!(find(&timeline, &Checkpoint(2)), Some(CheckpointNumber(2)));
    timeline.add(Some("a"), tip(0));
    assert_eq!(find(&timeline, &Checkpoint(2)), None, "it went back");
}

#[test]
fn a_node_that_is_closed_keeps_nobody_waiting() {
    let timeline = two_nodes();
    timeline.add(Some("a"), Happening::Head { number: 7, dropped: 0 });
    assert_eq!(find(&timeline, &Block(7)), None);
    timeline.leave("b");
    assert_eq!(find(&timeline, &Block(7)), Some(7));
    timeline.leave("a");
    assert_eq!(find(&timeline, &Block(0)), None, "without a node nothing holds on all");
}

#[test]
fn a_slot_has_begun_with_the_first_l1_block_in_it() {
    let timeline = two_nodes();
    assert_eq!(find(&timeline, &SlotBegins(Slot(1))), None);
    timeline.add(None, Happening::L1Block(l1(2, GENESIS + 2)));
    assert_eq!(find(&timeline, &SlotBegins(Slot(1))), None);
    timeline.add(None, Happening::L1Block(l1(3, GENESIS + 3)));
    assert_eq!(find(&timeline, &SlotBegins(Slot(1))), Some(l1(3, GENESIS + 3)));
    assert_eq!(find(&timeline, &L1Block(3)), Some(l1(3, GENESIS + 3)));
    assert_eq!(find(&timeline, &L1Block(4)), None);
}

#[test]
fn a_state_is_waited_for_on_one_node_or_on_all() {
    let timeline = two_nodes();
    timeline.add(Some("b"), Happening::State(Lifecycle::Running));
    assert_eq!(find(&timeline, &InState::at("b", Lifecycle::Running)), Some(()));
    assert_eq!(find(&timeline, &InState::at("a", Lifecycle::Running)), None);
    assert_eq!(find(&timeline, &InState::at("c", Lifecycle::Running)), None, "there is none of that name");
    assert_eq!(find(&timeline, &InState::all(Lifecycle::Running)), None);
    timeline.add(Some("a"), Happening::State(Lifecycle::Running));
    assert_eq!(find(&timeline, &InState::all(Lifecycle::Running)), Some(()));
}

#[test]
fn a_happening_counts_from_its_mark_on_and_everywhere_means_on_each_node() {
    let timeline = two_nodes();
    timeline.add(Some("a"), pruned(1));
    timeline.add(Some("b"), pruned(1));
    assert_eq!(find(&timeline, &Pruned), Some(CheckpointNumber(1)));
    let mark = timeline.read().end();
    assert_eq!(find_since(&timeline, &Pruned, mark), None, "it was before");
    timeline.add(Some("b"), pruned(0));
    assert_eq!(find_since(&timeline, &Pruned, mark), None, "one has not seen it");
    let anywhere = || Happens::new("prune", |event| matches!(event, SequencerEvent::L1WentBack { .. }).then_some(()));
    assert_eq!(find_since(&timeline, &anywhere(), mark), Some(()));
    assert_eq!(find_since(&timeline, &anywhere().at("a"), mark), None);
    timeline.add(Some("a"), pruned(0));
    assert_eq!(find_since(&timeline, &Pruned, mark), Some(CheckpointNumber(0)));
}

#[test]
fn what_was_missed_counts_as_a_failure() {
    let entry = |what| Entry { at: Duration::ZERO, node: None, what };
    assert!(entry(Happening::Missed { count: 1 }).is_failure());
    let missed = SequencerEvent::SlotMissed { slot: Slot(1), reason: String::new() };
    assert!(entry(Happening::Event(Box::new(missed))).is_failure());
    assert!(!entry(tip(1)).is_failure());
}
