//! The committees of the epochs around now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fermata_primitives::{Epoch, Slot};
use fermata_rollup::Committee;

use super::{HeadReceiver, RollupView};
use crate::error::Result;

/// A few epochs' committees. Each is read from L1 once it is settled, and anew each time before: the contract tells the
/// next epoch's while what lands in this one can still change it.
#[derive(Debug)]
pub struct Committees {
    view: RollupView,
    head: HeadReceiver,
    /// Never held across a call to L1: who asks about another epoch must not keep a tick waiting.
    known: Mutex<Known>,
}

/// A committee as it was read.
#[derive(Debug)]
struct Read {
    committee: Arc<Committee>,
    is_settled: bool,
}

/// Epochs kept.
const KEPT: usize = 4;

/// What has been read, since all was forgotten for the last time.
#[derive(Debug, Default)]
struct Known {
    epochs: BTreeMap<Epoch, Read>,
    forgotten: u64,
}

impl Known {
    /// Keeps a committee, unless all was forgotten since the reading began. Beyond [`KEPT`], those of the epochs
    /// furthest from `current` go.
    fn keep(&mut self, read: Read, forgotten: u64, current: Epoch) {
        if self.forgotten != forgotten {
            return;
        }
        self.epochs.insert(read.committee.epoch, read);
        while self.epochs.len() > KEPT {
            let furthest = self.epochs.keys().copied().max_by_key(|epoch| epoch.0.abs_diff(current.0));
            furthest.and_then(|epoch| self.epochs.remove(&epoch));
        }
    }

    fn forget(&mut self) {
        self.epochs.clear();
        self.forgotten += 1;
    }
}

impl Committees {
    /// Committees as `view` says, settled by the time of `head`.
    #[must_use]
    pub fn new(view: RollupView, head: HeadReceiver) -> Self {
        Self { view, head, known: Mutex::default() }
    }

    /// The committee of the slot's epoch. Several callers may read the same one at once.
    ///
    /// # Errors
    /// There is none, or L1 did not answer.
    pub async fn of_slot(&self, slot: Slot) -> Result<Arc<Committee>> {
        let epoch = self.view.times().epoch_of(slot);
        let forgotten = {
            let known = self.lock();
            if let Some(Read { committee, is_settled: true }) = known.epochs.get(&epoch) {
                return Ok(Arc::clone(committee));
            }
            known.forgotten
        };
        // The time is taken before the committee, which is read from this head or a later one.
        let now = self.head.borrow().timestamp;
        let is_settled = self.view.constants().is_settled(epoch, now);
        let committee = Arc::new(self.view.committee(epoch).await?);
        let current = self.view.times().epoch_of(self.view.times().slot_at(now));
        self.lock().keep(Read { committee: Arc::clone(&committee), is_settled }, forgotten, current);
        Ok(committee)
    }

    /// The committee of the slot's epoch, if it has been read. Never waits for L1.
    #[must_use]
    pub fn known(&self, slot: Slot) -> Option<Arc<Committee>> {
        let epoch = self.view.times().epoch_of(slot);
        self.lock().epochs.get(&epoch).map(|read| Arc::clone(&read.committee))
    }

    /// Forgets all: L1 was reorganised.
    pub fn forget(&self) {
        self.lock().forget();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(epoch: u64) -> Read {
        let committee = Committee { epoch: Epoch(epoch), seed: Default::default(), members: Vec::new() };
        Read { committee: Arc::new(committee), is_settled: true }
    }

    fn epochs(known: &Known) -> Vec<u64> {
        known.epochs.keys().map(|epoch| epoch.0).collect()
    }

    #[test]
    fn epochs_far_away_do_not_push_out_the_current_one_and_its_neighbours() {
        let mut known = Known::default();
        for epoch in [7, 8, 9, 1_000, 2_000, 0, 3_000] {
            known.keep(read(epoch), 0, Epoch(8));
        }
        assert_eq!(epochs(&known), [0, 7, 8, 9]);
        known.keep(read(10), 0, Epoch(9));
        assert_eq!(epochs(&known), [7, 8, 9, 10], "as time goes on the oldest goes");
    }

    #[test]
    fn what_was_being_read_when_all_was_forgotten_is_not_kept() {
        let mut known = Known::default();
        known.keep(read(7), 0, Epoch(7));
        known.forget();
        known.keep(read(7), 0, Epoch(7));
        assert!(epochs(&known).is_empty());
        known.keep(read(7), 1, Epoch(7));
        assert_eq!(epochs(&known), [7]);
    }
}
