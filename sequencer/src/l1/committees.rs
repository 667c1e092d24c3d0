//! The committees of the epochs around now.

use std::collections::BTreeMap;
use std::sync::Arc;

use fermata_primitives::{Epoch, Slot};
use fermata_rollup::Committee;
use tokio::sync::Mutex;

use super::RollupView;
use crate::error::Result;

/// A few epochs' committees, each read from L1 once. An epoch's committee is fixed by the validator set and the
/// randomness of earlier epochs, and so does not change once it can be read.
#[derive(Debug)]
pub struct Committees {
    view: RollupView,
    cached: Mutex<BTreeMap<Epoch, Arc<Committee>>>,
}

/// Epochs kept.
const KEPT: usize = 4;

impl Committees {
    /// Committees as `view` says.
    #[must_use]
    pub fn new(view: RollupView) -> Self {
        Self { view, cached: Mutex::default() }
    }

    /// The committee of the slot's epoch.
    ///
    /// # Errors
    /// There is none, or L1 did not answer.
    pub async fn of_slot(&self, slot: Slot) -> Result<Arc<Committee>> {
        let epoch = self.view.times().epoch_of(slot);
        let mut cached = self.cached.lock().await;
        if let Some(committee) = cached.get(&epoch) {
            return Ok(Arc::clone(committee));
        }
        let committee = Arc::new(self.view.committee(epoch).await?);
        cached.insert(epoch, Arc::clone(&committee));
        while cached.len() > KEPT {
            cached.pop_first();
        }
        Ok(committee)
    }

    /// The committee of the slot's epoch, if it has been read. Never waits: not for L1, nor for one who waits for L1.
    #[must_use]
    pub fn known(&self, slot: Slot) -> Option<Arc<Committee>> {
        self.cached.try_lock().ok()?.get(&self.view.times().epoch_of(slot)).cloned()
    }

    /// Forgets all: L1 was reorganised.
    pub async fn forget(&self) {
        self.cached.lock().await.clear();
    }
}
