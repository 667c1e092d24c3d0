//! Which slots of other proposers are in flight when a stop is asked for, until when each is seen through, and how that
//! ended; pure.

use fermata_primitives::{Slot, UnixTime};

use super::ledger::Progress;
use super::window::{CLOCK_DISPARITY, newest_slot};
use crate::drain::Ending;
use crate::timetable::Timetable;

/// The slots of which something may come at `asked`, newest first.
pub(super) fn slots(table: &Timetable, asked: UnixTime) -> impl Iterator<Item = Slot> {
    let down = (0..=newest_slot(table, asked).0).rev().map(Slot);
    down.take_while(move |slot| asked <= table.attestation_deadline(*slot))
}

/// Until when a slot that was in flight at `asked` is seen through, being this far; `None` where it is settled.
///
/// One that was not heard of is nobody's, once its proposer would have told what it tells first, if it had begun by then. One
/// whose end does not come is given up when the next proposer gives it up. One that is complete is worth checking, and
/// checking again, for as long as attestations are of use.
pub(super) fn due(table: &Timetable, slot: Slot, asked: UnixTime, progress: Option<&Progress>) -> Option<UnixTime> {
    match progress {
        None => Some(table.first_built(slot, asked) + table.budgets().peer + CLOCK_DISPARITY),
        Some(Progress::Heard) => Some(table.proposal_deadline(slot)),
        Some(Progress::Checking | Progress::Told) => Some(table.attestation_deadline(slot)),
        Some(Progress::Attested(_) | Progress::Refused(_)) => None,
    }
}

/// How it ended for a slot that is this far when it is settled, or due; `None` where nobody built it.
pub(super) fn ending(progress: Option<Progress>) -> Option<Ending> {
    let failed = |reason: &str| Some(Ending::Failed { reason: reason.to_owned() });
    match progress {
        None => None,
        Some(Progress::Heard) => failed("its proposer did not finish it in time"),
        Some(Progress::Checking | Progress::Told) => failed("it could not be checked in time"),
        Some(Progress::Attested(attestations)) if attestations.is_empty() => failed("no member of ours could sign"),
        Some(Progress::Attested(attestations)) => Some(Ending::Attested { members: attestations.len() }),
        Some(Progress::Refused(reason)) => Some(Ending::Failed { reason }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn in_flight_is_what_may_be_told_at_that_moment() {
        let (table, slot) = (Timetable::ordinary(), Slot(9));
        let opens = table.build_frame_start(slot);
        let before_last_use = table.attestation_deadline(Slot(8));
        let cases = [
            ("just before clocks that differ open its frame", opens - millis(501), vec![8]),
            ("as they open it", opens - millis(500), vec![9, 8]),
            ("in the middle of building", opens + millis(20_000), vec![9, 8]),
            ("the slot before may be attested for the last time", before_last_use, vec![9, 8]),
            ("and may no more", before_last_use + millis(1), vec![9]),
            ("the next frame opens", table.build_frame_start(Slot(10)), vec![10, 9]),
        ];
        for (moment, asked, expected) in cases {
            let found: Vec<_> = slots(&table, asked).map(|slot| slot.0).collect();
            assert_eq!(found, expected, "{moment}");
        }
    }

    #[test]
    fn each_slot_in_flight_is_seen_through_until_it_is_settled_or_of_no_use() {
        let (table, slot) = (Timetable::ordinary(), Slot(9));
        let (opens, start) = (table.build_frame_start(slot), table.start(slot));
        // One way to a peer, and what clocks differ by.
        let told = millis(2_500);
        let last = table.ideal_publish(slot) + told;
        let cases = [
            ("nothing heard as the frame opens", opens, None, Some(opens + millis(7_000) + told)),
            ("nothing heard before it opens", opens - millis(400), None, Some(opens + millis(7_000) + told)),
            (
                "one that began by then builds its second block",
                opens + millis(6_000),
                None,
                Some(opens + millis(13_000) + told),
            ),
            (
                "one that began by then builds a last block, told with the checkpoint",
                opens + millis(54_000),
                None,
                Some(last),
            ),
            ("one that began by then had to have told something", start, None, Some(last)),
            ("blocks were heard", start, Some(Progress::Heard), Some(start + millis(6_000))),
            ("its checkpoint is checked", start, Some(Progress::Checking), Some(start + millis(48_000))),
            ("its checkpoint is to be checked again", start, Some(Progress::Told), Some(start + millis(48_000))),
            ("it is attested", start, Some(Progress::Attested(Vec::new())), None),
            ("it is refused", start, Some(Progress::Refused(String::new())), None),
        ];
        for (moment, asked, progress, expected) in cases {
            assert_eq!(due(&table, slot, asked, progress.as_ref()), expected, "{moment}");
        }
    }

    #[test]
    fn the_report_has_a_word_for_each_end_but_that_of_a_slot_nobody_built() {
        let failed = |progress| matches!(ending(Some(progress)), Some(Ending::Failed { reason }) if !reason.is_empty());
        assert_eq!(ending(None), None);
        assert!(failed(Progress::Heard) && failed(Progress::Checking) && failed(Progress::Attested(Vec::new())));
        assert!(failed(Progress::Refused("forged".to_owned())));
        let unchecked = Ending::Failed { reason: "it could not be checked in time".to_owned() };
        assert_eq!(ending(Some(Progress::Told)), Some(unchecked), "its proposer did finish it");
    }
}
