//! Where proofs come from.

use std::fmt::Debug;

use fermata_rollup::{EpochProof, RollupError};
use futures::future::BoxFuture;

use super::EpochToProve;
use crate::error::{Result, SequencerError};

/// Makes the proofs of epochs, or knows who does.
pub trait ProofSource: Send + Sync + Debug {
    /// The proof of this epoch; `None` while it is being made, which may take hours: ask again for the same epoch.
    ///
    /// # Errors
    /// The source did not answer, or what it said is no proof. Ask again later.
    ///
    /// # Cancel safety
    /// Dropped, the proof is made on, or not; asking again for the same epoch is always right.
    fn proof_of<'a>(&'a self, epoch: &'a EpochToProve) -> BoxFuture<'a, Result<Option<EpochProof>>>;

    /// What it is, in words for an operator.
    fn describe(&self) -> String;
}

/// What cannot even be encoded the contract would refuse.
pub(super) fn refused(error: &RollupError) -> SequencerError {
    SequencerError::ProofRefused { reason: error.to_string() }
}
