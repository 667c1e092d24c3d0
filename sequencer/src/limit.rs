//! How far a run goes: the slot or block of a planned stop.
//!
//! The tick reads the limit before it begins a slot or a block, so nothing beyond it is ever begun; the engine hears when
//! it is reached, and drains. A limit that was lifted meanwhile is not reached.

use std::sync::{Arc, Mutex, PoisonError};

use fermata_primitives::Slot;
use tokio::sync::watch;

use crate::verbs::StopAt;

/// Where a run is to end, as it was when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Bounds {
    slot: Option<Slot>,
    block: Option<u64>,
    /// How often the limit was lifted before.
    lifted: u64,
}

impl Bounds {
    /// Whether there is no limit.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.slot.is_none() && self.block.is_none()
    }

    /// Whether `slot` may be worked on.
    #[must_use]
    pub fn admits_slot(&self, slot: Slot) -> bool {
        self.slot.is_none_or(|last| slot <= last)
    }

    /// Whether `slot`, once it has been worked on, is the last.
    #[must_use]
    pub fn ends_with(&self, slot: Slot) -> bool {
        self.slot.is_some_and(|last| slot >= last)
    }

    /// Whether block `number` may be built.
    #[must_use]
    pub fn admits_block(&self, number: u64) -> bool {
        self.block.is_none_or(|last| number <= last)
    }
}

/// The limit of one run; none at first. Clones are the same limit.
#[derive(Clone, Debug)]
pub struct Limit {
    bounds: Arc<Mutex<Bounds>>,
    reached: watch::Sender<Option<Bounds>>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { bounds: Arc::default(), reached: watch::Sender::new(None) }
    }
}

impl Limit {
    /// The limit now.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes no further than `at`. Of two slots, or of two blocks, the sooner counts: it is what is given back.
    pub fn tighten(&self, at: StopAt) -> StopAt {
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            StopAt::Slot(slot) => {
                let sooner = bounds.slot.map_or(slot, |before| before.min(slot));
                bounds.slot = Some(sooner);
                StopAt::Slot(sooner)
            }
            StopAt::Block(block) => {
                let sooner = bounds.block.map_or(block, |before| before.min(block));
                bounds.block = Some(sooner);
                StopAt::Block(sooner)
            }
        }
    }

    /// Goes on without end.
    pub fn lift(&self) {
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        *bounds = Bounds { lifted: bounds.lifted + 1, ..Bounds::default() };
    }

    /// Says that nothing more is to come before `bounds`, as they were read. May be said again.
    pub fn reach(&self, bounds: Bounds) {
        self.reached.send_replace(Some(bounds));
    }

    /// Resolves once the limit, as it is then, was reached.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn reached(&self) {
        let is_now = |bounds: &Option<Bounds>| bounds.is_some_and(|reached| reached.lifted == self.bounds().lifted);
        // An error means that the limit is gone; whoever waits here borrows it, so that cannot be.
        let _ = self.reached.subscribe().wait_for(is_now).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_sooner_limit_counts_and_lifting_ends_all() {
        let limit = Limit::default();
        assert!(limit.bounds().is_open() && limit.bounds().admits_slot(Slot(u64::MAX)));
        for at in [StopAt::Slot(Slot(9)), StopAt::Slot(Slot(7)), StopAt::Slot(Slot(8)), StopAt::Block(40)] {
            limit.tighten(at);
        }
        let bounds = limit.bounds();
        assert!(bounds.admits_slot(Slot(7)) && !bounds.admits_slot(Slot(8)));
        assert!(bounds.ends_with(Slot(7)) && !bounds.ends_with(Slot(6)));
        assert!(bounds.admits_block(40) && !bounds.admits_block(41));
        limit.lift();
        assert!(limit.bounds().is_open() && !limit.bounds().ends_with(Slot(9)));
    }

    #[test]
    fn a_limit_that_was_lifted_is_not_reached_and_a_tighter_one_is() {
        let limit = Limit::default();
        limit.tighten(StopAt::Slot(Slot(9)));
        let read = limit.bounds();
        limit.lift();
        limit.reach(read);
        limit.tighten(StopAt::Slot(Slot(20)));
        assert!(limit.reached().now_or_never().is_none());
        let read = limit.bounds();
        limit.tighten(StopAt::Slot(Slot(19)));
        limit.reach(read);
        assert!(limit.reached().now_or_never().is_some());
    }
}
