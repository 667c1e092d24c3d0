//! Proofs of nothing, for a verifier that takes any.

use alloy::primitives::Bytes;
use fermata_rollup::{BlobOpening, EpochProof};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{EpochToProve, ProofSource};
use crate::error::{Result, SequencerError};
use crate::l1::RollupView;

/// Gives empty proofs, which the published mock verifier takes and no other. They prove nothing: whoever runs such a rollup
/// believes its committee.
#[derive(Clone, Copy, Debug)]
pub struct MockProofs(());

impl MockProofs {
    /// Mock proofs for this rollup.
    ///
    /// # Errors
    /// [`SequencerError::RealVerifier`] where its verifier checks proofs; or L1 did not answer.
    pub async fn for_mock_verifier(view: &RollupView) -> Result<Self> {
        let verifier = view.verifier().await?;
        if view.takes_any_proof(verifier).await? {
            Ok(Self(()))
        } else {
            Err(SequencerError::RealVerifier { verifier })
        }
    }
}

impl ProofSource for MockProofs {
    fn proof_of<'a>(&'a self, _: &'a EpochToProve) -> BoxFuture<'a, Result<Option<EpochProof>>> {
        let proof = EpochProof { opening: BlobOpening::of_nothing(), proof: Bytes::new() };
        std::future::ready(Ok(Some(proof))).boxed()
    }

    fn describe(&self) -> String {
        "mock proofs, which prove nothing: the rollup's verifier takes any proof".to_owned()
    }
}
