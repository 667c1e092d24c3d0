//! Seeing the slots in flight through at a graceful stop, for their proposers, who need our members' attestations.

use std::sync::Arc;

use fermata_primitives::{SharedClock, Slot, UnixTime};
use fermata_rollup::Committee;
use tokio_util::sync::CancellationToken;

use super::in_flight;
use super::ledger::Ledger;
use crate::drain::Ending;
use crate::requests_tracker::{RequestKind, RequestsTracker};
use crate::timetable::Timetable;
use crate::workshop::Workshop;

/// Goes on hearing of the slots that are in flight now, and of no later one; what there is to do for them is tracked.
pub(super) fn begin(workshop: &Arc<Workshop>, ledger: &Ledger, requests: &RequestsTracker) {
    let (table, asked) = (&workshop.timetable, workshop.clock.now());
    ledger.take_up_to(super::window::newest_slot(table, asked));
    if workshop.peers.count() == 0 {
        return;
    }
    for slot in in_flight::slots(table, asked) {
        let committee = workshop.committees.known(slot);
        let is_owed = committee.is_none_or(|committee| is_owed(workshop, &committee, slot));
        let due = in_flight::due(table, slot, asked, ledger.of(slot).as_ref());
        if is_owed && due.is_some_and(|due| due > asked) {
            let (clock, ledger) = (workshop.clock.clone(), ledger.clone());
            let seen = SeenThrough { slot, asked, timetable: *table, clock, ledger };
            let workshop = Arc::clone(workshop);
            requests.track(RequestKind::Attestation, slot, |interrupt| see_through(workshop, seen, interrupt));
        }
    }
}

/// Whether another proposes in the slot, and our members attest in it.
fn is_owed(workshop: &Workshop, committee: &Committee, slot: Slot) -> bool {
    let is_ours = committee.proposer(slot).is_some_and(|proposer| workshop.signer.addresses().contains(&proposer));
    !is_ours && !workshop.our_members(committee).is_empty()
}

async fn see_through(workshop: Arc<Workshop>, seen: SeenThrough, interrupt: CancellationToken) -> Option<Ending> {
    let work = async {
        // Without a committee nothing can be attested either.
        let committee = workshop.committees.of_slot(seen.slot).await.ok()?;
        if is_owed(&workshop, &committee, seen.slot) { seen.to_its_end().await } else { None }
    };
    interrupt.run_until_cancelled(work).await.unwrap_or(Some(Ending::Cut))
}

/// A slot of another proposer that was in flight when a stop was asked for.
#[derive(Debug)]
struct SeenThrough {
    slot: Slot,
    asked: UnixTime,
    timetable: Timetable,
    clock: SharedClock,
    ledger: Ledger,
}

impl SeenThrough {
    /// Resolves when it is settled for this node; with nothing where nobody built it.
    async fn to_its_end(&self) -> Option<Ending> {
        let mut changes = self.ledger.changes();
        loop {
            let progress = self.ledger.of(self.slot);
            let Some(due) = in_flight::due(&self.timetable, self.slot, self.asked, progress.as_ref()) else {
                return in_flight::ending(progress);
            };
            tokio::select! {
                biased;
                // The ledger is ours: it does not go away meanwhile.
                _ = changes.changed() => {}
                () = self.clock.sleep_until(due) => return in_flight::ending(progress),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fermata_primitives::ManualClock;
    use futures::FutureExt;

    use super::super::ledger::Progress;
    use super::*;

    /// A slot that was in flight when its frame opened, and the clock.
    fn opened() -> (SeenThrough, Arc<ManualClock>) {
        let (timetable, slot) = (Timetable::ordinary(), Slot(9));
        let asked = timetable.build_frame_start(slot);
        let clock = Arc::new(ManualClock::new(asked));
        let seen = SeenThrough { slot, asked, timetable, clock: clock.clone(), ledger: Ledger::default() };
        (seen, clock)
    }

    #[tokio::test]
    async fn a_slot_that_nobody_builds_is_waited_for_until_its_first_block_would_have_come() {
        let (seen, clock) = opened();
        let end = seen.to_its_end();
        futures::pin_mut!(end);
        clock.advance(Duration::from_millis(9_499));
        assert_eq!(end.as_mut().now_or_never(), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(end.await, None);
    }

    #[tokio::test]
    async fn a_slot_that_is_built_is_waited_for_until_it_is_attested_or_refused() {
        let (seen, clock) = opened();
        let end = seen.to_its_end();
        futures::pin_mut!(end);
        seen.ledger.heard(seen.slot);
        clock.set(seen.timetable.ideal_publish(seen.slot));
        assert_eq!(end.as_mut().now_or_never(), None, "its end is still to come");
        seen.ledger.enter(seen.slot, Progress::Checking);
        clock.set(seen.timetable.proposal_deadline(seen.slot));
        assert_eq!(end.as_mut().now_or_never(), None, "it is worth attesting");
        seen.ledger.enter(seen.slot, Progress::Refused("wrong header".to_owned()));
        assert_eq!(end.await, Some(Ending::Failed { reason: "wrong header".to_owned() }));
    }

    #[tokio::test]
    async fn a_slot_whose_end_never_comes_is_given_up_when_the_next_proposer_gives_it_up() {
        let (seen, clock) = opened();
        seen.ledger.heard(seen.slot);
        let end = seen.to_its_end();
        futures::pin_mut!(end);
        assert_eq!(end.as_mut().now_or_never(), None);
        clock.set(seen.timetable.proposal_deadline(seen.slot));
        assert!(matches!(end.await, Some(Ending::Failed { reason }) if reason.contains("did not finish")));
    }

    #[tokio::test]
    async fn what_becomes_of_another_slot_settles_nothing() {
        let (seen, _clock) = opened();
        let end = seen.to_its_end();
        futures::pin_mut!(end);
        seen.ledger.enter(Slot(8), Progress::Attested(Vec::new()));
        assert_eq!(end.as_mut().now_or_never(), None);
    }
}
