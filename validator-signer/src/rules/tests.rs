//! Every case of the rules, as a table.

use alloy::primitives::Address;
use proptest::prelude::*;

use super::*;

const ASKED: B256 = B256::repeat_byte(1);
const OTHER: B256 = B256::repeat_byte(2);
const SLOT: Slot = Slot(10);
const BLOCK: DutyKind = DutyKind::BlockProposal { index: 1 };

fn duty(kind: DutyKind) -> Duty {
    Duty { validator: Address::repeat_byte(7), slot: SLOT, kind }
}

fn signed(digest: B256) -> Record {
    Record { digest, signature: Some(Signature::test_signature()) }
}

const fn with_record(record: Record) -> Known {
    Known { record: Some(record), ..nothing() }
}

const fn with_marks(marks: Marks) -> Known {
    Known { marks, ..nothing() }
}

/// Nothing on record, no mark, an enabled key.
const fn nothing() -> Known {
    Known {
        record: None,
        seal: None,
        marks: Marks { low: None, high: None, max_signed: None },
        standing: Standing::Enabled,
        listen_only_until: None,
        mode: Mode::Complete,
    }
}

/// One row: what is known of a duty of this kind in slot 10, and the verdict on digest 1.
struct Case(&'static str, DutyKind, Known, Verdict);

fn check(cases: impl IntoIterator<Item = Case>) {
    for Case(what, kind, known, expected) in cases {
        assert_eq!(judge(duty(kind), ASKED, &known), expected, "{what}");
    }
}

fn refused(refusal: impl Fn(Duty) -> NotSafe) -> Verdict {
    Verdict::Refused(refusal(duty(DutyKind::Attestation)))
}

fn conflict(on_record: B256) -> Verdict {
    refused(|duty| NotSafe::Conflict { duty, on_record, asked: ASKED })
}

#[test]
fn a_record_decides_by_its_digest() {
    let kind = DutyKind::Attestation;
    check([
        Case("nothing on record", kind, nothing(), Verdict::Pin),
        Case("pinned to it", kind, with_record(Record::pinned(ASKED)), Verdict::Resume),
        Case("pinned to another", kind, with_record(Record::pinned(OTHER)), conflict(OTHER)),
        Case("signed", kind, with_record(signed(ASKED)), Verdict::Done(Signature::test_signature())),
        Case("signed another", kind, with_record(signed(OTHER)), conflict(OTHER)),
        Case("pinned to an unknown one", kind, with_record(Record::pinned(B256::ZERO)), conflict(B256::ZERO)),
    ]);
}

#[test]
fn a_digest_of_zeros_is_refused_whatever_is_known() {
    for known in [nothing(), with_record(Record::pinned(B256::ZERO)), with_record(signed(B256::ZERO))] {
        let duty = duty(DutyKind::Attestation);
        assert_eq!(judge(duty, B256::ZERO, &known), Verdict::Refused(NotSafe::ZeroDigest { duty }));
    }
}

#[test]
fn marks_refuse_what_lies_beyond_them_pinned_or_not_and_give_back_what_was_signed() {
    let kind = DutyKind::Attestation;
    let below = |low| refused(move |duty| NotSafe::BelowLow { duty, low });
    let above = |high| refused(move |duty| NotSafe::AtOrAboveHigh { duty, high });
    let early = |until| refused(move |duty| NotSafe::ListenOnly { duty, until });
    let listening = |until| Known { listen_only_until: Some(until), ..nothing() };
    let edges = [
        (with_marks(Marks::below(Slot(9))), None),
        (with_marks(Marks::below(SLOT)), Some(below(SLOT))),
        (with_marks(Marks::below(Slot(u64::MAX))), Some(below(Slot(u64::MAX)))),
        (with_marks(Marks::from(Slot(11))), None),
        (with_marks(Marks::from(SLOT)), Some(above(SLOT))),
        (with_marks(Marks::from(Slot(0))), Some(above(Slot(0)))),
        (listening(SLOT), None),
        (listening(Slot(11)), Some(early(Slot(11)))),
    ];
    for (known, refusal) in edges {
        let pinned = Known { record: Some(Record::pinned(ASKED)), ..known };
        let done = Known { record: Some(signed(ASKED)), ..known };
        let other = Known { record: Some(Record::pinned(OTHER)), ..known };
        check([
            Case("absent", kind, known, refusal.unwrap_or(Verdict::Pin)),
            Case("pinned", kind, pinned, refusal.unwrap_or(Verdict::Resume)),
            Case("signed", kind, done, Verdict::Done(Signature::test_signature())),
            Case("another pinned", kind, other, conflict(OTHER)),
        ]);
    }
}

#[test]
fn a_key_that_is_retired_or_halted_is_refused_everything() {
    let seen = duty(DutyKind::CheckpointProposal);
    let standings = [
        (Standing::Retired, refused(|duty| NotSafe::Retired { duty })),
        (Standing::Halted(seen), refused(|duty| NotSafe::Halted { duty, seen })),
    ];
    for (standing, refusal) in standings {
        let records = [None, Some(Record::pinned(ASKED)), Some(signed(ASKED)), Some(Record::pinned(OTHER))];
        check(
            records.map(|record| {
                Case("any record", DutyKind::Attestation, Known { record, standing, ..nothing() }, refusal)
            }),
        );
    }
}

#[test]
fn a_checkpoint_proposal_seals_the_blocks_of_its_slot_and_no_other_kind_has_a_seal() {
    let sealed = |record, digest| Known { record, seal: Some(Record::pinned(digest)), ..nothing() };
    let refusal = Verdict::Refused(NotSafe::Sealed { duty: duty(BLOCK) });
    check([
        Case("a new block", BLOCK, sealed(None, OTHER), refusal),
        Case("a new block, the seal's digest unknown", BLOCK, sealed(None, B256::ZERO), refusal),
        Case("a block that was pinned before", BLOCK, sealed(Some(Record::pinned(ASKED)), OTHER), Verdict::Resume),
    ]);
    for kind in DutyKind::MARKED {
        let seal = duty(kind).seal();
        let expected = (kind == DutyKind::BlockProposal { index: 0 }).then(|| duty(DutyKind::CheckpointProposal));
        assert_eq!(seal, expected, "{kind}");
    }
}

#[test]
fn in_strict_mode_a_kind_only_goes_forward_and_a_block_not_back() {
    let strict = |max_signed, record| Known {
        record,
        mode: Mode::Strict,
        marks: Marks { max_signed, ..Marks::default() },
        ..nothing()
    };
    for kind in DutyKind::MARKED {
        let refusal = |max_signed| {
            Verdict::Refused(NotSafe::NotAboveMaxSigned { duty: duty(kind), max_signed: Slot(max_signed) })
        };
        let is_block = kind == DutyKind::BlockProposal { index: 0 };
        check([
            Case("nothing before", kind, strict(None, None), Verdict::Pin),
            Case("an earlier slot before", kind, strict(Some(Slot(9)), None), Verdict::Pin),
            Case("this slot before", kind, strict(Some(SLOT), None), if is_block { Verdict::Pin } else { refusal(10) }),
            Case("a later slot before", kind, strict(Some(Slot(11)), None), refusal(11)),
            Case("a pin of its own", kind, strict(Some(Slot(11)), Some(Record::pinned(ASKED))), Verdict::Resume),
            Case(
                "a later slot, records trusted",
                kind,
                Known { mode: Mode::Complete, ..strict(Some(Slot(11)), None) },
                Verdict::Pin,
            ),
        ]);
    }
}

#[test]
fn a_signature_of_what_was_never_pinned_here_was_made_elsewhere_unless_the_records_cannot_tell() {
    let retired = Known { standing: Standing::Retired, ..nothing() };
    let halted = Known { standing: Standing::Halted(duty(BLOCK)), ..nothing() };
    let listening = Known { listen_only_until: Some(Slot(99)), ..nothing() };
    let cases = [
        ("never pinned", nothing(), Sighting::Elsewhere),
        ("never pinned, only listening", listening, Sighting::Elsewhere),
        ("never pinned, halted before", halted, Sighting::Elsewhere),
        ("pinned", with_record(Record::pinned(ASKED)), Sighting::Ours),
        ("signed", with_record(signed(ASKED)), Sighting::Ours),
        ("pinned to another", with_record(Record::pinned(OTHER)), Sighting::Elsewhere),
        (
            "pinned to another, retired",
            Known { standing: Standing::Retired, ..with_record(signed(OTHER)) },
            Sighting::Elsewhere,
        ),
        ("pinned to an unknown one", with_record(Record::pinned(B256::ZERO)), Sighting::Unknowable),
        ("pruned", with_marks(Marks::below(SLOT)), Sighting::Unknowable),
        ("just above what is pruned", with_marks(Marks::below(Slot(9))), Sighting::Elsewhere),
        ("handed over", with_marks(Marks::from(SLOT)), Sighting::Unknowable),
        ("just below what is handed over", with_marks(Marks::from(Slot(11))), Sighting::Elsewhere),
        ("retired", retired, Sighting::Unknowable),
    ];
    for (what, known, expected) in cases {
        assert_eq!(sight(duty(DutyKind::Attestation), ASKED, &known), expected, "{what}");
    }
}

fn any_known() -> impl Strategy<Value = Known> {
    let record = || {
        let digest = prop::sample::select(vec![ASKED, OTHER, B256::ZERO]);
        prop::option::of((digest, any::<bool>()).prop_map(
            |(digest, done)| {
                if done { signed(digest) } else { Record::pinned(digest) }
            },
        ))
    };
    let mark = || prop::option::of((8u64..13).prop_map(Slot));
    let marks = (mark(), mark(), mark()).prop_map(|(low, high, max_signed)| Marks { low, high, max_signed });
    let standing = prop::sample::select(vec![
        Standing::Enabled,
        Standing::Enabled,
        Standing::Retired,
        Standing::Halted(duty(BLOCK)),
    ]);
    let mode = prop::sample::select(vec![Mode::Complete, Mode::Strict]);
    (record(), record(), marks, standing, mark(), mode).prop_map(
        |(record, seal, marks, standing, listen_only_until, mode)| Known {
            record,
            seal,
            marks,
            standing,
            listen_only_until,
            mode,
        },
    )
}

fn is_safe(kind: DutyKind, known: &Known) -> bool {
    !matches!(judge(duty(kind), ASKED, known), Verdict::Refused(_))
}

proptest! {
    #[test]
    fn knowing_more_marks_never_turns_a_refusal_into_leave(known in any_known(), more in any_known(), at in 0usize..6) {
        let kind = DutyKind::MARKED[at];
        let merged = Known { marks: known.marks.merge(more.marks), ..known };
        prop_assert!(is_safe(kind, &known) || !is_safe(kind, &merged));
    }

    #[test]
    fn what_leave_was_given_for_is_never_taken_for_a_strangers(known in any_known(), at in 0usize..6) {
        let duty = duty(DutyKind::MARKED[at]);
        if is_safe(duty.kind, &known) {
            let pinned = Known { record: known.record.or(Some(Record::pinned(ASKED))), ..known };
            prop_assert_eq!(sight(duty, ASKED, &pinned), Sighting::Ours);
        }
    }

    #[test]
    fn leave_is_given_for_the_digest_on_record_alone(known in any_known(), at in 0usize..6) {
        let verdict = judge(duty(DutyKind::MARKED[at]), ASKED, &known);
        match verdict {
            Verdict::Pin => prop_assert_eq!(known.record, None),
            Verdict::Resume => prop_assert_eq!(known.record, Some(Record::pinned(ASKED))),
            Verdict::Done(_) => prop_assert_eq!(known.record, Some(signed(ASKED))),
            Verdict::Refused(_) => {}
        }
    }
}
