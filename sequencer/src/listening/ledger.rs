//! How far the slots of other proposers are here, and up to which slot more is taken up.

use std::collections::BTreeMap;
use std::sync::Arc;

use fermata_primitives::Slot;
use tokio::sync::watch;

use crate::network::{Attestation, Signed};

/// How far a slot is that another proposes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Something of it was heard.
    Heard,
    /// Its checkpoint is being checked.
    Checking,
    /// Its checkpoint was heard, and could not be checked for now: that is repeated when it is told again.
    Told,
    /// It was attested with these, which are sent again where they may have been lost.
    Attested(Vec<Signed<Attestation>>),
    /// It is wrong, for good, and this is why.
    Refused(String),
}

/// What has been heard, by slot. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<watch::Sender<Entries>>);

/// What a ledger holds.
#[derive(Debug, Default)]
pub(super) struct Entries {
    slots: BTreeMap<Slot, Progress>,
    /// Nothing of a later slot is taken up.
    last: Option<Slot>,
}

/// Slots that are remembered.
const KEPT: usize = 8;

impl Ledger {
    /// How far the slot is; `None` where nothing was heard of it.
    pub(super) fn of(&self, slot: Slot) -> Option<Progress> {
        self.0.borrow().slots.get(&slot).cloned()
    }

    /// Something of the slot was heard.
    pub(super) fn heard(&self, slot: Slot) {
        self.modify(|slots| {
            slots.entry(slot).or_insert(Progress::Heard);
        });
    }

    /// The slot is this far.
    pub(super) fn enter(&self, slot: Slot, progress: Progress) {
        self.modify(|slots| drop(slots.insert(slot, progress)));
    }

    fn modify(&self, change: impl FnOnce(&mut BTreeMap<Slot, Progress>)) {
        self.0.send_modify(|entries| {
            change(&mut entries.slots);
            while entries.slots.len() > KEPT {
                entries.slots.pop_first();
            }
        });
    }

    /// From now on nothing of a slot after `last` is taken up.
    pub(super) fn take_up_to(&self, last: Slot) {
        self.0.send_modify(|entries| entries.last = Some(last));
    }

    /// Whether what is told of the slot is taken up.
    pub(super) fn takes_up(&self, slot: Slot) -> bool {
        self.0.borrow().last.is_none_or(|last| slot <= last)
    }

    /// Hears of every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<Entries> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_again_of_a_slot_takes_nothing_back() {
        let ledger = Ledger::default();
        ledger.enter(Slot(3), Progress::Checking);
        ledger.heard(Slot(3));
        assert_eq!((ledger.of(Slot(3)), ledger.of(Slot(4))), (Some(Progress::Checking), None));
    }

    #[test]
    fn the_newest_slots_are_remembered() {
        let ledger = Ledger::default();
        (0..20).for_each(|slot| ledger.heard(Slot(slot)));
        assert_eq!(
            (0..20).filter(|slot| ledger.of(Slot(*slot)).is_some()).collect::<Vec<_>>(),
            (12..20).collect::<Vec<_>>()
        );
    }

    #[test]
    fn nothing_of_a_slot_after_the_last_is_taken_up() {
        let ledger = Ledger::default();
        assert!(ledger.takes_up(Slot(9)));
        ledger.take_up_to(Slot(7));
        assert!(ledger.takes_up(Slot(7)) && !ledger.takes_up(Slot(8)));
    }
}
