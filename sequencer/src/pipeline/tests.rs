//! What is built on what.

use proptest::prelude::*;

use super::*;

fn hash(n: u8) -> B256 {
    B256::repeat_byte(n)
}

fn tip(number: u64, archive: u8) -> L1Tip {
    L1Tip { number: CheckpointNumber(number), archive: hash(archive), ..L1Tip::default() }
}

fn propose(pipeline: &mut Pipeline, slot: u64, head: u8) -> Place {
    let place = pipeline.open(Slot(slot)).expect("there is a place");
    pipeline.extend(Slot(slot), hash(head)).expect("it has its place");
    pipeline.proposed(Slot(slot)).expect("it has its place");
    place
}

#[test]
fn a_checkpoint_is_built_on_the_one_that_is_on_its_way() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    let place = pipeline.open(Slot(11)).expect("there is a place");
    assert_eq!((place.number, place.base, place.parent_in_flight), (CheckpointNumber(6), hash(50), true));
    assert_eq!(pipeline.open(Slot(12)).map(|p| p.number), Err(NoPlace::TooDeep));
}

#[test]
fn a_slot_has_one_checkpoint() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    assert_eq!(pipeline.open(Slot(10)).map(|p| p.number), Err(NoPlace::SlotTaken(Slot(10))));
}

#[test]
fn what_landed_leaves_and_what_is_built_on_it_stays() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    let above = propose(&mut pipeline, 11, 60);
    assert_eq!(pipeline.l1_moved(tip(5, 50)), Moved { landed: vec![Slot(10)], ..Moved::default() });
    assert!(!above.orphaned.is_cancelled());
    assert_eq!(pipeline.head(), hash(60));
}

#[test]
fn an_abandoned_checkpoint_takes_what_is_built_on_it_along() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    let above = pipeline.open(Slot(11)).expect("there is a place");
    assert_eq!(pipeline.abandon(Slot(10)).orphaned, [Slot(10), Slot(11)]);
    assert!(above.orphaned.is_cancelled());
    assert_eq!(pipeline.head(), hash(40));
    assert_eq!(pipeline.extend(Slot(11), hash(61)), Err(NoPlace::Orphaned));
}

#[test]
fn a_place_whose_work_ended_without_a_word_holds_up_neither_the_head_nor_the_next() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    let lost = propose(&mut pipeline, 10, 50);
    let above = pipeline.open(Slot(11)).expect("there is a place");
    lost.orphaned.cancel();
    assert_eq!(pipeline.head(), hash(40));
    assert_eq!(
        pipeline.open(Slot(12)).map(|p| p.number),
        Err(NoPlace::TooDeep),
        "it is told before its place is taken"
    );
    assert_eq!(pipeline.let_go().orphaned, [Slot(10), Slot(11)]);
    let place = pipeline.open(Slot(12)).expect("there is a place");
    assert_eq!((place.number, place.base), (CheckpointNumber(5), hash(40)));
    assert!(above.orphaned.is_cancelled());
}

#[test]
fn somebody_elses_checkpoint_orphans_ours() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    assert_eq!(pipeline.l1_moved(tip(5, 99)).orphaned, [Slot(10)]);
    assert_eq!(pipeline.head(), hash(99));
}

#[test]
fn a_prune_takes_the_head_back_to_what_l1_says() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    pipeline.l1_moved(tip(2, 20));
    assert_eq!(pipeline.head(), hash(20));
}

fn heard(slot: u64, base: u8, head: u8, stage: Stage) -> Heard {
    Heard { slot: Slot(slot), base: hash(base), head: hash(head), blocks: usize::from(head - base), stage }
}

#[test]
fn another_proposers_blocks_are_the_head_as_they_come_and_their_order_does_not_matter() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    for (head, now) in [(41, 41), (43, 43), (42, 43)] {
        pipeline.hear(heard(10, 40, head, Stage::Building)).expect("there is a place");
        assert_eq!(pipeline.head(), hash(now));
    }
    assert_eq!(pipeline.open(Slot(11)).map(|p| p.number), Err(NoPlace::TooDeep), "more blocks may come");
    pipeline.hear(heard(10, 40, 44, Stage::Proposed)).expect("there is a place");
    let ours = pipeline.open(Slot(11)).expect("there is a place");
    assert_eq!((ours.number, ours.base, ours.parent_in_flight), (CheckpointNumber(6), hash(44), true));
}

#[test]
fn a_complete_checkpoint_gets_no_further_block() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 42, Stage::Proposed)).expect("there is a place");
    let ours = pipeline.open(Slot(11)).expect("there is a place");
    pipeline.hear(heard(10, 40, 44, Stage::Proposed)).expect("it is known");
    assert_eq!((pipeline.pending[0].head, ours.base), (hash(42), hash(42)));
}

#[test]
fn what_another_proposer_did_not_finish_in_time_makes_room() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 41, Stage::Building)).expect("there is a place");
    assert_eq!(pipeline.give_up_unfinished(Slot(10)).dropped, [Slot(10)]);
    assert_eq!(pipeline.open(Slot(11)).map(|p| p.base), Ok(hash(40)));
}

#[test]
fn what_was_finished_is_not_given_up() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 41, Stage::Proposed)).expect("there is a place");
    assert_eq!(pipeline.give_up_unfinished(Slot(10)), Moved::default());
    assert_eq!(pipeline.head(), hash(41));
}

#[test]
fn a_checkpoint_that_can_land_no_more_takes_ours_on_it_along() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 41, Stage::Proposed)).expect("there is a place");
    let ours = pipeline.open(Slot(11)).expect("there is a place");
    assert_eq!(pipeline.expire(Slot(10)), Moved::default(), "its slot has not passed");
    let moved = pipeline.expire(Slot(11));
    assert_eq!((moved.dropped, moved.orphaned), (vec![Slot(10)], vec![Slot(11)]));
    assert!(ours.orphaned.is_cancelled());
}

#[test]
fn our_own_checkpoint_does_not_expire_while_its_request_may_judge_it() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    assert_eq!(pipeline.expire(Slot(11)), Moved::default(), "L1 may have it");
    pipeline.open(Slot(11)).expect("there is a place");
    assert_eq!(pipeline.expire(Slot(11)), Moved::default());
    assert_eq!(pipeline.head(), hash(50));
}

#[test]
fn our_own_checkpoint_that_l1_took_back_after_it_had_landed_is_dropped_with_what_is_built_on_it() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    let above = pipeline.open(Slot(11)).expect("there is a place");
    assert_eq!(pipeline.expire(Slot(12)).orphaned, [Slot(10), Slot(11)]);
    assert!(above.orphaned.is_cancelled());
    assert_eq!(pipeline.open(Slot(13)).map(|p| p.base), Ok(hash(40)));
}

#[test]
fn a_proposer_that_builds_on_l1s_tip_displaces_the_others_that_have_not_landed() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 41, Stage::Proposed)).expect("there is a place");
    let moved = pipeline.hear(heard(11, 40, 45, Stage::Building)).expect("it takes the place");
    assert_eq!(moved.dropped, [Slot(10)]);
    assert_eq!(pipeline.head(), hash(45));
}

#[test]
fn nobody_displaces_what_is_ours_nor_a_later_slot_with_an_earlier_one() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    assert_eq!(pipeline.hear(heard(11, 40, 45, Stage::Building)), Err(NoPlace::SlotTaken(Slot(10))));
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(12, 40, 41, Stage::Building)).expect("there is a place");
    assert_eq!(pipeline.hear(heard(11, 40, 45, Stage::Building)), Err(NoPlace::SlotTaken(Slot(12))));
}

#[test]
fn a_checkpoint_on_a_block_that_ends_none_has_no_place() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 42, Stage::Building)).expect("there is a place");
    assert_eq!(pipeline.hear(heard(11, 42, 44, Stage::Building)), Err(NoPlace::OtherBase(hash(42))));
}

#[test]
fn a_stop_lets_go_of_what_others_have_not_finished_and_keeps_what_may_land() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 41, Stage::Proposed)).expect("there is a place");
    pipeline.hear(heard(11, 41, 42, Stage::Building)).expect("there is a place");
    assert_eq!(pipeline.let_go_of_unfinished().dropped, [Slot(11)]);
    assert_eq!(pipeline.head(), hash(41));
}

#[test]
fn what_is_withheld_is_the_head_until_its_slot_has_passed_and_is_then_dropped_as_anothers_is() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    let place = propose(&mut pipeline, 10, 50);
    pipeline.withhold(Slot(10)).expect("it has its place");
    assert_eq!(pipeline.expire(Slot(10)), Moved::default(), "its slot has not passed");
    assert_eq!(pipeline.head(), hash(50));
    assert_eq!(pipeline.expire(Slot(11)), Moved { dropped: vec![Slot(10)], ..Moved::default() });
    assert!(place.orphaned.is_cancelled());
    assert_eq!(pipeline.head(), hash(40));
    assert_eq!(pipeline.withhold(Slot(10)), Err(NoPlace::Orphaned));
}

#[test]
fn a_later_slot_of_ours_is_built_without_what_was_withheld() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    propose(&mut pipeline, 10, 50);
    propose(&mut pipeline, 11, 60);
    assert!(pipeline.ends_in_ours());
    pipeline.withhold(Slot(11)).expect("it has its place");
    assert!(!pipeline.ends_in_ours());
    assert_eq!(pipeline.let_go_of_withheld(Slot(11)), Moved::default(), "a slot has one checkpoint");
    assert_eq!(pipeline.let_go_of_withheld(Slot(12)).dropped, [Slot(11)]);
    let place = pipeline.open(Slot(12)).expect("there is a place");
    assert_eq!((place.number, place.base), (CheckpointNumber(6), hash(50)));
}

#[test]
fn another_proposer_builds_on_what_we_withheld_or_displaces_it() {
    let withheld = || {
        let mut pipeline = Pipeline::new(tip(4, 40));
        propose(&mut pipeline, 10, 50);
        pipeline.withhold(Slot(10)).expect("it has its place");
        pipeline
    };
    let mut pipeline = withheld();
    assert_eq!(pipeline.hear(heard(11, 50, 51, Stage::Building)), Ok(Moved::default()));
    assert_eq!(pipeline.expire(Slot(11)).dropped, [Slot(10), Slot(11)]);
    let mut pipeline = withheld();
    let moved = pipeline.hear(heard(11, 40, 45, Stage::Building)).expect("it takes the place");
    assert_eq!((moved.dropped, pipeline.head()), (vec![Slot(10)], hash(45)));
}

#[test]
fn another_proposers_checkpoint_lands_also_where_its_end_was_not_heard() {
    let mut pipeline = Pipeline::new(tip(4, 40));
    pipeline.hear(heard(10, 40, 41, Stage::Building)).expect("there is a place");
    assert_eq!(pipeline.l1_moved(tip(5, 41)).landed, [Slot(10)]);
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    Extend(u8),
    Proposed,
    Withheld,
    Abandon(u8),
    Landed,
    Elsewhere(u8),
    Heard { on_tip: bool, head: u8, stage: Stage },
    Expire,
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Open),
        any::<u8>().prop_map(Step::Extend),
        Just(Step::Proposed),
        Just(Step::Withheld),
        (0u8..3).prop_map(Step::Abandon),
        Just(Step::Landed),
        any::<u8>().prop_map(Step::Elsewhere),
        (any::<bool>(), any::<u8>(), any::<bool>()).prop_map(|(on_tip, head, done)| {
            let stage = if done { Stage::Proposed } else { Stage::Building };
            Step::Heard { on_tip, head, stage }
        }),
        Just(Step::Expire),
        Just(Step::GiveUp),
    ]
}

proptest! {
    #[test]
    fn the_pending_checkpoints_are_always_one_chain_above_the_tip(steps in prop::collection::vec(step(), 0..60)) {
        let mut pipeline = Pipeline::new(tip(0, 0));
        let mut slot = 0;
        for step in steps {
            match step {
                Step::Open => { slot += 1; let _ = pipeline.open(Slot(slot)); }
                Step::Extend(block) => { let _ = pipeline.extend(Slot(slot), hash(block)); }
                Step::Proposed => { let _ = pipeline.proposed(Slot(slot)); }
                Step::Withheld => { let _ = pipeline.withhold(Slot(slot)); }
                Step::Abandon(back) => { pipeline.abandon(Slot(slot.saturating_sub(u64::from(back)))); }
                Step::Landed => {
                    if let Some(first) = pipeline.pending.front() {
                        let next = L1Tip { number: first.number, archive: first.head, ..L1Tip::default() };
                        pipeline.l1_moved(next);
                    }
                }
                Step::Elsewhere(archive) => { pipeline.l1_moved(tip(pipeline.tip.number.0 + 1, archive)); }
                Step::Heard { on_tip, head, stage } => {
                    slot += u64::from(head % 2);
                    let base = if on_tip { pipeline.tip.archive } else { pipeline.head() };
                    let _ = pipeline.hear(Heard { slot: Slot(slot), base, head: hash(head), blocks: 1, stage });
                }
                Step::Expire => { pipeline.expire(Slot(slot)); }
                Step::GiveUp => { pipeline.give_up_unfinished(Slot(slot)); }
            }
            let (mut number, mut base) = (pipeline.tip.number, pipeline.tip.archive);
            prop_assert!(pipeline.pending.len() <= DEPTH);
            for pending in &pipeline.pending {
                prop_assert_eq!((pending.number, pending.base), (number.next(), base));
                prop_assert!(!pending.orphaned.is_cancelled());
                (number, base) = (pending.number, pending.head);
            }
        }
    }
}
