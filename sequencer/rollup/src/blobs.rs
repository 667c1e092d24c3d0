//! Bytes in blobs, and what L1 is told of them.
//!
//! A blob is 4096 field elements of 32 bytes, of which the first stays zero so that the element is in range. The other
//! 31 bytes of all elements of all blobs, in order, are one stream: version (1 byte), length (8 bytes, big-endian), the
//! bytes, zeros.

use alloy::eips::eip4844::c_kzg::{KzgSettings, ethereum_kzg_settings};
use alloy::eips::eip4844::{
    AsCkzg, BYTES_PER_COMMITMENT, Blob, Bytes48, FIELD_ELEMENT_BYTES_USIZE, FIELD_ELEMENTS_PER_BLOB,
    kzg_to_versioned_hash,
};
use alloy::primitives::{B256, Bytes};

use crate::error::{Result, RollupError};
use crate::sha256_to_field;

/// Blobs a checkpoint may have: what an L1 transaction carries on every network since blobs exist.
pub const MAX_BLOBS_PER_CHECKPOINT: usize = 6;

/// The version of the blobs' layout.
const VERSION: u8 = 1;
/// Version and length.
const PREFIX_BYTES: usize = 9;
/// Bytes of a field element that carry data.
const USABLE_BYTES: usize = FIELD_ELEMENT_BYTES_USIZE - 1;
/// Bytes of a blob that carry data.
const STREAM_BYTES_PER_BLOB: usize = FIELD_ELEMENTS_PER_BLOB as usize * USABLE_BYTES;

/// How many bytes fit into this many blobs.
#[must_use]
pub const fn capacity_of(blobs: usize) -> usize {
    (blobs * STREAM_BYTES_PER_BLOB).saturating_sub(PREFIX_BYTES)
}

/// How many blobs this many bytes need; at least one.
#[must_use]
pub const fn blobs_for(bytes: usize) -> usize {
    (bytes + PREFIX_BYTES).div_ceil(STREAM_BYTES_PER_BLOB)
}

/// Packs bytes into as few blobs as hold them; no bytes make one blob, since L1 refuses a checkpoint without.
///
/// # Errors
/// [`RollupError::CheckpointTooLarge`] where more than [`MAX_BLOBS_PER_CHECKPOINT`] would be needed.
pub fn pack_blobs(bytes: &[u8]) -> Result<Vec<Blob>> {
    let limit = capacity_of(MAX_BLOBS_PER_CHECKPOINT);
    if bytes.len() > limit {
        return Err(RollupError::CheckpointTooLarge { needed: bytes.len(), limit });
    }
    let mut stream = Vec::with_capacity(PREFIX_BYTES + bytes.len());
    stream.push(VERSION);
    stream.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    stream.extend_from_slice(bytes);
    // Filled where they lie: a blob is 128 KiB, and threads have small stacks.
    let mut blobs = vec![Blob::ZERO; blobs_for(bytes.len())];
    let elements = blobs.iter_mut().flat_map(|blob| blob.chunks_exact_mut(FIELD_ELEMENT_BYTES_USIZE));
    for (element, bytes) in elements.zip(stream.chunks(USABLE_BYTES)) {
        element[1..=bytes.len()].copy_from_slice(bytes);
    }
    Ok(blobs)
}

/// Reads the bytes that [`pack_blobs`] packed.
///
/// # Errors
/// [`RollupError::UnknownVersion`] for a layout of a later Fermata; [`RollupError::Damaged`] for anything that
/// [`pack_blobs`] cannot have made: no blobs or too many, a length beyond them, a blob too many, bytes outside the data.
pub fn unpack_blobs(blobs: &[Blob]) -> Result<Vec<u8>> {
    if blobs.is_empty() || blobs.len() > MAX_BLOBS_PER_CHECKPOINT {
        return Err(damaged("there are no blobs, or more than a checkpoint may have"));
    }
    let mut stream = Vec::with_capacity(blobs.len() * STREAM_BYTES_PER_BLOB);
    for element in blobs.iter().flat_map(|blob| blob.chunks_exact(FIELD_ELEMENT_BYTES_USIZE)) {
        if element[0] != 0 {
            return Err(damaged("a field element does not begin with a zero byte"));
        }
        stream.extend_from_slice(&element[1..]);
    }
    let (prefix, body) = stream.split_first_chunk::<PREFIX_BYTES>().expect("a blob is longer than the prefix");
    let length = read_prefix(*prefix)?;
    if length > body.len() || blobs_for(length) != blobs.len() {
        return Err(damaged("the length does not agree with the number of blobs"));
    }
    if body[length..].iter().any(|&byte| byte != 0) {
        return Err(damaged("there are bytes after the data"));
    }
    stream.copy_within(PREFIX_BYTES..PREFIX_BYTES + length, 0);
    stream.truncate(length);
    Ok(stream)
}

fn read_prefix(prefix: [u8; PREFIX_BYTES]) -> Result<usize> {
    let [version, length @ ..] = prefix;
    if version != VERSION {
        let (found, known) = (u64::from(version), u64::from(VERSION));
        return Err(RollupError::UnknownVersion { what: "blobs' layout", found, known });
    }
    usize::try_from(u64::from_be_bytes(length)).map_err(|_| damaged("the length is beyond all memory"))
}

const fn damaged(detail: &'static str) -> RollupError {
    RollupError::Damaged { what: "blobs", detail }
}

/// KZG commitments to a checkpoint's blobs, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BlobCommitments(Vec<Bytes48>);

impl BlobCommitments {
    /// Commits to the blobs with Ethereum's trusted setup. It takes tens of milliseconds a blob, and the first call of
    /// a process loads the setup: call it off the async runtime.
    ///
    /// # Errors
    /// [`RollupError::Kzg`] where a blob holds a field element out of range; those of [`pack_blobs`] never do.
    pub fn of_blobs(blobs: &[Blob]) -> Result<Self> {
        let settings = ethereum_kzg_settings(0);
        let commit = |(index, blob)| commit(settings, blob).map_err(|source| RollupError::Kzg { index, source });
        Ok(Self(blobs.iter().enumerate().map(commit).collect::<Result<_>>()?))
    }

    /// Commitments that are known already, as from a transaction's sidecar.
    #[must_use]
    pub const fn new(commitments: Vec<Bytes48>) -> Self {
        Self(commitments)
    }

    /// The commitments.
    #[must_use]
    pub fn as_slice(&self) -> &[Bytes48] {
        &self.0
    }

    /// The blobs' versioned hashes, as the transaction carries them.
    #[must_use]
    pub fn versioned_hashes(&self) -> Vec<B256> {
        self.0.iter().map(|commitment| kzg_to_versioned_hash(commitment.as_slice())).collect()
    }

    /// What the header commits to: a zero byte and the first 31 of SHA-256 over the versioned hashes.
    #[must_use]
    pub fn hash(&self) -> B256 {
        sha256_to_field(&self.versioned_hashes().iter().flatten().copied().collect::<Vec<u8>>())
    }

    /// The commitments as `propose` takes them: their number in one byte, then 48 bytes each.
    #[must_use]
    pub fn to_input(&self) -> Bytes {
        let count = u8::try_from(self.0.len()).expect("a checkpoint has at most six blobs");
        let mut input = Vec::with_capacity(1 + self.0.len() * BYTES_PER_COMMITMENT);
        input.push(count);
        input.extend(self.0.iter().flatten());
        input.into()
    }

    /// Reads the commitments of a `propose`. As on L1, bytes after the last one mean nothing.
    ///
    /// # Errors
    /// [`RollupError::Damaged`] where there is none or fewer than the first byte says; L1 refuses that too.
    pub fn from_input(input: &[u8]) -> Result<Self> {
        let wrong =
            RollupError::Damaged { what: "blob commitments", detail: "there are none, or fewer than announced" };
        let Some((&count, commitments)) = input.split_first().filter(|(count, _)| **count > 0) else {
            return Err(wrong);
        };
        let commitments = commitments.chunks_exact(BYTES_PER_COMMITMENT).map(Bytes48::from_slice);
        let commitments: Vec<_> = commitments.take(usize::from(count)).collect();
        if commitments.len() == usize::from(count) { Ok(Self(commitments)) } else { Err(wrong) }
    }
}

fn commit(settings: &KzgSettings, blob: &Blob) -> Result<Bytes48, alloy::eips::eip4844::c_kzg::Error> {
    Ok(Bytes48::from_ckzg(settings.blob_to_kzg_commitment(blob.as_ckzg())?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use alloy::eips::eip7594::BlobTransactionSidecarEip7594;
    use proptest::prelude::*;

    use super::*;

    fn refused(blobs: &[Blob]) -> RollupError {
        unpack_blobs(blobs).expect_err("must be refused")
    }

    #[test]
    fn one_byte_more_than_fits_is_refused() {
        let limit = capacity_of(MAX_BLOBS_PER_CHECKPOINT);
        assert_eq!(pack_blobs(&vec![7; limit]).expect("fits").len(), MAX_BLOBS_PER_CHECKPOINT);
        let refused = pack_blobs(&vec![7; limit + 1]);
        assert!(
            matches!(refused, Err(RollupError::CheckpointTooLarge { needed, limit: l }) if needed == limit + 1 && l == limit)
        );
    }

    #[test]
    fn no_bytes_make_one_blob() {
        let blobs = pack_blobs(&[]).expect("fits");
        assert_eq!(blobs.len(), 1);
        assert_eq!(unpack_blobs(&blobs).expect("own packing"), Vec::<u8>::new());
    }

    #[test]
    fn the_boundary_of_a_blob_holds_no_byte_back() {
        for bytes in [capacity_of(1), capacity_of(1) + 1, capacity_of(2), capacity_of(2) + 1] {
            let data: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8 + 1).collect();
            let blobs = pack_blobs(&data).expect("fits");
            assert_eq!(blobs.len(), blobs_for(bytes));
            assert_eq!(unpack_blobs(&blobs).expect("own packing"), data);
        }
    }

    /// Good blobs, of which one byte is changed.
    fn spoiled(index: usize, byte: u8) -> Vec<Blob> {
        let mut blobs = pack_blobs(b"blocks").expect("fits");
        blobs[0][index] = byte;
        blobs
    }

    #[test]
    fn blobs_that_nobody_packed_are_refused_each_by_name() {
        assert!(matches!(refused(&[]), RollupError::Damaged { .. }));
        let zeros = |count| vec![Blob::ZERO; count];
        assert!(matches!(refused(&zeros(MAX_BLOBS_PER_CHECKPOINT + 1)), RollupError::Damaged { .. }));
        assert!(matches!(refused(&zeros(1)), RollupError::UnknownVersion { found: 0, known: 1, .. }));
        assert!(matches!(refused(&spoiled(1, 2)), RollupError::UnknownVersion { found: 2, .. }));
        assert!(matches!(refused(&spoiled(32, 1)), RollupError::Damaged { .. }), "an element out of range");
        assert!(matches!(refused(&spoiled(2, 0xff)), RollupError::Damaged { .. }), "a length beyond the blob");
        assert!(matches!(refused(&spoiled(20, 1)), RollupError::Damaged { .. }), "a byte after the data");
        let mut one_too_many = pack_blobs(b"blocks").expect("fits");
        one_too_many.push(Blob::ZERO);
        assert!(matches!(refused(&one_too_many), RollupError::Damaged { .. }), "a blob too many");
    }

    #[test]
    fn packing_committing_and_reading_need_no_large_stack() {
        let round_trip = || {
            let data = vec![7; capacity_of(MAX_BLOBS_PER_CHECKPOINT)];
            let blobs = pack_blobs(&data).expect("fits");
            BlobCommitments::of_blobs(&blobs[..1]).expect("in range");
            assert_eq!(unpack_blobs(&blobs).expect("own packing"), data);
        };
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(round_trip);
        thread.expect("a thread").join().expect("it fits half of what a worker has");
    }

    #[test]
    fn the_commitments_are_those_of_the_transactions_sidecar() {
        let blobs = pack_blobs(&vec![0x5a; capacity_of(1) + 1]).expect("fits");
        let commitments = BlobCommitments::of_blobs(&blobs).expect("in range");
        let sidecar = BlobTransactionSidecarEip7594::try_from_blobs(blobs).expect("in range");
        assert_eq!(commitments.as_slice(), sidecar.commitments);
        assert_eq!(commitments.versioned_hashes(), sidecar.versioned_hashes().collect::<Vec<_>>());
        assert_eq!(BlobCommitments::new(sidecar.commitments), commitments);
    }

    #[test]
    fn the_zero_blob_commits_to_the_point_at_infinity() {
        let commitments = BlobCommitments::of_blobs(&[Blob::ZERO]).expect("in range");
        let mut infinity = Bytes48::ZERO;
        infinity[0] = 0xc0;
        assert_eq!(commitments.as_slice(), [infinity]);
    }

    #[test]
    fn a_blob_out_of_range_has_no_commitment() {
        let refused = BlobCommitments::of_blobs(&[Blob::ZERO, Blob::repeat_byte(0xff)]);
        assert!(matches!(refused, Err(RollupError::Kzg { index: 1, .. })));
    }

    #[test]
    fn fewer_commitments_than_announced_are_refused() {
        for input in [&[][..], &[0], &[1], &[1; 48], &[2; 96]] {
            assert!(matches!(BlobCommitments::from_input(input), Err(RollupError::Damaged { .. })), "{input:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn packing_round_trips(seed: u8, bytes in 0_usize..300_000) {
            let data: Vec<u8> = (0..bytes).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect();
            let blobs = pack_blobs(&data).expect("fits");
            prop_assert_eq!(blobs.len(), blobs_for(bytes));
            prop_assert_eq!(unpack_blobs(&blobs).expect("own packing"), data);
        }

        #[test]
        fn the_commitments_round_trip_through_calldata(words in proptest::collection::vec(any::<u8>(), 1..7)) {
            let commitments = BlobCommitments::new(words.into_iter().map(Bytes48::repeat_byte).collect());
            let read = BlobCommitments::from_input(&commitments.to_input()).expect("own encoding");
            prop_assert_eq!(read.hash(), commitments.hash());
            prop_assert_eq!(read, commitments);
        }
    }
}
