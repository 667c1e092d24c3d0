//! Where the stores under test come from.

use std::fmt;

use alloy::primitives::Address;
use futures::future::BoxFuture;

use crate::{Domain, EthPolicy, EthProtection, SignerError};

/// The rollup that the stores are for. Vectors have no duties of one.
pub(super) const DOMAIN: Domain = Domain { l1_chain_id: 1, rollup: Address::ZERO };

/// A kind of store that vectors are run against.
pub trait VectorBackend: Send + Sync + fmt::Debug {
    /// A new, empty store.
    fn fresh(&self, policy: EthPolicy) -> BoxFuture<'_, Result<Box<dyn VectorStore>, SignerError>>;
}

/// A store that was made for one vector.
pub trait VectorStore: Send + Sync {
    /// What it does.
    fn protection(&self) -> &dyn EthProtection;

    /// Closes the store and removes what it kept.
    fn discard(self: Box<Self>) -> BoxFuture<'static, ()>;
}
