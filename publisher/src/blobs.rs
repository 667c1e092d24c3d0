//! Blobs with their commitments and cell proofs (EIP-7594).

use std::sync::Arc;

use alloy::eips::eip4844::c_kzg::{KzgSettings, ethereum_kzg_settings};
use alloy::eips::eip4844::{Blob, Bytes48};
use alloy::eips::eip7594::{BlobTransactionSidecarEip7594, CELLS_PER_EXT_BLOB};
use alloy::primitives::B256;

use crate::Error;

/// Bytes of one blob with its commitment and proofs, as stored.
const STORED_LEN: usize = BLOB_LEN + POINT_LEN + CELLS_PER_EXT_BLOB * POINT_LEN;
const BLOB_LEN: usize = 131_072;
const POINT_LEN: usize = 48;

/// The trusted setup without precomputed tables. Those would make a proof faster, and cost seconds of a core at the start and
/// a hundred megabytes for as long as the process lives.
pub(crate) fn trusted_setup() -> &'static KzgSettings {
    ethereum_kzg_settings(0)
}

/// Blobs with commitments and cell proofs; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedBlobs(Arc<BlobTransactionSidecarEip7594>);

impl PreparedBlobs {
    /// Makes commitments and proofs: some tenths of a second of this thread a blob, and as much again the first time, for the trusted setup.
    ///
    /// # Errors
    /// [`Error::Blob`] when a blob is no sequence of field elements.
    pub fn compute(blobs: Vec<Blob>) -> Result<Self, Error> {
        let sidecar = BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blobs, trusted_setup());
        Ok(Self(Arc::new(sidecar.map_err(|error| Error::Blob(error.to_string()))?)))
    }

    /// How many blobs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.blobs.len()
    }

    /// True without blobs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.blobs.is_empty()
    }

    /// Versioned hash of each blob, in order: what the contract sees.
    #[must_use]
    pub fn versioned_hashes(&self) -> Vec<B256> {
        self.0.versioned_hashes().collect()
    }

    /// Commitment of each blob, in order.
    #[must_use]
    pub fn commitments(&self) -> &[Bytes48] {
        &self.0.commitments
    }

    /// The sidecar as a transaction carries it.
    #[must_use]
    pub fn sidecar(&self) -> &BlobTransactionSidecarEip7594 {
        &self.0
    }

    /// One blob of zeros. Its polynomial is zero, so that its commitment and all its proofs are the point at infinity, and
    /// nothing needs to be computed: what a cancel of a blob transaction carries.
    pub(crate) fn one_empty() -> Self {
        let mut infinity = Bytes48::ZERO;
        infinity.0[0] = 0xc0;
        let proofs = vec![infinity; CELLS_PER_EXT_BLOB];
        Self(Arc::new(BlobTransactionSidecarEip7594::new(vec![Blob::ZERO], vec![infinity], proofs)))
    }

    /// Joins blobs that were prepared apart, in order.
    pub(crate) fn join(parts: Vec<Self>) -> Self {
        let mut whole = BlobTransactionSidecarEip7594::default();
        for part in parts {
            whole.blobs.extend_from_slice(&part.0.blobs);
            whole.commitments.extend_from_slice(&part.0.commitments);
            whole.cell_proofs.extend_from_slice(&part.0.cell_proofs);
        }
        Self(Arc::new(whole))
    }

    /// Blob `index` as the store keeps it: blob, commitment, cell proofs.
    pub(crate) fn stored(&self, index: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STORED_LEN);
        bytes.extend_from_slice(self.0.blobs[index].as_slice());
        bytes.extend_from_slice(self.0.commitments[index].as_slice());
        for proof in &self.0.cell_proofs[index * CELLS_PER_EXT_BLOB..(index + 1) * CELLS_PER_EXT_BLOB] {
            bytes.extend_from_slice(proof.as_slice());
        }
        bytes
    }

    /// Reads what [`PreparedBlobs::stored`] wrote; `None` when it is not that.
    pub(crate) fn from_stored(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != STORED_LEN {
            return None;
        }
        let (blob, rest) = bytes.split_at(BLOB_LEN);
        let (commitment, proofs) = rest.split_at(POINT_LEN);
        let proofs = proofs.chunks_exact(POINT_LEN).map(Bytes48::from_slice).collect();
        let blobs = vec![Blob::from_slice(blob)];
        let commitments = vec![Bytes48::from_slice(commitment)];
        Some(Self(Arc::new(BlobTransactionSidecarEip7594::new(blobs, commitments, proofs))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_blob_made_without_computing_is_the_computed_one() {
        let computed = PreparedBlobs::compute(vec![Blob::ZERO]).unwrap();
        assert_eq!(PreparedBlobs::one_empty(), computed);
    }

    #[test]
    fn a_blob_comes_back_from_the_store_as_it_went() {
        let mut blob = Blob::ZERO;
        blob[5] = 7;
        let both = PreparedBlobs::compute(vec![blob, Blob::ZERO]).unwrap();
        let parts = (0..2).map(|index| PreparedBlobs::from_stored(&both.stored(index)).unwrap()).collect();
        assert_eq!(PreparedBlobs::join(parts), both);
        assert_eq!(PreparedBlobs::from_stored(&both.stored(0)[1..]), None);
    }

    #[test]
    fn a_blob_that_is_no_sequence_of_field_elements_is_refused() {
        assert!(matches!(PreparedBlobs::compute(vec![Blob::repeat_byte(0xff)]), Err(Error::Blob(_))));
    }
}
