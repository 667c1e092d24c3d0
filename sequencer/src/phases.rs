//! What the slots under way are busy with: for people and metrics; nothing ever waits for a phase.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};

use crate::events::{Events, SequencerEvent};

/// What a slot of ours is busy with, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its blocks are built.
    Building,
    /// Its checkpoint is assembled and signed.
    Proposing,
    /// Its committee attests.
    Collecting,
    /// Its L1 transaction is simulated, sent, and waited for.
    Publishing,
}

/// The phases of all slots under way. Clones are the same.
#[derive(Clone, Debug)]
pub struct Phases {
    now: Arc<Mutex<BTreeMap<Slot, Phase>>>,
    events: Events,
}

impl Phases {
    /// No slot is under way.
    #[must_use]
    pub fn new(events: Events) -> Self {
        Self { now: Arc::default(), events }
    }

    /// The slots under way, oldest first.
    #[must_use]
    pub fn now(&self) -> Vec<(Slot, Phase)> {
        self.map(|now| now.iter().map(|(slot, phase)| (*slot, *phase)).collect())
    }

    /// A slot begins; it ends when the answer is dropped.
    #[must_use]
    pub fn begin(&self, slot: Slot) -> SlotPhase {
        SlotPhase { slot, phases: self.clone() }
    }

    fn map<T>(&self, with: impl FnOnce(&mut BTreeMap<Slot, Phase>) -> T) -> T {
        with(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The phase of one slot.
#[derive(Debug)]
pub struct SlotPhase {
    slot: Slot,
    phases: Phases,
}

impl SlotPhase {
    /// The slot is busy with `phase` from now on.
    pub fn enter(&self, phase: Phase) {
        self.phases.map(|now| now.insert(self.slot, phase));
        self.phases.events.emit(SequencerEvent::PhaseEntered { slot: self.slot, phase });
    }
}

impl Drop for SlotPhase {
    fn drop(&mut self) {
        self.phases.map(|now| now.remove(&self.slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_in_its_last_phase_until_it_ends() {
        let events = Events::default();
        let mut heard = events.subscribe();
        let phases = Phases::new(events);
        let slot = phases.begin(Slot(7));
        assert_eq!(phases.now(), []);
        slot.enter(Phase::Building);
        slot.enter(Phase::Proposing);
        assert_eq!(phases.now(), [(Slot(7), Phase::Proposing)]);
        drop(slot);
        assert_eq!(phases.now(), []);
        assert_eq!(heard.try_recv(), Ok(SequencerEvent::PhaseEntered { slot: Slot(7), phase: Phase::Building }));
    }
}
