//! Offences that this node has seen: who was absent from an epoch, and who proposed two things for one slot.
//!
//! Kept in memory, a bounded number of epochs: a node accuses of what it saw itself, and of nothing it was not there for.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::Address;
use fermata_primitives::{Epoch, Slot, SlotTimes};
use fermata_rollup::Committee;

/// Epochs kept; votes are on epochs a few rounds back.
const KEPT_EPOCHS: usize = 128;

/// What a member of a committee can be voted to be slashed for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Offence {
    /// Was absent from an epoch: neither attested what landed nor proposed in its own slots.
    Inactivity,
    /// Proposed two things for one slot.
    Equivocation,
}

/// What was seen, epoch by epoch.
#[derive(Debug)]
pub struct Offences {
    times: SlotTimes,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The first slot that was watched from its beginning.
    since: Option<Slot>,
    /// All slots before it are over, and what landed in them is known.
    followed_to: Slot,
    epochs: BTreeMap<Epoch, EpochRecord>,
}

#[derive(Debug, Default)]
struct EpochRecord {
    committee: Option<Arc<Committee>>,
    slots: BTreeMap<Slot, SlotRecord>,
    equivocated: BTreeSet<Address>,
}

#[derive(Debug, Default)]
struct SlotRecord {
    landed: bool,
    attested: BTreeSet<usize>,
}

impl Offences {
    /// Nothing seen so far.
    #[must_use]
    pub fn new(times: SlotTimes) -> Self {
        Self { times, seen: Mutex::default() }
    }

    /// L1 is watched from the beginning of `slot` on. Only the first word counts.
    pub fn watched_from(&self, slot: Slot) {
        self.lock().since.get_or_insert(slot);
    }

    /// Everything that landed before `slot` has been told.
    pub fn followed_to(&self, slot: Slot) {
        let mut seen = self.lock();
        seen.followed_to = seen.followed_to.max(slot);
    }

    /// A checkpoint of the slot landed on L1, with the attestations of these seats.
    pub fn landed(&self, slot: Slot, committee: &Arc<Committee>, seats: impl IntoIterator<Item = usize>) {
        self.with_slot(slot, committee, |record| {
            record.landed = true;
            record.attested.extend(seats);
        });
    }

    /// The seat's attestation for the slot was seen, on L1 or not: its proposer need not land more than the quorum.
    pub fn attested(&self, slot: Slot, committee: &Arc<Committee>, seat: usize) {
        self.with_slot(slot, committee, |record| record.attested.extend([seat]));
    }

    /// Evidence of two proposals of `proposer` for the slot was seen; the caller has checked the signatures.
    pub fn equivocated(&self, slot: Slot, proposer: Address) {
        let mut seen = self.lock();
        seen.epochs.entry(self.times.epoch_of(slot)).or_default().equivocated.insert(proposer);
        seen.forget_old();
    }

    /// What members of the epoch's committee did. One is inactive who missed at least `inactivity_percent` of what was
    /// its to do: an attestation in each slot that has a checkpoint, and a checkpoint in each slot of its own.
    ///
    /// Nobody is inactive in an epoch that is not over, that was not watched as a whole, or in which fewer than half of the
    /// slots have a checkpoint: then it is the network that failed.
    #[must_use]
    pub fn of_epoch(&self, epoch: Epoch, inactivity_percent: u8) -> BTreeMap<Address, BTreeSet<Offence>> {
        let seen = self.lock();
        let Some(record) = seen.epochs.get(&epoch) else { return BTreeMap::new() };
        let mut offences: BTreeMap<Address, BTreeSet<Offence>> = BTreeMap::new();
        for proposer in &record.equivocated {
            offences.entry(*proposer).or_default().insert(Offence::Equivocation);
        }
        if seen.saw_all_of(epoch, &self.times) {
            for member in record.inactive(self.slots_of(epoch), inactivity_percent) {
                offences.entry(member).or_default().insert(Offence::Inactivity);
            }
        }
        offences
    }

    fn slots_of(&self, epoch: Epoch) -> Vec<Slot> {
        (self.times.first_slot(epoch).0..self.times.first_slot(epoch.next()).0).map(Slot).collect()
    }

    fn with_slot(&self, slot: Slot, committee: &Arc<Committee>, change: impl FnOnce(&mut SlotRecord)) {
        let mut seen = self.lock();
        let epoch = seen.epochs.entry(self.times.epoch_of(slot)).or_default();
        epoch.committee = Some(Arc::clone(committee));
        change(epoch.slots.entry(slot).or_default());
        seen.forget_old();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn saw_all_of(&self, epoch: Epoch, times: &SlotTimes) -> bool {
        let began = self.since.is_some_and(|since| since <= times.first_slot(epoch));
        began && self.followed_to >= times.first_slot(epoch.next())
    }

    fn forget_old(&mut self) {
        while self.epochs.len() > KEPT_EPOCHS {
            self.epochs.pop_first();
        }
    }
}

impl EpochRecord {
    fn inactive(&self, slots: Vec<Slot>, percent: u8) -> Vec<Address> {
        let landed = self.slots.values().filter(|slot| slot.landed).count();
        let Some(committee) = self.committee.as_ref().filter(|_| landed * 2 >= slots.len()) else {
            return Vec::new();
        };
        let is_inactive = |seat: &usize| {
            let (missed, due) = self.missed_of_due(*seat, committee, &slots);
            due > 0 && missed * 100 >= due * usize::from(percent)
        };
        (0..committee.members.len()).filter(is_inactive).map(|seat| committee.members[seat]).collect()
    }

    /// How much the seat missed of how much was its to do.
    fn missed_of_due(&self, seat: usize, committee: &Committee, slots: &[Slot]) -> (usize, usize) {
        slots.iter().fold((0, 0), |(missed, due), slot| match self.slots.get(slot).filter(|record| record.landed) {
            Some(record) => (missed + usize::from(!record.attested.contains(&seat)), due + 1),
            None if committee.proposer_seat(*slot) == Some(seat) => (missed + 1, due + 1),
            None => (missed, due),
        })
    }
}
