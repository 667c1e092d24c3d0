use super::*;

const DUTY: Duty = Duty { validator: Address::repeat_byte(1), slot: Slot(7), kind: DutyKind::Attestation };

fn wanted(digest: u8, attempt: u128) -> Wanted {
    Wanted { duty: DUTY, digest: B256::repeat_byte(digest), attempt: Attempt(attempt), payload: None }
}

fn row(owner: &str, age: u64) -> Row {
    let record = Record::pinned(B256::repeat_byte(1));
    Row { record, owner: owner.to_owned(), fence: 3, attempt: Attempt(9), age: Duration::from_secs(age) }
}

fn asker() -> Asker {
    Asker { node: "us".to_owned(), takeover_after: Duration::from_secs(4) }
}

fn found(wanted: &Wanted, row: &Row, marks: Marks) -> Finding {
    let book = MarkBook { marks: HashMap::from([(room_of(DUTY), marks)]), ..MarkBook::default() };
    find(wanted, &Seen { row: Some(row), ..Seen::default() }, &book, &asker())
}

#[test]
fn a_pin_of_another_node_is_left_to_it_while_it_is_young() {
    let busy = Finding::Settled(Verdict::Busy { owner: "them".to_owned(), age: Duration::from_secs(3) });
    let unmarked = Marks::default();
    assert_eq!(found(&wanted(1, 1), &row("them", 3), unmarked), busy);
    assert_eq!(found(&wanted(1, 1), &row("them", 4), unmarked), Finding::TakeOver { fence: 3 });
    assert_eq!(found(&wanted(1, 1), &row("us", 0), unmarked), Finding::TakeOver { fence: 3 });
}

#[test]
fn a_pin_with_the_token_of_the_call_is_the_calls_own() {
    let found_again = found(&wanted(1, 9), &row("them", 0), Marks::default());
    assert_eq!(found_again, Finding::Settled(Verdict::Resumed { fence: 3 }));
    let fresh = Row { fence: FIRST_FENCE, ..row("us", 0) };
    assert_eq!(found(&wanted(1, 9), &fresh, Marks::default()), Finding::Settled(Verdict::Granted));
}

#[test]
fn another_payload_is_refused_however_old_the_pin_and_whoever_made_it() {
    for row in [row("them", 100), row("us", 100), Row { attempt: Attempt(1), ..row("us", 0) }] {
        let found = found(&wanted(2, 1), &row, Marks::default());
        assert!(matches!(found, Finding::Settled(Verdict::Refused(NotSafe::Conflict { .. }))), "{found:?}");
    }
}

#[test]
fn an_old_pin_that_a_mark_refuses_is_not_taken_over() {
    for (marks, refusal) in [
        (Marks::below(Slot(7)), NotSafe::BelowLow { duty: DUTY, low: Slot(7) }),
        (Marks::from(Slot(7)), NotSafe::AtOrAboveHigh { duty: DUTY, high: Slot(7) }),
    ] {
        let found = found(&wanted(1, 1), &row("them", 100), marks);
        assert_eq!(found, Finding::Settled(Verdict::Refused(refusal)));
    }
}

/// The slots of a strict kind that are recorded of a batch, where slot 5 is the highest that was pinned before.
fn recorded(kind: DutyKind, slots: &[u64]) -> Vec<u64> {
    let duty = |slot| Duty { slot: Slot(slot), kind, ..DUTY };
    let batch: Vec<_> = slots.iter().map(|&slot| Wanted { duty: duty(slot), ..wanted(1, slot.into()) }).collect();
    let look = Look { max_signed: HashMap::from([(room_of(duty(0)), Slot(5))]), ..Look::default() };
    let book = MarkBook { strict: BTreeSet::from([kind.marked()]), ..MarkBook::default() };
    in_turn(&batch, look, &book, &asker()).iter().map(|wanted| wanted.duty.slot.0).collect()
}

#[test]
fn in_a_strict_room_each_payload_lies_above_the_one_before() {
    assert_eq!(recorded(DutyKind::GovernanceVote, &[4, 5, 6, 6, 9]), [6, 9]);
    assert_eq!(recorded(DutyKind::BlockProposal { index: 0 }, &[4, 5, 6, 6, 9]), [5, 6, 6, 9], "of one slot's blocks");
}

#[test]
fn a_record_below_the_highest_slot_of_a_strict_room_is_taken_up_all_the_same() {
    let book = MarkBook { strict: BTreeSet::from([DUTY.kind]), ..MarkBook::default() };
    let row = row("us", 0);
    let seen = Seen { row: Some(&row), max_signed: Some(Slot(20)), ..Seen::default() };
    assert_eq!(find(&wanted(1, 1), &seen, &book, &asker()), Finding::TakeOver { fence: 3 });
    let free = find(&wanted(1, 1), &Seen { max_signed: Some(Slot(20)), ..Seen::default() }, &book, &asker());
    assert!(matches!(free, Finding::Settled(Verdict::Refused(NotSafe::NotAboveMaxSigned { .. }))), "{free:?}");
}
