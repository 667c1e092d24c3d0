//! A block as it travels: its header, and its transactions as raw bytes.

use std::fmt;

use alloy::consensus::Header;
use alloy::primitives::{B256, Bytes};
use alloy::rlp::Encodable;
use serde::{Deserialize, Serialize};

/// Which block: its number and its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct BlockId {
    /// Blocks from genesis, which is 0.
    pub number: u64,
    /// Keccak-256 of the RLP-encoded header.
    pub hash: B256,
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.hash)
    }
}

/// An L2 block: an Ethereum header and raw EIP-2718 transactions in order.
///
/// The hash is that of the header, computed once: a `Block` cannot carry another block's hash. Whether the body belongs
/// to the header is what [`crate::Execution::insert`] finds out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "BlockParts", into = "BlockParts")]
pub struct Block {
    header: Header,
    transactions: Vec<Bytes>,
    hash: B256,
}

/// A block without its derived hash: the form in which it is serialised.
#[derive(Clone, Serialize, Deserialize)]
struct BlockParts {
    header: Header,
    transactions: Vec<Bytes>,
}

impl From<BlockParts> for Block {
    fn from(parts: BlockParts) -> Self {
        Self::new(parts.header, parts.transactions)
    }
}

impl From<Block> for BlockParts {
    fn from(block: Block) -> Self {
        Self { header: block.header, transactions: block.transactions }
    }
}

impl Block {
    /// A block of this header and these raw transactions.
    #[must_use]
    pub fn new(header: Header, transactions: Vec<Bytes>) -> Self {
        let hash = header.hash_slow();
        Self { header, transactions, hash }
    }

    /// The Ethereum block header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Raw EIP-2718 transactions, in execution order.
    #[must_use]
    pub fn transactions(&self) -> &[Bytes] {
        &self.transactions
    }

    /// Keccak-256 of the RLP-encoded header.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Number and hash.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        BlockId { number: self.header.number, hash: self.hash }
    }

    /// The header as it is hashed: RLP.
    #[must_use]
    pub fn encoded_header(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.header.length());
        self.header.encode(&mut encoded);
        encoded
    }

    /// Bytes of all raw transactions together: what [`crate::BlockAttributes::max_payload_bytes`] bounds.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.transactions.iter().map(|raw| raw.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::keccak256;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_encoded_header() {
        let block = Block::new(Header { number: 7, ..Header::default() }, vec![Bytes::from_static(&[1, 2, 3])]);
        assert_eq!(block.hash(), keccak256(block.encoded_header()));
        assert_eq!(block.id(), BlockId { number: 7, hash: block.hash() });
        assert_eq!(block.payload_bytes(), 3);
    }

    #[test]
    fn a_block_read_back_from_json_computes_its_own_hash() {
        let block = Block::new(Header { number: 7, ..Header::default() }, vec![Bytes::from_static(&[1, 2, 3])]);
        let json = serde_json::to_string(&block).unwrap();
        assert!(!json.contains(&format!("{:x}", block.hash())), "the hash does not travel");
        assert_eq!(serde_json::from_str::<Block>(&json).unwrap(), block);
    }
}
