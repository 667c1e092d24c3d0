//! What a signer needs of a store, wherever the store keeps its records.

use std::fmt;

use alloy::primitives::{B256, Signature};
use fermata_primitives::Slot;
use futures::future::BoxFuture;

use crate::{Domain, Duty, Safe, SignerError, SigningPermit};

/// A store of duties, each durable on record before leave is given to sign it.
///
/// What every store promises, and a signer relies on: for one duty all digests that leave was ever given for are equal,
/// whatever is cut, killed or asked at once. A store that cannot tell whether a duty is safe answers with an error.
pub trait Protection: Send + Sync + fmt::Debug + 'static {
    /// The rollup this store protects keys for.
    fn domain(&self) -> Domain;

    /// Records many duties durably and gives leave to sign each digest. Each duty gets an answer of its own, in the order
    /// asked, and always one: a refusal takes nothing from the others. Of two digests for one duty the earlier wins.
    ///
    /// # Cancel safety
    /// Dropped: each duty is either not on record, or pinned to its digest.
    fn reserve_many<'a>(&'a self, duties: &'a [(Duty, B256)]) -> BoxFuture<'a, Vec<Result<Safe, SignerError>>>;

    /// Records `duty` durably and gives leave to sign `digest` for it.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// As [`reserve_many`](Self::reserve_many).
    fn reserve(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(async move {
            let answers = self.reserve_many(&[(duty, digest)]).await;
            answers.into_iter().next().expect("a store answers each duty it is asked for")
        })
    }

    /// Keeps the signature made under `permit`, so that the same payload gets it without asking the key again. A crash
    /// may lose it; that costs a repeat of the same signature, never another one.
    ///
    /// # Errors
    /// [`SignerError::Closed`]: the store closed meanwhile; the duty stays pinned.
    ///
    /// # Cancel safety
    /// Dropped: the signature may not be kept; the duty stays pinned.
    fn record_signature(&self, permit: SigningPermit, signature: Signature) -> BoxFuture<'_, Result<(), SignerError>>;

    /// Forgets duties so far behind `finalized` that nobody asks for them any more, and refuses their slots from then on.
    /// Gives the number of records removed.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each; a part may be pruned already.
    ///
    /// # Cancel safety
    /// Dropped: what is pruned stays pruned.
    fn prune(&self, finalized: Slot) -> BoxFuture<'_, Result<u64, SignerError>>;

    /// Answers what is queued and closes the store. Closing twice is the same as once; whatever is asked afterwards is
    /// [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped once it was polled to its first wait: the store closes all the same.
    fn close(&self) -> BoxFuture<'_, ()>;
}
