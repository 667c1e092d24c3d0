//! A store that a command works with, and closes again.

use clap::Args;
use fermata_validator_signer::{
    EthProtection, PostgresOptions, PostgresProtection, Scan, SignerError, SlashingProtection, StoreOptions,
};

use super::scratch::Scratch;
use super::shared::Shared;
use super::{Place, StoreArgs, failure};
use crate::cli::Failure;
use crate::cli::failure::Form;

/// Which signing store: a node's own, or the one that it shares.
#[derive(Args, Clone, Default, Debug)]
pub(super) struct EitherArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// The store that the node shares with others, in the configured database; they may run meanwhile.
    #[arg(long, conflicts_with_all = ["store", "anchor"])]
    shared: bool,
    /// Chain id of the L1 that the shared store is for, instead of the configured one.
    #[arg(long, value_name = "ID", requires = "shared")]
    l1_chain_id: Option<u64>,
}

impl Place {
    /// Opens the store, for the rollup that it is for; a prune keeps this many slots.
    ///
    /// # Errors
    /// What is wrong with it, or who holds it.
    pub(super) fn open(&self, scan: &Scan, keep_slots: u64) -> Result<SlashingProtection, Failure> {
        let domain = SlashingProtection::domain_at(&self.store).map_err(failure)?;
        let (sentinel, holder) = (self.sentinel(scan), "fermata protection".to_owned());
        let options = StoreOptions { sentinel, holder, keep_slots, ..StoreOptions::default() };
        SlashingProtection::open(&self.store, domain, options).map_err(failure)
    }
}

impl EitherArgs {
    pub(super) const fn form(&self) -> Form {
        self.at.form()
    }

    /// Opens the store, works with it, and closes it again.
    ///
    /// # Errors
    /// What the store says, and what is wrong with the configuration.
    pub(super) async fn with_store<T>(
        &self,
        scan: &Scan,
        work: impl AsyncFnOnce(&dyn EthProtection) -> Result<T, SignerError>,
    ) -> Result<T, Failure> {
        self.with_store_keeping(StoreOptions::default().keep_slots, scan, work).await
    }

    /// The same, and a prune keeps this many slots.
    pub(super) async fn with_store_keeping<T>(
        &self,
        keep_slots: u64,
        scan: &Scan,
        work: impl AsyncFnOnce(&dyn EthProtection) -> Result<T, SignerError>,
    ) -> Result<T, Failure> {
        if self.shared {
            return self.with_shared(keep_slots, work).await;
        }
        let store = self.at.place()?.open(scan, keep_slots)?;
        finish(&store, work).await
    }

    async fn with_shared<T>(
        &self,
        keep_slots: u64,
        work: impl AsyncFnOnce(&dyn EthProtection) -> Result<T, SignerError>,
    ) -> Result<T, Failure> {
        let Shared { anchor, store, domain } = Shared::of(&self.at.config()?, self.l1_chain_id)?;
        let scratch = Scratch::make("anchor")?;
        let options = PostgresOptions { keep_slots, ..store.options(scratch.copy_of(&anchor)?) };
        let store = PostgresProtection::open(&store.database, domain, options).await.map_err(failure)?;
        finish(&store, work).await
    }
}

/// Works with a store, and closes it.
async fn finish<T>(
    store: &dyn EthProtection,
    work: impl AsyncFnOnce(&dyn EthProtection) -> Result<T, SignerError>,
) -> Result<T, Failure> {
    let done = work(store).await;
    store.close().await;
    done.map_err(failure)
}
