//! What is asked of a store for Ethereum's keys, and with files that carry duties from store to store, wherever the store
//! keeps its records.

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot, UnixTime};
use futures::future::BoxFuture;

use super::{EthDuty, EthPublicKey, EthSafe};
use crate::{ExportOptions, ImportOptions, ImportReport, Interchange, Protection, SignerError};

/// A store that keeps Ethereum's duties beside a rollup's, and gives and takes both in interchange files.
///
/// What every store promises: of all that leave was ever given for with a key, no two are slashable together; and whatever
/// it or a file that it took in refused, it refuses.
pub trait EthProtection: Protection {
    /// Records many duties of a key durably, all in one transaction, and gives leave to sign. Each has an answer of its own,
    /// in the order asked, and is judged after those before it. A root of zeros stands for one that is not known: it is
    /// recorded, and equals nothing afterwards.
    ///
    /// # Cancel safety
    /// Dropped: each duty is either not on record, or spent for all but the same data.
    fn reserve_eth_many<'a>(
        &'a self,
        public_key: EthPublicKey,
        duties: &'a [(EthDuty, B256)],
    ) -> BoxFuture<'a, Vec<Result<EthSafe, SignerError>>>;

    /// The same for one duty.
    ///
    /// # Errors
    /// [`SignerError::EthNotSafe`] is final for this data; [`SignerError::next_step`] tells what to do about the others.
    ///
    /// # Cancel safety
    /// As [`reserve_eth_many`](Self::reserve_eth_many).
    fn reserve_eth(
        &self,
        public_key: EthPublicKey,
        duty: EthDuty,
        root: B256,
    ) -> BoxFuture<'_, Result<EthSafe, SignerError>> {
        Box::pin(async move {
            let answers = self.reserve_eth_many(public_key, &[(duty, root)]).await;
            answers.into_iter().next().expect("a store answers each duty it is asked for")
        })
    }

    /// Forgets blocks through `slot` and attestations through `target`, and refuses those from then on to each key that
    /// had any. Gives the number of records removed.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each; some keys may be pruned already.
    ///
    /// # Cancel safety
    /// Dropped: what is pruned stays pruned.
    fn prune_eth(&self, slot: Slot, target: Epoch) -> BoxFuture<'_, Result<u64, SignerError>>;

    /// Refuses these keys everything, durably and for ever: another store signs with them.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: the keys may be retired all the same.
    fn retire_eth<'a>(&'a self, public_keys: &'a [EthPublicKey]) -> BoxFuture<'a, Result<(), SignerError>>;

    /// Tells the store, once and for all, which chain its Ethereum keys sign for. The same again is no change.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: it knows another one. [`SignerError::next_step`] tells what to do about the others.
    ///
    /// # Cancel safety
    /// Dropped: the chain may be told all the same.
    fn bind_chain(&self, genesis_validators_root: B256) -> BoxFuture<'_, Result<(), SignerError>>;

    /// Takes in all of `file`, in one durable transaction: afterwards the store refuses whatever it or the file refused.
    /// Marks only rise; of two payloads for one duty neither can be signed any more. Twice is the same as once.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: nothing has changed. [`SignerError::next_step`] tells what to do about the others.
    ///
    /// # Cancel safety
    /// Dropped: the import happens whole or not at all.
    fn import<'a>(
        &'a self,
        file: &'a Interchange,
        options: ImportOptions,
    ) -> BoxFuture<'a, Result<ImportReport, SignerError>>;

    /// What the store knows, all of one moment, as a file that another store imports. For a hand-over retire the keys
    /// first: what is signed after an export is not in it.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: there are Ethereum keys, and nobody told for which chain. [`SignerError::next_step`]
    /// tells what to do about the others.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    fn export(&self, options: ExportOptions, exported_at: UnixTime) -> BoxFuture<'_, Result<Interchange, SignerError>>;
}

/// The methods of the same names are a store's own.
macro_rules! delegate_eth_protection {
    ($store:ty) => {
        impl EthProtection for $store {
            fn reserve_eth_many<'a>(
                &'a self,
                public_key: EthPublicKey,
                duties: &'a [(EthDuty, B256)],
            ) -> BoxFuture<'a, Vec<Result<EthSafe, SignerError>>> {
                Box::pin(self.reserve_eth_many(public_key, duties))
            }

            fn prune_eth(&self, slot: Slot, target: Epoch) -> BoxFuture<'_, Result<u64, SignerError>> {
                Box::pin(self.prune_eth(slot, target))
            }

            fn retire_eth<'a>(&'a self, public_keys: &'a [EthPublicKey]) -> BoxFuture<'a, Result<(), SignerError>> {
                Box::pin(self.retire_eth(public_keys))
            }

            fn bind_chain(&self, genesis_validators_root: B256) -> BoxFuture<'_, Result<(), SignerError>> {
                Box::pin(self.bind_chain(genesis_validators_root))
            }

            fn import<'a>(
                &'a self,
                file: &'a Interchange,
                options: ImportOptions,
            ) -> BoxFuture<'a, Result<ImportReport, SignerError>> {
                Box::pin(self.import(file, options))
            }

            fn export(
                &self,
                options: ExportOptions,
                exported_at: UnixTime,
            ) -> BoxFuture<'_, Result<Interchange, SignerError>> {
                Box::pin(self.export(options, exported_at))
            }
        }
    };
}

delegate_eth_protection!(crate::SlashingProtection);
#[cfg(feature = "postgres")]
delegate_eth_protection!(crate::PostgresProtection);
