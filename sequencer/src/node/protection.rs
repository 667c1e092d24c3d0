//! The signing stores of a node, opened as the configuration says.

use std::sync::Arc;

use fermata_primitives::{SharedClock, Slot, SlotTimes};
use fermata_validator_signer::{
    Both, Domain, FarFutureGuard, PostgresOptions, PostgresProtection, Protection, Scan, Sentinel, SignerError,
    SlashingProtection, StoreOptions,
};

use crate::config::{ProtectionConfig, SharedProtection};
use crate::data_dir::DataDir;

#[cfg(test)]
mod tests;

/// Slots ahead of the clock's that are signed for: a pipelined proposer needs one, and clocks differ.
const SLOTS_AHEAD: u64 = 2;

/// What the signing stores are opened from.
pub(super) struct Stores<'a> {
    pub(super) config: &'a ProtectionConfig,
    pub(super) data_dir: &'a DataDir,
    pub(super) domain: Domain,
    pub(super) times: SlotTimes,
    pub(super) clock: SharedClock,
    pub(super) scan: Scan,
    /// What this node calls itself, for whoever finds the store held.
    pub(super) holder: String,
    /// No node has come up in this data directory before: neither a signing store nor an admin token is on record.
    pub(super) is_new: bool,
}

impl Stores<'_> {
    /// The node's own store and, where nodes share one, that as well: then both must agree. Whichever of them is new listens
    /// before it signs.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(super) async fn open(self) -> Result<Arc<dyn Protection>, SignerError> {
        let store = self.all().await?;
        match self.listen_first(&*store).await {
            Ok(()) => Ok(store),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    async fn all(&self) -> Result<Arc<dyn Protection>, SignerError> {
        let local = self.own()?;
        let Some(shared) = &self.config.shared else { return Ok(local) };
        match self.shared(shared).await {
            Ok(shared) => Ok(Arc::new(Both::new(local, shared)?)),
            Err(error) => {
                // Its directory is free once this has answered, and not before.
                local.close().await;
                Err(error)
            }
        }
    }

    /// The node's own store. It is made with the data directory and never again: one that has vanished since is refused,
    /// since an empty one would sign again what was signed before.
    fn own(&self) -> Result<Arc<dyn Protection>, SignerError> {
        let dir = self.data_dir.signer();
        if self.is_new {
            match SlashingProtection::init(&dir, self.domain) {
                // An earlier first start came this far and no further.
                Ok(()) | Err(SignerError::AlreadyInitialised { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let guard = FarFutureGuard { times: self.times, clock: self.clock.clone(), slots_ahead: SLOTS_AHEAD };
        let options = StoreOptions {
            far_future: Some(guard),
            strict: self.config.strict.clone(),
            clock: self.clock.clone(),
            sentinel: Sentinel { scan: self.scan.clone(), anchor: Some(self.config.anchor.clone()) },
            holder: self.holder.clone(),
            ..StoreOptions::default()
        };
        Ok(Arc::new(SlashingProtection::open(&dir, self.domain, options)?))
    }

    /// A store that is new, restored or imported into listens for whole slots: the one under way has begun already. With a
    /// shared one all its nodes do, once: the first that opens it names the slot.
    async fn listen_first(&self, store: &dyn Protection) -> Result<(), SignerError> {
        let slots = self.config.listen_only_slots;
        if slots == 0 {
            return Ok(());
        }
        let current = self.times.slot_at_time(self.clock.now());
        let until = store.listen_when_new(Slot(current.0.saturating_add(slots + 1))).await?;
        if let Some(until) = until.filter(|until| *until > current) {
            tracing::warn!(
                until = until.0,
                "a signing store is new, restored or imported: nothing is signed before this slot"
            );
        }
        Ok(())
    }

    /// The store that other nodes use too. It is made by an operator, and by no node: one that has vanished would be made
    /// anew by whichever starts first. The local store, which is asked as well, looks after slots that are too far ahead.
    async fn shared(&self, shared: &SharedProtection) -> Result<Arc<dyn Protection>, SignerError> {
        let options = shared.options(self.data_dir.shared_anchor());
        let strict = self.config.strict.clone();
        let options = PostgresOptions { clock: self.clock.clone(), strict, ..options };
        Ok(Arc::new(PostgresProtection::open(&shared.database, self.domain, options).await?))
    }
}
