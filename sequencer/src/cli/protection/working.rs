//! A store that a command works with, and closes again.

use fermata_validator_signer::{Scan, SignerError, SlashingProtection, StoreOptions};

use super::{Place, StoreArgs, failure};
use crate::cli::Failure;

impl Place {
    /// Opens the store, for the rollup that it is for.
    ///
    /// # Errors
    /// What is wrong with it, or who holds it.
    pub(super) fn open(&self, scan: &Scan) -> Result<SlashingProtection, Failure> {
        self.open_keeping(scan, StoreOptions::default().keep_slots)
    }

    /// The same, and a prune keeps this many slots.
    pub(super) fn open_keeping(&self, scan: &Scan, keep_slots: u64) -> Result<SlashingProtection, Failure> {
        let domain = SlashingProtection::domain_at(&self.store).map_err(failure)?;
        let (sentinel, holder) = (self.sentinel(scan), "fermata protection".to_owned());
        let options = StoreOptions { sentinel, holder, keep_slots, ..StoreOptions::default() };
        SlashingProtection::open(&self.store, domain, options).map_err(failure)
    }
}

impl StoreArgs {
    /// Opens the store, works with it, and closes it again.
    ///
    /// # Errors
    /// What the store says, and what is wrong with the configuration.
    pub(super) fn with_store<T>(
        &self,
        scan: &Scan,
        work: impl AsyncFnOnce(&SlashingProtection) -> Result<T, SignerError>,
    ) -> Result<T, Failure> {
        finish(&self.place()?.open(scan)?, work)
    }
}

/// Works with a store, and closes it.
pub(super) fn finish<T>(
    store: &SlashingProtection,
    work: impl AsyncFnOnce(&SlashingProtection) -> Result<T, SignerError>,
) -> Result<T, Failure> {
    let done = futures::executor::block_on(async {
        let done = work(store).await;
        store.close().await;
        done
    });
    done.map_err(failure)
}
