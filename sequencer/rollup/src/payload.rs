//! A checkpoint's blocks as bytes, so that the L2 chain can be rebuilt from L1 alone.
//!
//! A payload is a version byte and one zstd frame. The frame holds the blocks one after another, each as the RLP list
//! `[header, [transaction, ...]]`, and is flushed after each block: what the blocks so far take never changes by what
//! comes later, so a builder knows at any time how much still fits.

use std::io::Read;

use alloy::eips::eip4844::Blob;
use alloy::primitives::Bytes;
use alloy::rlp::{Decodable, Encodable, Header};

use crate::blobs::{MAX_BLOBS_PER_CHECKPOINT, pack_blobs, unpack_blobs};
use crate::error::{Result, RollupError};

mod encoder;

pub use encoder::PayloadEncoder;

/// Bytes the blocks of a checkpoint may have before compression. A payload that decompresses to more is refused.
pub const MAX_PAYLOAD_BYTES: usize = 32 << 20;
/// Bytes a transaction takes beside its own, at most.
pub const TRANSACTION_OVERHEAD: usize = 5;
/// Bytes a block takes beside its header and transactions, at most.
pub const BLOCK_OVERHEAD: usize = 15;

/// The version of the payload's layout.
const VERSION: u8 = 1;
/// Memory a decompressor gives to a frame, as a power of two: ample for level 3, and a bound for a hostile frame.
const WINDOW_LOG_MAX: u32 = 23;

/// One L2 block, as the checkpoint's blobs carry it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PayloadBlock {
    /// The RLP of the block's header.
    pub header: Bytes,
    /// The raw transactions in order, as they were signed.
    pub transactions: Vec<Bytes>,
}

impl PayloadBlock {
    /// Bytes of the block before compression: at most its header and transactions, [`TRANSACTION_OVERHEAD`] each and
    /// [`BLOCK_OVERHEAD`].
    #[must_use]
    pub fn raw_len(&self) -> usize {
        let content = self.content_len();
        content + list_header(content).length()
    }

    fn content_len(&self) -> usize {
        self.header.length() + self.transactions.length()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        list_header(self.content_len()).encode(out);
        self.header.encode(out);
        self.transactions.encode(out);
    }

    /// Takes one block off the front of `bytes`.
    fn decode(bytes: &mut &[u8]) -> alloy::rlp::Result<Self> {
        let mut content = Header::decode_bytes(bytes, true)?;
        let block = Self { header: Decodable::decode(&mut content)?, transactions: Decodable::decode(&mut content)? };
        if content.is_empty() { Ok(block) } else { Err(alloy::rlp::Error::UnexpectedLength) }
    }
}

const fn list_header(payload_length: usize) -> Header {
    Header { list: true, payload_length }
}

/// The blocks of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckpointPayload {
    /// The blocks in order.
    pub blocks: Vec<PayloadBlock>,
}

impl CheckpointPayload {
    /// The payload as bytes: versioned and compressed.
    ///
    /// # Errors
    /// [`RollupError::CheckpointTooLarge`] beyond [`MAX_PAYLOAD_BYTES`], [`RollupError::Compression`] without memory.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut encoder = PayloadEncoder::new(MAX_BLOBS_PER_CHECKPOINT)?;
        for block in &self.blocks {
            encoder.write(block)?;
        }
        encoder.finish()
    }

    /// Reads what [`CheckpointPayload::encode`] wrote. Whatever the bytes are, no more than [`MAX_PAYLOAD_BYTES`] are
    /// decompressed.
    ///
    /// # Errors
    /// [`RollupError::UnknownVersion`] for a payload of a later Fermata; [`RollupError::Decompression`],
    /// [`RollupError::PayloadBomb`] and [`RollupError::Damaged`] for bytes that no Fermata wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (&version, frame) = bytes.split_first().ok_or(damaged("it is empty"))?;
        if version != VERSION {
            let (found, known) = (u64::from(version), u64::from(VERSION));
            return Err(RollupError::UnknownVersion { what: "checkpoint's payload", found, known });
        }
        let raw = decompress(frame)?;
        let mut rest = raw.as_slice();
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            let block = PayloadBlock::decode(&mut rest).map_err(|_| damaged("a block is not the RLP of one"))?;
            blocks.push(block);
        }
        Ok(Self { blocks })
    }

    /// The payload in blobs.
    ///
    /// # Errors
    /// Those of [`CheckpointPayload::encode`] and [`pack_blobs`].
    pub fn to_blobs(&self) -> Result<Vec<Blob>> {
        pack_blobs(&self.encode()?)
    }

    /// Reads a checkpoint's blobs.
    ///
    /// # Errors
    /// Those of [`unpack_blobs`] and [`CheckpointPayload::decode`].
    pub fn from_blobs(blobs: &[Blob]) -> Result<Self> {
        Self::decode(&unpack_blobs(blobs)?)
    }
}

fn decompress(mut frame: &[u8]) -> Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(&mut frame).map_err(RollupError::Decompression)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(RollupError::Decompression)?;
    let mut decoder = decoder.single_frame();
    let mut raw = Vec::new();
    let limit = MAX_PAYLOAD_BYTES as u64 + 1;
    Read::by_ref(&mut decoder).take(limit).read_to_end(&mut raw).map_err(RollupError::Decompression)?;
    if raw.len() > MAX_PAYLOAD_BYTES {
        return Err(RollupError::PayloadBomb { limit: MAX_PAYLOAD_BYTES });
    }
    drop(decoder);
    if frame.is_empty() { Ok(raw) } else { Err(damaged("there are bytes after the compressed frame")) }
}

const fn damaged(detail: &'static str) -> RollupError {
    RollupError::Damaged { what: "payload", detail }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blobs::capacity_of;

    fn any_block() -> impl Strategy<Value = PayloadBlock> {
        let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from);
        (bytes(700), proptest::collection::vec(bytes(400), 0..20))
            .prop_map(|(header, transactions)| PayloadBlock { header, transactions })
    }

    /// Any few small blocks.
    pub(crate) fn any_payload() -> impl Strategy<Value = CheckpointPayload> {
        proptest::collection::vec(any_block(), 0..8).prop_map(|blocks| CheckpointPayload { blocks })
    }

    /// Bytes without any pattern: the worst case of a compressor.
    pub(crate) fn noise(bytes: usize, seed: u64) -> Bytes {
        let mut state = seed | 1;
        let step = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..bytes).map(step).collect()
    }

    /// A block of these transactions.
    pub(crate) fn block_of(transactions: Vec<Bytes>) -> PayloadBlock {
        PayloadBlock { header: noise(600, 9), transactions }
    }

    fn compressed(raw: &[u8]) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(zstd::stream::encode_all(raw, 1).expect("compresses"));
        bytes
    }

    #[test]
    fn a_payload_of_a_later_version_asks_for_an_upgrade() {
        let mut bytes = CheckpointPayload::default().encode().expect("encodes");
        bytes[0] = 2;
        let refused = CheckpointPayload::decode(&bytes);
        assert!(matches!(refused, Err(RollupError::UnknownVersion { found: 2, known: 1, .. })));
    }

    #[test]
    fn bytes_that_nobody_encoded_are_refused_each_by_name() {
        let good = CheckpointPayload { blocks: vec![block_of(vec![noise(300, 1)])] }.encode().expect("encodes");
        let refused = |bytes: &[u8]| CheckpointPayload::decode(bytes).expect_err("must be refused");
        assert!(matches!(refused(&[]), RollupError::Damaged { .. }));
        assert!(matches!(refused(&[VERSION, 1, 2, 3]), RollupError::Decompression(_)));
        assert!(matches!(refused(&good[..good.len() - 1]), RollupError::Decompression(_)), "cut short");
        assert!(matches!(refused(&[&good[..], &[0]].concat()), RollupError::Damaged { .. }), "a trailing byte");
        let frames = [&good[..], &good[1..]].concat();
        assert!(matches!(refused(&frames), RollupError::Damaged { .. }), "a second frame");
        assert!(matches!(refused(&compressed(&[0xc2, 0x80])), RollupError::Damaged { .. }), "a block cut short");
        assert!(matches!(refused(&compressed(&[0xc3, 0x80, 0xc0, 0x80])), RollupError::Damaged { .. }), "a third item");
        assert!(matches!(refused(&compressed(&[0x80])), RollupError::Damaged { .. }), "no list");
    }

    #[test]
    fn a_flipped_bit_of_the_frame_is_noticed() {
        let payload = CheckpointPayload { blocks: vec![block_of(vec![noise(300, 1)])] };
        let good = payload.encode().expect("encodes");
        for index in [5, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[index] ^= 4;
            assert!(CheckpointPayload::decode(&bad).is_err(), "byte {index}");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decompressed() {
        let bomb = compressed(&vec![0; MAX_PAYLOAD_BYTES + 1]);
        assert!(bomb.len() < 10_000);
        let refused = CheckpointPayload::decode(&bomb);
        assert!(matches!(refused, Err(RollupError::PayloadBomb { limit: MAX_PAYLOAD_BYTES })));
    }

    #[test]
    fn what_would_decompress_to_a_bomb_is_not_encoded() {
        let large = block_of(vec![vec![0; MAX_PAYLOAD_BYTES].into()]);
        let refused = CheckpointPayload { blocks: vec![large] }.encode();
        assert!(matches!(refused, Err(RollupError::CheckpointTooLarge { .. })));
    }

    #[test]
    fn a_payload_beyond_the_blobs_is_refused() {
        let payload = CheckpointPayload { blocks: vec![block_of(vec![noise(capacity_of(6), 3)])] };
        assert!(matches!(payload.to_blobs(), Err(RollupError::CheckpointTooLarge { .. })));
    }

    #[test]
    fn transfers_shrink_in_the_blobs() {
        let address = noise(20, 5);
        let transfer = |n| [&[2, 0xf8, 0x6f, 0x80][..], &[n], &address, &noise(65, u64::from(n) + 1)].concat().into();
        let payload = CheckpointPayload { blocks: vec![block_of((0..100).map(transfer).collect())] };
        let raw = payload.blocks[0].raw_len();
        let encoded = payload.encode().expect("encodes").len();
        assert!(encoded * 10 < raw * 9, "{encoded} of {raw} bytes");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_round_trip_through_blobs(payload in any_payload()) {
            let blobs = payload.to_blobs().expect("fits");
            prop_assert_eq!(CheckpointPayload::from_blobs(&blobs).expect("own encoding"), payload);
        }

        #[test]
        fn a_block_takes_no_more_than_its_parts_and_the_stated_overhead(block in any_block()) {
            let parts = block.transactions.iter().map(|transaction| transaction.len() + TRANSACTION_OVERHEAD);
            let bound = block.header.len() + parts.sum::<usize>() + BLOCK_OVERHEAD;
            prop_assert!(block.raw_len() <= bound);
            let mut raw = Vec::new();
            block.encode(&mut raw);
            prop_assert_eq!(raw.len(), block.raw_len());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = CheckpointPayload::decode(&bytes);
            let _ = CheckpointPayload::decode(&compressed(&bytes));
        }
    }
}
