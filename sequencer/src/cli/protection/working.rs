//! The stores that a command works with, and closes again.

use std::fmt;

use clap::Args;
use fermata_validator_signer::{
    Domain, EthProtection, PostgresOptions, PostgresProtection, Scan, SignerError, SlashingProtection, StoreOptions,
};
use serde::Serialize;

use super::failure;
use super::place::{Place, StoreArgs};
use super::scratch::Scratch;
use super::shared::Shared;
use crate::catalogue::Reason;
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

/// A store that a node asks before it signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Which {
    Own,
    Shared,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "the node's own store",
            Self::Shared => "the shared store",
        })
    }
}

/// A store that is open.
struct Opened {
    which: Which,
    store: Box<dyn EthProtection>,
    /// Where its server is remembered meanwhile.
    _scratch: Option<Scratch>,
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
        let opened = if self.shared {
            self.open_shared(keep_slots, None).await?
        } else {
            Opened::own(self.at.place()?.open(scan, keep_slots)?)
        };
        let done = work(&*opened.store).await;
        opened.store.close().await;
        done.map_err(failure)
    }

    /// Says something of keys wherever the node asks before it signs: in its own store and, where the configuration names
    /// one, in the store that it shares. `--shared`, `--store`, and `--data-dir` without a configuration, choose one alone.
    /// Both are open before anything is said in the first, its own.
    ///
    /// # Errors
    /// What a store says, with where it is said and where not; what is wrong with the configuration.
    pub(super) async fn with_each_store<T>(
        &self,
        scan: &Scan,
        work: impl AsyncFn(&dyn EthProtection) -> Result<T, SignerError>,
    ) -> Result<Vec<(Which, T)>, Failure> {
        let stores = self.open_each(scan).await?;
        let told = in_turn(&stores, work).await;
        for opened in &stores {
            opened.store.close().await;
        }
        told
    }

    /// What is agreed on with other nodes must hold at all that sign with the keys: where the node shares a store, its own
    /// alone is not meant unless it is named.
    ///
    /// # Errors
    /// The configuration names a shared store, and neither it nor another one was chosen.
    pub(super) fn expect_all_are_told(&self) -> Result<(), Failure> {
        if self.shared || !self.is_shared_too()? {
            return Ok(());
        }
        Err(Failure {
            reason: Reason::ConfigInvalid,
            message: "this node shares a store, and the others that do would not be told; tell them all with --shared, or name \
                      the store that is meant with --store"
                .to_owned(),
            hint: None,
        })
    }

    /// Whether the node shares a store, and its own is not named by itself.
    fn is_shared_too(&self) -> Result<bool, Failure> {
        Ok(!self.at.names_a_store() && self.at.config()?.protection.shared.is_some())
    }

    async fn open_each(&self, scan: &Scan) -> Result<Vec<Opened>, Failure> {
        let keep_slots = StoreOptions::default().keep_slots;
        if self.shared {
            return Ok(vec![self.open_shared(keep_slots, None).await?]);
        }
        let is_shared_too = self.is_shared_too()?;
        let own = self.at.place()?.open(scan, keep_slots)?;
        if !is_shared_too {
            return Ok(vec![Opened::own(own)]);
        }
        match self.open_shared(keep_slots, Some(own.domain())).await {
            Ok(shared) => Ok(vec![Opened::own(own), shared]),
            Err(failure) => {
                own.close().await;
                let (message, dir) = (failure.message, own.dir().display());
                let message = format!(
                    "{message}; nothing is changed in the node's own store either: for that one alone, name it with --store {dir}"
                );
                Err(Failure { message, ..failure })
            }
        }
    }

    /// Opens the store that the node shares, for the rollup of the store `beside` it or for the configured one.
    async fn open_shared(&self, keep_slots: u64, beside: Option<Domain>) -> Result<Opened, Failure> {
        let config = self.at.config()?;
        let Shared { anchor, store, domain } = match beside {
            Some(domain) => Shared::for_rollup(&config, domain)?,
            None => Shared::of(&config, self.l1_chain_id)?,
        };
        let scratch = Scratch::make("anchor")?;
        let options = PostgresOptions { keep_slots, ..store.options(scratch.copy_of(&anchor)?) };
        let store = PostgresProtection::open(&store.database, domain, options).await.map_err(failure)?;
        Ok(Opened { which: Which::Shared, store: Box::new(store), _scratch: Some(scratch) })
    }
}

impl Opened {
    fn own(store: SlashingProtection) -> Self {
        Self { which: Which::Own, store: Box::new(store), _scratch: None }
    }
}

/// Works with one store after the other, up to the first that fails.
async fn in_turn<T>(
    stores: &[Opened],
    work: impl AsyncFn(&dyn EthProtection) -> Result<T, SignerError>,
) -> Result<Vec<(Which, T)>, Failure> {
    let mut told = Vec::new();
    for Opened { which, store, .. } in stores {
        match work(&**store).await {
            Ok(answer) => told.push((*which, answer)),
            Err(error) if stores.len() > 1 => return Err(half_done(failure(error), *which)),
            Err(error) => return Err(failure(error)),
        }
    }
    Ok(told)
}

/// One of two stores failed: what is done, and what is to be run again.
fn half_done(failure: Failure, at: Which) -> Failure {
    let (message, how) = (&failure.message, "run the same again");
    let message = match at {
        Which::Own => format!("{message}; nothing is changed in the shared store; see to this and {how}"),
        Which::Shared => format!(
            "{message}; it is done in the node's own store, and may not be in the shared one; see to this and {how}, with --shared"
        ),
    };
    Failure { message, ..failure }
}
