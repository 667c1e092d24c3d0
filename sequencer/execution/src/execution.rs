//! The trait a sequencer builds, checks and follows blocks through.

use std::fmt::Debug;

use alloy::primitives::{Address, B256, Bytes, keccak256};
use alloy::rlp::Encodable;
use fermata_primitives::UnixTime;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{Block, BlockId, Result};

/// What a block is to be built with. Two equal sets of attributes on the same parent are the same job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockAttributes {
    /// Seconds since the Unix epoch; not before the parent's. Blocks of one checkpoint may share it.
    pub timestamp: u64,
    /// Receives the priority fees.
    pub beneficiary: Address,
    /// What the `PREVRANDAO` opcode answers.
    pub prev_randao: B256,
    /// Most gas the block may use. Chosen by the proposer; not bound to the parent's.
    pub gas_limit: u64,
    /// Most bytes all raw transactions together may have. Does not bind a given list.
    pub max_payload_bytes: usize,
    /// `Some`: exactly these raw EIP-2718 transactions, in this order; one that cannot be executed is an error.
    /// `None`: the mempool's best.
    pub transactions: Option<Vec<Bytes>>,
    /// No further transaction is taken from the mempool from this moment on. Does not bind a given list.
    pub deadline: Option<UnixTime>,
}

/// A block being built: derived from the parent and the attributes, so that beginning anew after a crash gives the
/// same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct JobId(pub B256);

impl JobId {
    /// The job of building on `parent` with `attributes`.
    #[must_use]
    pub fn of(parent: B256, attributes: &BlockAttributes) -> Self {
        let mut encoded = Vec::with_capacity(256);
        parent.encode(&mut encoded);
        attributes.timestamp.encode(&mut encoded);
        attributes.beneficiary.encode(&mut encoded);
        attributes.prev_randao.encode(&mut encoded);
        attributes.gas_limit.encode(&mut encoded);
        attributes.max_payload_bytes.encode(&mut encoded);
        let deadline = attributes.deadline.map_or(u128::MAX, |at| at.0.as_nanos());
        deadline.encode(&mut encoded);
        if let Some(list) = &attributes.transactions {
            list.encode(&mut encoded);
        }
        Self(keccak256(encoded))
    }
}

/// How far the chain is: the block it ends with, the last one that L1 has, the last one that L1 can no longer lose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Heads {
    /// The last block of the chain.
    pub unsafe_head: BlockId,
    /// The last block whose checkpoint L1 has accepted.
    pub safe: BlockId,
    /// The last block whose checkpoint is proven on L1.
    pub finalized: BlockId,
}

/// What re-executing a block has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Executed to the very header it came with; stored durably.
    Valid,
    /// Not a block of this chain. Nothing was stored; the same block will never be valid.
    Invalid {
        /// Which rule or header field, what the block says, what we computed.
        reason: String,
    },
    /// Its parent is unknown: insert that one first.
    MissingParent,
}

/// An execution engine. Every method is idempotent and safe to repeat after a crash.
///
/// # Cancel safety
/// Every future may be dropped: what it asked for then happens or not, as a whole.
pub trait Execution: Send + Sync + Debug + 'static {
    /// Registers a block to be built on `parent`. The same call again gives the same job.
    ///
    /// # Errors
    /// `UnknownBlock` where the parent is not stored; `BadAttributes` where no block can be built with them.
    fn begin(&self, parent: B256, attributes: BlockAttributes) -> BoxFuture<'_, Result<JobId>>;

    /// Builds the job's block and stores it durably, beside the chain: [`Execution::set_heads`] moves the chain to it.
    /// A second call gives the same block.
    ///
    /// # Errors
    /// `UnknownJob` after `cancel` or a restart: begin again. `InvalidTransaction` where a given list cannot be
    /// executed.
    fn seal(&self, job: JobId) -> BoxFuture<'_, Result<Block>>;

    /// Forgets the job; a block that it sealed stays stored. Unknown jobs are not an error.
    ///
    /// # Errors
    /// `Closed` after close.
    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<()>>;

    /// Re-executes somebody's block and, where it is valid, stores it durably beside the chain.
    ///
    /// # Errors
    /// Only what says nothing about the block: `Closed`, or a store that failed.
    fn insert(&self, block: Block) -> BoxFuture<'_, Result<Verdict>>;

    /// Moves the heads, forwards or back. Transactions of blocks that thereby leave the chain return to the mempool.
    ///
    /// # Errors
    /// `UnknownBlock`, or `HeadsOutOfOrder` where finalized, safe and unsafe do not lie on one chain in that order.
    fn set_heads(&self, heads: Heads) -> BoxFuture<'_, Result<()>>;

    /// Where the heads are.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    fn heads(&self) -> BoxFuture<'_, Result<Heads>>;

    /// A stored block, on the chain or beside it.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    fn block(&self, hash: B256) -> BoxFuture<'_, Result<Option<Block>>>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attributes(timestamp: u64, gas_limit: u64, list: Option<Vec<Bytes>>) -> BlockAttributes {
        BlockAttributes {
            timestamp,
            beneficiary: Address::ZERO,
            prev_randao: B256::ZERO,
            gas_limit,
            max_payload_bytes: 1_000,
            transactions: list,
            deadline: None,
        }
    }

    #[test]
    fn an_empty_list_is_another_job_than_the_mempool() {
        let (given, pool) = (attributes(1, 1, Some(vec![])), attributes(1, 1, None));
        assert_ne!(JobId::of(B256::ZERO, &given), JobId::of(B256::ZERO, &pool));
    }

    proptest! {
        #[test]
        fn jobs_are_the_same_exactly_where_their_attributes_are(
            a in (0u64..4, 0u64..4, 0u8..3), b in (0u64..4, 0u64..4, 0u8..3),
        ) {
            let list = |n: u8| (n > 0).then(|| vec![Bytes::from(vec![7; usize::from(n)])]);
            let (left, right) = (attributes(a.0, a.1, list(a.2)), attributes(b.0, b.1, list(b.2)));
            let same = JobId::of(B256::ZERO, &left) == JobId::of(B256::ZERO, &right);
            prop_assert_eq!(same, left == right);
        }
    }
}
