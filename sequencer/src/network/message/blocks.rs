//! A request for blocks, and its answer.

use alloy::primitives::B256;
use alloy::rlp::{self, Decodable, Encodable};
use fermata_execution::Block;

use super::codec::{Framed, WireForm, read_list, write_list};
use super::{MAX_ANSWER_BYTES, MessageKind};
use crate::network::MessageError;

/// Hashes one request may have.
pub const MAX_HASHES: usize = 16;
/// Bytes of an answer that are no block's: version, kind and the list's header.
const ANSWER_OVERHEAD_BYTES: usize = 16;

/// Hashes of the blocks that a node asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockQuery(Vec<B256>);

impl BlockQuery {
    /// A request for these; with more than [`MAX_HASHES`] it cannot be sent.
    #[must_use]
    pub const fn new(hashes: Vec<B256>) -> Self {
        Self(hashes)
    }

    /// The hashes.
    #[must_use]
    pub fn into_hashes(self) -> Vec<B256> {
        self.0
    }
}

impl Framed for BlockQuery {
    const KIND: MessageKind = MessageKind::BlockQuery;
}

impl WireForm for BlockQuery {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        Decodable::decode(bytes).map(Self)
    }
}

/// Blocks that a node was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockAnswer(Vec<Block>);

impl BlockAnswer {
    /// As many of these blocks, from the first on, as fit into one answer.
    #[must_use]
    pub fn fitting(mut blocks: Vec<Block>) -> Self {
        let mut room = MAX_ANSWER_BYTES - ANSWER_OVERHEAD_BYTES;
        let mut encoded = Vec::new();
        let fits = |block: &&Block| {
            encoded.clear();
            block.write(&mut encoded);
            let left = room.checked_sub(encoded.len());
            room = left.unwrap_or_default();
            left.is_some()
        };
        let fitting = blocks.iter().take_while(fits).count();
        blocks.truncate(fitting);
        Self(blocks)
    }

    /// The blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.0
    }

    /// The blocks, where all of them are among those asked for.
    ///
    /// # Errors
    /// [`MessageError::NotAskedFor`].
    pub fn into_asked(self, hashes: &[B256]) -> Result<Vec<Block>, MessageError> {
        match self.0.iter().find(|block| !hashes.contains(&block.hash())) {
            Some(stray) => Err(MessageError::NotAskedFor(stray.hash())),
            None => Ok(self.0),
        }
    }
}

impl Framed for BlockAnswer {
    const KIND: MessageKind = MessageKind::BlockAnswer;
}

impl WireForm for BlockAnswer {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| self.0.iter().for_each(|block| block.write(out)));
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        read_list(bytes, |bytes| {
            let mut blocks = Vec::new();
            while !bytes.is_empty() {
                blocks.push(Block::read(bytes)?);
            }
            Ok(Self(blocks))
        })
    }
}
