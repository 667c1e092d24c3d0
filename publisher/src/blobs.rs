//! Blobs with their commitments and proofs: cell proofs (EIP-7594), and those of one blob (EIP-4844) where they are asked for.

use std::sync::{Arc, OnceLock};

use alloy::eips::eip4844::c_kzg::{self, KzgSettings, ethereum_kzg_settings};
use alloy::eips::eip4844::{Blob, BlobTransactionSidecar, Bytes48};
use alloy::eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB};
use alloy::primitives::B256;

use crate::{Error, SidecarVersion};

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
#[derive(Clone, Debug)]
pub struct PreparedBlobs(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    cells: BlobTransactionSidecarEip7594,
    /// One proof a blob, made once they are asked for: before Osaka alone.
    blob_proofs: OnceLock<Vec<Bytes48>>,
}

impl PartialEq for PreparedBlobs {
    fn eq(&self, other: &Self) -> bool {
        self.0.cells == other.0.cells
    }
}

impl Eq for PreparedBlobs {}

impl From<BlobTransactionSidecarEip7594> for PreparedBlobs {
    fn from(cells: BlobTransactionSidecarEip7594) -> Self {
        Self(Arc::new(Prepared { cells, blob_proofs: OnceLock::new() }))
    }
}

impl PreparedBlobs {
    /// Makes commitments and proofs: some tenths of a second of this thread a blob, and as much again the first time, for the trusted setup.
    ///
    /// # Errors
    /// [`Error::Blob`] when a blob is no sequence of field elements.
    pub fn compute(blobs: Vec<Blob>) -> Result<Self, Error> {
        let sidecar = BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blobs, trusted_setup());
        Ok(sidecar.map_err(|error| Error::Blob(error.to_string()))?.into())
    }

    /// How many blobs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.cells.blobs.len()
    }

    /// True without blobs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.cells.blobs.is_empty()
    }

    /// Versioned hash of each blob, in order: what the contract sees.
    #[must_use]
    pub fn versioned_hashes(&self) -> Vec<B256> {
        self.0.cells.versioned_hashes().collect()
    }

    /// Commitment of each blob, in order.
    #[must_use]
    pub fn commitments(&self) -> &[Bytes48] {
        &self.0.cells.commitments
    }

    /// The sidecar as a transaction carries it since Osaka.
    #[must_use]
    pub fn sidecar(&self) -> &BlobTransactionSidecarEip7594 {
        &self.0.cells
    }

    /// The sidecar of this version. The first of version 0 costs a twentieth of a second of this thread a blob.
    ///
    /// # Errors
    /// [`Error::Blob`] when a proof cannot be made.
    pub fn sidecar_of(&self, version: SidecarVersion) -> Result<BlobTransactionSidecarVariant, Error> {
        let cells = &self.0.cells;
        Ok(match version {
            SidecarVersion::V1 => cells.clone().into(),
            SidecarVersion::V0 => {
                let proofs = self.blob_proofs()?.to_vec();
                BlobTransactionSidecar::new(cells.blobs.clone(), cells.commitments.clone(), proofs).into()
            }
        })
    }

    /// One proof a blob, in order; made at the first call.
    pub(crate) fn blob_proofs(&self) -> Result<&[Bytes48], Error> {
        if let Some(made) = self.0.blob_proofs.get() {
            return Ok(made);
        }
        let each = self.0.cells.blobs.iter().zip(&self.0.cells.commitments);
        let proofs = each.map(|(blob, commitment)| blob_proof(blob, commitment)).collect::<Result<_, _>>();
        let proofs = proofs.map_err(|error| Error::Blob(error.to_string()))?;
        Ok(self.0.blob_proofs.get_or_init(|| proofs))
    }

    /// One blob of zeros. Its polynomial is zero, so that its commitment and all its proofs are the point at infinity, and
    /// nothing needs to be computed: what a cancel of a blob transaction carries.
    pub(crate) fn one_empty() -> Self {
        let mut infinity = Bytes48::ZERO;
        infinity.0[0] = 0xc0;
        let proofs = vec![infinity; CELLS_PER_EXT_BLOB];
        let cells = BlobTransactionSidecarEip7594::new(vec![Blob::ZERO], vec![infinity], proofs);
        Self(Arc::new(Prepared { cells, blob_proofs: vec![infinity].into() }))
    }

    /// Joins blobs that were prepared apart, in order.
    pub(crate) fn join(parts: Vec<Self>) -> Self {
        let mut whole = BlobTransactionSidecarEip7594::default();
        let mut blob_proofs = Some(Vec::new());
        for Self(part) in parts {
            whole.blobs.extend_from_slice(&part.cells.blobs);
            whole.commitments.extend_from_slice(&part.cells.commitments);
            whole.cell_proofs.extend_from_slice(&part.cells.cell_proofs);
            blob_proofs = blob_proofs.zip(part.blob_proofs.get()).map(|(all, more)| [all, more.clone()].concat());
        }
        Self(Arc::new(Prepared { cells: whole, blob_proofs: blob_proofs.map_or_else(OnceLock::new, Into::into) }))
    }

    /// Blob `index` as the store keeps it: blob, commitment, cell proofs.
    pub(crate) fn stored(&self, index: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STORED_LEN);
        bytes.extend_from_slice(self.0.cells.blobs[index].as_slice());
        bytes.extend_from_slice(self.0.cells.commitments[index].as_slice());
        for proof in &self.0.cells.cell_proofs[index * CELLS_PER_EXT_BLOB..(index + 1) * CELLS_PER_EXT_BLOB] {
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
        Some(BlobTransactionSidecarEip7594::new(blobs, commitments, proofs).into())
    }
}

fn blob_proof(blob: &Blob, commitment: &Bytes48) -> Result<Bytes48, c_kzg::Error> {
    let blob = c_kzg::Blob::from_bytes(blob.as_slice())?;
    let commitment = c_kzg::Bytes48::from_bytes(commitment.as_slice())?;
    let proof = trusted_setup().compute_blob_kzg_proof(&blob, &commitment)?;
    Ok(Bytes48::from(proof.to_bytes().into_inner()))
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
    fn a_sidecar_of_either_version_proves_the_same_blobs_also_where_they_were_prepared_apart() {
        let mut blob = Blob::ZERO;
        blob[5] = 7;
        let parts = [blob, Blob::ZERO].map(|blob| PreparedBlobs::compute(vec![blob]).unwrap());
        parts[0].blob_proofs().unwrap();
        let (ahead, behind) = (PreparedBlobs::join(vec![parts[0].clone()]), PreparedBlobs::join(parts.to_vec()));
        assert!(ahead.0.blob_proofs.get().is_some() && behind.0.blob_proofs.get().is_none());
        for blobs in [ahead, behind, PreparedBlobs::one_empty()] {
            for version in [SidecarVersion::V0, SidecarVersion::V1] {
                let sidecar = blobs.sidecar_of(version).unwrap();
                assert_eq!(sidecar.is_eip7594(), version == SidecarVersion::V1);
                assert_eq!(sidecar.versioned_hashes().collect::<Vec<_>>(), blobs.versioned_hashes());
                sidecar.validate(&blobs.versioned_hashes(), trusted_setup()).unwrap();
            }
        }
    }

    #[test]
    fn a_blob_that_is_no_sequence_of_field_elements_is_refused() {
        assert!(matches!(PreparedBlobs::compute(vec![Blob::repeat_byte(0xff)]), Err(Error::Blob(_))));
    }
}
