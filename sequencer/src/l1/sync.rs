//! The L2 chain, rebuilt from L1 alone: each checkpoint's blocks from the blobs of the transaction that proposed it.

use std::sync::Arc;

use alloy::consensus::Header;
use alloy::primitives::B256;
use alloy::providers::Provider;
use alloy::rlp::Decodable;
use alloy::rpc::types::Log;
use fermata_execution::{Block, Execution, Verdict};
use fermata_primitives::{CheckpointNumber, L1Timestamp, crash_point};
use fermata_rollup::{CheckpointPayload, PayloadBlock};

use super::proposals::bad;
use super::{BlobSource, Proposals, RollupView};
use crate::error::Result;
use crate::pipeline::L1Tip;

/// Rebuilds what this node does not have.
#[derive(Debug)]
pub struct Sync {
    view: RollupView,
    proposals: Proposals,
    blobs: BlobSource,
    execution: Arc<dyn Execution>,
}

impl Sync {
    /// A sync of the checkpoints that `proposals` finds.
    #[must_use]
    pub const fn new(view: RollupView, proposals: Proposals, blobs: BlobSource, execution: Arc<dyn Execution>) -> Self {
        Self { view, proposals, blobs, execution }
    }

    /// Makes sure that execution has every block up to `tip`, and says how many checkpoints were rebuilt.
    ///
    /// # Errors
    /// L1 or the blob source did not answer; [`BadCheckpoint`](crate::error::SequencerError::BadCheckpoint) where the blobs are not the chain.
    ///
    /// # Cancel safety
    /// Dropped in between, the blocks so far are stored, and the next call goes on after them.
    pub async fn to(&self, tip: &L1Tip) -> Result<u64> {
        let known = self.newest_known(tip).await?;
        for number in known.0 + 1..=tip.number.0 {
            self.rebuild(CheckpointNumber(number)).await?;
            crash_point!("sequencer.after_rebuild");
            if number % 16 == 0 || number == tip.number.0 {
                tracing::info!(checkpoint = number, of = tip.number.0, "rebuilt from L1");
            }
        }
        Ok(tip.number.0 - known.0)
    }

    /// The newest checkpoint on L1 whose last block is stored; blocks are stored in order, so it can be searched for.
    async fn newest_known(&self, tip: &L1Tip) -> Result<CheckpointNumber> {
        let (mut known, mut unknown) = (0, tip.number.0 + 1);
        while known + 1 < unknown {
            let middle = known.midpoint(unknown);
            let archive = self.view.archive_at(CheckpointNumber(middle)).await?;
            match self.execution.block(archive).await? {
                Some(_) => known = middle,
                None => unknown = middle,
            }
        }
        Ok(CheckpointNumber(known))
    }

    async fn rebuild(&self, number: CheckpointNumber) -> Result<()> {
        let archive = self.view.archive_at(number).await?;
        let log = self.proposals.event_of(number, archive).await?;
        let payload = self.payload_of(number, &log).await?;
        let mut last = B256::ZERO;
        for block in payload.blocks {
            last = self.insert(number, block).await?;
        }
        if last == archive {
            return Ok(());
        }
        Err(bad(number, format!("its last block is {last}, its archive {archive}")))
    }

    async fn payload_of(&self, number: CheckpointNumber, log: &Log) -> Result<CheckpointPayload> {
        let client = self.view.client();
        let transaction = self.proposals.transaction_of(number, log);
        let block_hash = log.block_hash.unwrap_or_default();
        let block = client.within("eth_getBlockByHash", client.provider().get_block_by_hash(block_hash));
        let (transaction, block) = futures::try_join!(transaction, block)?;
        let mined = L1Timestamp(block.map_or(0, |block| block.header.timestamp));
        let blobs = self.blobs.blobs_of(client, &transaction, mined).await?;
        CheckpointPayload::from_blobs(&blobs).map_err(|error| bad(number, error.to_string()))
    }

    async fn insert(&self, number: CheckpointNumber, block: PayloadBlock) -> Result<B256> {
        let header = Header::decode(&mut block.header.as_ref())
            .map_err(|error| bad(number, format!("a block's header is no RLP: {error}")))?;
        let block = Block::new(header, block.transactions);
        let hash = block.hash();
        match self.execution.insert(block).await? {
            Verdict::Valid => Ok(hash),
            Verdict::Invalid { reason } => Err(bad(number, format!("block {hash} is invalid: {reason}"))),
            Verdict::MissingParent => Err(bad(number, format!("the parent of block {hash} is unknown"))),
        }
    }
}
