//! The rules of EIP-3076 as pure functions: what is on record and what is asked, to a verdict.

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};

use super::{EthAttestation, EthBlock, EthMarks, EthReason};

/// Leave, as the rules see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EthVerdict {
    /// Not on record, and in conflict with nothing: record it.
    Record,
    /// On record with the same data.
    SameData,
}

/// Judges a block. `on_record` is the root of the slot's block, zero where it is not known.
pub(crate) fn judge_block(
    marks: &EthMarks,
    on_record: Option<B256>,
    block: EthBlock,
    root: B256,
) -> Result<EthVerdict, EthReason> {
    if block.slot.0 == u64::MAX {
        return Err(EthReason::OutOfRange);
    }
    if let Some(lowest) = marks.block.filter(|lowest| block.slot < *lowest) {
        return Err(EthReason::SlotBelowLow { lowest });
    }
    match on_record {
        None => Ok(EthVerdict::Record),
        Some(on_record) if is_same(on_record, root) => Ok(EthVerdict::SameData),
        Some(on_record) => Err(EthReason::AnotherBlock { on_record }),
    }
}

/// Judges an attestation. `near` must have every record whose target is not below the source asked for: no other can
/// conflict with it. A repeat is refused too where a record conflicts with it: then several clients signed unknown to one
/// another, and joining what they know must not allow what one of them refused.
pub(crate) fn judge_attestation(
    marks: &EthMarks,
    near: &[(EthAttestation, B256)],
    asked: EthAttestation,
    root: B256,
) -> Result<EthVerdict, EthReason> {
    if asked.target.0 == u64::MAX {
        return Err(EthReason::OutOfRange);
    }
    if asked.source > asked.target {
        return Err(EthReason::SourceAboveTarget);
    }
    check_marks(marks, asked)?;
    let mut verdict = EthVerdict::Record;
    for &(known, on_record) in near {
        if asked.surrounds(known) {
            return Err(EthReason::Surrounds(known));
        }
        if known.surrounds(asked) {
            return Err(EthReason::SurroundedBy(known));
        }
        if known.target == asked.target {
            if known != asked || !is_same(on_record, root) {
                return Err(EthReason::AnotherVote { on_record: known, root: on_record });
            }
            verdict = EthVerdict::SameData;
        }
    }
    Ok(verdict)
}

fn check_marks(marks: &EthMarks, asked: EthAttestation) -> Result<(), EthReason> {
    let Some(lowest) = marks.attestation else { return Ok(()) };
    if asked.source < lowest.source {
        return Err(EthReason::SourceBelowLow { lowest: lowest.source });
    }
    if asked.target < lowest.target {
        return Err(EthReason::TargetBelowLow { lowest: lowest.target });
    }
    Ok(())
}

/// A root of zeros stands for one that is not known, and equals nothing, itself included.
fn is_same(on_record: B256, asked: B256) -> bool {
    !on_record.is_zero() && on_record == asked
}

/// A duty that lies after what the clock allows.
pub(crate) fn check_not_ahead(asked: u64, latest: u64, current: Slot) -> Result<(), EthReason> {
    if asked > latest { Err(EthReason::TooFarAhead { current }) } else { Ok(()) }
}

/// An attestation, from its epochs.
pub(crate) const fn attestation(source: u64, target: u64) -> EthAttestation {
    EthAttestation { source: Epoch(source), target: Epoch(target) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: B256 = B256::repeat_byte(0xaa);
    const B: B256 = B256::repeat_byte(0xbb);
    const UNKNOWN: B256 = B256::ZERO;

    fn block(slot: u64) -> EthBlock {
        EthBlock { slot: Slot(slot) }
    }

    #[test]
    fn a_block_is_recorded_once_and_repeated_only_with_the_same_known_root() {
        let from_10 = EthMarks { block: Some(Slot(10)), attestation: None };
        let below = EthReason::SlotBelowLow { lowest: Slot(10) };
        let another = |on_record| Err(EthReason::AnotherBlock { on_record });
        let table = [
            ("nothing on record", EthMarks::default(), None, 7, A, Ok(EthVerdict::Record)),
            ("same root", from_10, Some(A), 10, A, Ok(EthVerdict::SameData)),
            ("other root", from_10, Some(A), 10, B, another(A)),
            ("no root asked", from_10, Some(A), 10, UNKNOWN, another(A)),
            ("no root on record", from_10, Some(UNKNOWN), 10, A, another(UNKNOWN)),
            ("no root either way", from_10, Some(UNKNOWN), 10, UNKNOWN, another(UNKNOWN)),
            ("same root below the mark", from_10, Some(A), 9, A, Err(below)),
            ("below the mark", from_10, None, 9, A, Err(below)),
            ("at the mark", from_10, None, 10, A, Ok(EthVerdict::Record)),
            ("the last number", EthMarks::default(), None, u64::MAX, A, Err(EthReason::OutOfRange)),
        ];
        for (case, marks, on_record, slot, root, expected) in table {
            assert_eq!(judge_block(&marks, on_record, block(slot), root), expected, "{case}");
        }
    }

    #[test]
    fn an_attestation_neither_repeats_a_target_nor_surrounds_nor_goes_below_the_marks() {
        let on_record = [(attestation(3, 6), A), (attestation(6, 7), UNKNOWN)];
        let from = EthMarks { block: None, attestation: Some(attestation(2, 5)) };
        let voted = |on_record, root| Err(EthReason::AnotherVote { on_record, root });
        let table = [
            ("after all", (7, 8), A, Ok(EthVerdict::Record)),
            ("same source as another", (6, 8), A, Ok(EthVerdict::Record)),
            ("same data", (3, 6), A, Ok(EthVerdict::SameData)),
            ("another root", (3, 6), B, voted(attestation(3, 6), A)),
            ("the root of another source", (4, 6), A, voted(attestation(3, 6), A)),
            ("an unknown root", (6, 7), UNKNOWN, voted(attestation(6, 7), UNKNOWN)),
            ("surrounds one", (5, 8), A, Err(EthReason::Surrounds(attestation(6, 7)))),
            ("surrounds both", (2, 8), A, Err(EthReason::Surrounds(attestation(3, 6)))),
            ("surrounded", (4, 5), A, Err(EthReason::SurroundedBy(attestation(3, 6)))),
            ("source below the mark", (1, 9), A, Err(EthReason::SourceBelowLow { lowest: Epoch(2) })),
            ("target below the mark", (2, 4), A, Err(EthReason::TargetBelowLow { lowest: Epoch(5) })),
            ("source after target", (9, 8), A, Err(EthReason::SourceAboveTarget)),
            ("source at its target", (8, 8), A, Ok(EthVerdict::Record)),
            ("the last number", (8, u64::MAX), A, Err(EthReason::OutOfRange)),
        ];
        for (case, (source, target), root, expected) in table {
            assert_eq!(judge_attestation(&from, &on_record, attestation(source, target), root), expected, "{case}");
        }
    }

    #[test]
    fn two_records_of_one_target_allow_no_repeat() {
        let on_record = [(attestation(2, 6), A), (attestation(3, 6), B)];
        for (asked, root) in on_record {
            assert!(judge_attestation(&EthMarks::default(), &on_record, asked, root).is_err());
        }
    }

    fn any_attestation() -> impl Strategy<Value = (EthAttestation, B256)> {
        (0u64..12, 0u64..12, 1u8..3).prop_map(|(a, b, root)| (attestation(a.min(b), a.max(b)), B256::repeat_byte(root)))
    }

    proptest! {
        #[test]
        fn whatever_is_allowed_one_after_the_other_has_no_two_that_are_slashable(
            asked in prop::collection::vec(any_attestation(), 1..40)
        ) {
            let mut signed: Vec<(EthAttestation, B256)> = Vec::new();
            for (attestation, root) in asked {
                let near: Vec<_> =
                    signed.iter().copied().filter(|(known, _)| known.target >= attestation.source).collect();
                let slashable = signed.iter().any(|(known, on_record)| {
                    (known.target == attestation.target && (*known, *on_record) != (attestation, root))
                        || known.surrounds(attestation)
                        || attestation.surrounds(*known)
                });
                let verdict = judge_attestation(&EthMarks::default(), &near, attestation, root);
                prop_assert_eq!(verdict.is_err(), slashable);
                if verdict == Ok(EthVerdict::Record) {
                    signed.push((attestation, root));
                }
            }
        }
    }
}
