//! Whether a proposal is one of its slot's proposer, in its time, and the only one.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use fermata_primitives::{Slot, UnixTime};
use fermata_rollup::Committee;

use crate::events::SequencerEvent;
use crate::evidence::Memory;
use crate::network::{Signable, Signed};
use crate::refusal::Refusal;
use crate::timetable::Timetable;
use crate::workshop::Workshop;

/// Clocks of two nodes may differ by this.
pub(super) const CLOCK_DISPARITY: Duration = Duration::from_millis(500);

/// A proposal whose signature counts.
#[derive(Debug)]
pub(super) struct Vouched {
    pub(super) committee: Arc<Committee>,
    pub(super) proposer: Address,
    /// Whether the same one was heard before.
    pub(super) is_known: bool,
}

/// Checks a proposal's slot and signature, and that its proposer has not signed another.
pub(super) async fn vouch<T: Signable>(workshop: &Workshop, signed: &Signed<T>) -> Result<Vouched, Refusal> {
    let slot = signed.content().slot();
    in_time(&workshop.timetable, slot, workshop.clock.now())?;
    let committee = workshop.committees.of_slot(slot).await?;
    let peers = &workshop.peers;
    let proposer = signed.signed_by_proposer(&peers.domain, &committee)?;
    let is_known = match peers.evidence.note(signed, proposer, &peers.domain) {
        Memory::New => false,
        Memory::Known => true,
        Memory::Conflicting(evidence) => {
            if let Some(evidence) = evidence {
                let duty = evidence.duty.kind.to_string();
                workshop.side.offences().equivocated(slot, proposer);
                tracing::warn!(slot = slot.0, %proposer, duty, ?evidence, "a proposer has signed two proposals for one duty");
                peers.keep_evidence().await;
                workshop.events.emit(SequencerEvent::EquivocationSeen { slot, proposer, duty });
            }
            return Err(Refusal::Equivocation);
        }
    };
    Ok(Vouched { committee, proposer, is_known })
}

/// The newest slot that may be proposed in now.
pub(super) fn newest_slot(timetable: &Timetable, now: UnixTime) -> Slot {
    timetable.target_slot(now + CLOCK_DISPARITY)
}

/// Checks that a proposal for `slot` may come now.
fn in_time(timetable: &Timetable, slot: Slot, now: UnixTime) -> Result<(), Refusal> {
    // First, since a slot beyond all time has no deadlines.
    if slot > newest_slot(timetable, now) {
        return Err(Refusal::FarSlot(slot));
    }
    if now > timetable.attestation_deadline(slot) {
        return Err(Refusal::PastSlot(slot));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_may_come_from_the_opening_of_its_build_frame_to_the_attestation_deadline() {
        let (table, slot) = (Timetable::ordinary(), Slot(9));
        let (opens, ends) = (table.build_frame_start(slot), table.attestation_deadline(slot));
        let a_second = Duration::from_secs(1);
        assert!(matches!(in_time(&table, slot, opens - a_second), Err(Refusal::FarSlot(_))));
        assert!(in_time(&table, slot, opens - CLOCK_DISPARITY).is_ok());
        assert!(in_time(&table, slot, ends).is_ok());
        assert!(matches!(in_time(&table, slot, ends + a_second), Err(Refusal::PastSlot(_))));
    }

    #[test]
    fn a_slot_beyond_all_time_is_only_far() {
        let table = Timetable::ordinary();
        assert!(matches!(in_time(&table, Slot(u64::MAX), table.start(Slot(3))), Err(Refusal::FarSlot(_))));
    }
}
