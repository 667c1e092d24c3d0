//! The committees of the epochs around now.

use std::collections::BTreeMap;
use std::sync::Arc;

use fermata_primitives::{Epoch, Slot};
use fermata_rollup::Committee;
use tokio::sync::Mutex;

use super::{HeadReceiver, RollupView};
use crate::error::Result;

/// A few epochs' committees. Each is read from L1 once it is settled, and anew each time before: the contract tells the
/// next epoch's while what lands in this one can still change it.
#[derive(Debug)]
pub struct Committees {
    view: RollupView,
    head: HeadReceiver,
    cached: Mutex<BTreeMap<Epoch, Read>>,
}

/// A committee as it was read.
#[derive(Debug)]
struct Read {
    committee: Arc<Committee>,
    is_settled: bool,
}

/// Epochs kept.
const KEPT: usize = 4;

impl Committees {
    /// Committees as `view` says, settled by the time of `head`.
    #[must_use]
    pub fn new(view: RollupView, head: HeadReceiver) -> Self {
        Self { view, head, cached: Mutex::default() }
    }

    /// The committee of the slot's epoch.
    ///
    /// # Errors
    /// There is none, or L1 did not answer.
    pub async fn of_slot(&self, slot: Slot) -> Result<Arc<Committee>> {
        let epoch = self.view.times().epoch_of(slot);
        let mut cached = self.cached.lock().await;
        if let Some(Read { committee, is_settled: true }) = cached.get(&epoch) {
            return Ok(Arc::clone(committee));
        }
        // The time is taken before the committee, which is read from this head or a later one.
        let is_settled = self.view.constants().is_settled(epoch, self.head.borrow().timestamp);
        let committee = Arc::new(self.view.committee(epoch).await?);
        cached.insert(epoch, Read { committee: Arc::clone(&committee), is_settled });
        while cached.len() > KEPT {
            cached.pop_first();
        }
        Ok(committee)
    }

    /// The committee of the slot's epoch, if it has been read. Never waits: not for L1, nor for one who waits for L1.
    #[must_use]
    pub fn known(&self, slot: Slot) -> Option<Arc<Committee>> {
        let cached = self.cached.try_lock().ok()?;
        cached.get(&self.view.times().epoch_of(slot)).map(|read| Arc::clone(&read.committee))
    }

    /// Forgets all: L1 was reorganised.
    pub async fn forget(&self) {
        self.cached.lock().await.clear();
    }
}
