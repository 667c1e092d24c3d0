//! Encoding a checkpoint block by block.

use std::io::Write;

use super::{MAX_PAYLOAD_BYTES, PayloadBlock, VERSION};
use crate::blobs::{MAX_BLOBS_PER_CHECKPOINT, blobs_for, capacity_of};
use crate::error::{Result, RollupError};

const COMPRESSION_LEVEL: i32 = 3;
/// Bytes of the version, the frame's header, its last block and its checksum, at most.
const FRAME_BYTES: usize = 1 + 14 + 3 + 4;
/// zstd adds at most a block header of 3 bytes to incompressible data; its blocks are cut at 128 KiB or where flushed.
/// This is a far lower bound of what a block holds.
const ZSTD_BLOCK_BYTES: usize = 1 << 10;

/// Encodes a checkpoint block by block, and says how much still fits, so that a builder stops before the blobs are full.
pub struct PayloadEncoder {
    frame: zstd::stream::write::Encoder<'static, Vec<u8>>,
    raw_bytes: usize,
    limit: usize,
}

impl std::fmt::Debug for PayloadEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (raw_bytes, used, limit) = (self.raw_bytes, self.used(), self.limit);
        write!(f, "PayloadEncoder {{ raw_bytes: {raw_bytes}, used: {used}, limit: {limit} }}")
    }
}

impl PayloadEncoder {
    /// An encoder of a payload for at most `max_blobs` blobs.
    ///
    /// # Errors
    /// [`RollupError::Compression`] without memory.
    pub fn new(max_blobs: usize) -> Result<Self> {
        let start = || {
            let mut frame = zstd::stream::write::Encoder::new(vec![VERSION], COMPRESSION_LEVEL)?;
            frame.include_checksum(true)?;
            Ok(frame)
        };
        let limit = capacity_of(max_blobs.min(MAX_BLOBS_PER_CHECKPOINT));
        Ok(Self { frame: start().map_err(RollupError::Compression)?, raw_bytes: 0, limit })
    }

    /// Bytes the blocks so far take.
    #[must_use]
    pub fn used(&self) -> usize {
        self.frame.get_ref().len()
    }

    /// How many blobs the blocks so far take.
    #[must_use]
    pub fn blobs(&self) -> usize {
        blobs_for(self.used() + FRAME_BYTES)
    }

    /// Bytes the next block may have before compression ([`PayloadBlock::raw_len`]) so that it surely fits.
    #[must_use]
    pub fn room(&self) -> usize {
        let left = self.limit.saturating_sub(self.used() + FRAME_BYTES);
        let incompressible = left.saturating_sub(3 * (left / ZSTD_BLOCK_BYTES + 2));
        incompressible.min(MAX_PAYLOAD_BYTES - self.raw_bytes)
    }

    /// Whether the block can be added.
    ///
    /// # Errors
    /// [`RollupError::CheckpointTooLarge`] where it has more than [`PayloadEncoder::room`] bytes.
    pub fn check(&self, block: &PayloadBlock) -> Result<()> {
        let (needed, limit) = (block.raw_len(), self.room());
        if needed > limit { Err(RollupError::CheckpointTooLarge { needed, limit }) } else { Ok(()) }
    }

    /// Adds a block.
    ///
    /// # Errors
    /// As [`PayloadEncoder::check`]: nothing was added, and the blocks so far can be finished.
    /// [`RollupError::Compression`] without memory: the encoder is spent.
    pub fn push(&mut self, block: &PayloadBlock) -> Result<()> {
        self.check(block)?;
        self.write(block)
    }

    /// Adds a block, whatever room there is in the blobs.
    pub(super) fn write(&mut self, block: &PayloadBlock) -> Result<()> {
        let raw_bytes = self.raw_bytes + block.raw_len();
        if raw_bytes > MAX_PAYLOAD_BYTES {
            return Err(RollupError::CheckpointTooLarge { needed: raw_bytes, limit: MAX_PAYLOAD_BYTES });
        }
        let mut raw = Vec::with_capacity(block.raw_len());
        block.encode(&mut raw);
        self.frame.write_all(&raw).and_then(|()| self.frame.flush()).map_err(RollupError::Compression)?;
        self.raw_bytes = raw_bytes;
        Ok(())
    }

    /// The payload's bytes, for [`pack_blobs`](crate::pack_blobs).
    ///
    /// # Errors
    /// [`RollupError::Compression`] without memory.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.frame.finish().map_err(RollupError::Compression)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blobs::pack_blobs;
    use crate::payload::CheckpointPayload;
    use crate::payload::tests::{any_payload, block_of, noise};

    #[test]
    fn blocks_pushed_within_the_room_always_fit_and_one_beyond_it_changes_nothing() {
        for max_blobs in [1, 2, MAX_BLOBS_PER_CHECKPOINT] {
            let mut encoder = PayloadEncoder::new(max_blobs).expect("starts");
            let mut blocks = Vec::new();
            for seed in 1.. {
                let block = block_of(vec![noise(9_973, seed), vec![0; 500].into()]);
                if block.raw_len() > encoder.room() {
                    let used = encoder.used();
                    assert!(matches!(encoder.push(&block), Err(RollupError::CheckpointTooLarge { .. })));
                    assert_eq!(encoder.used(), used);
                    break;
                }
                encoder.push(&block).expect("within the room");
                blocks.push(block);
            }
            let last = block_of(vec![noise(encoder.room().saturating_sub(700), 77)]);
            encoder.push(&last).expect("within the room");
            blocks.push(last);
            let blobs = pack_blobs(&encoder.finish().expect("finishes")).expect("fits");
            assert_eq!(blobs.len(), max_blobs, "the room is used to the last blob");
            assert_eq!(CheckpointPayload::from_blobs(&blobs).expect("own encoding").blocks, blocks);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn block_by_block_and_at_once_are_the_same_bytes(payload in any_payload()) {
            let mut encoder = PayloadEncoder::new(MAX_BLOBS_PER_CHECKPOINT).expect("starts");
            for block in &payload.blocks {
                let (used, room) = (encoder.used(), encoder.room());
                encoder.push(block).expect("small");
                prop_assert!(encoder.used() - used <= block.raw_len() + 3 * (block.raw_len() / ZSTD_BLOCK_BYTES + 2) + FRAME_BYTES);
                prop_assert!(encoder.room() <= room);
            }
            prop_assert_eq!(encoder.finish().expect("finishes"), payload.encode().expect("encodes"));
        }
    }
}
