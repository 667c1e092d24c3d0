//! The proposer's part: blocks, and the checkpoint they make.

use alloy::eips::eip4844::Blob;
use alloy::primitives::{Address, B256};
use fermata_execution::{Block, BlockAttributes};
use fermata_primitives::{UnixTime, crash_point};
use fermata_publisher::PreparedBlobs;
use fermata_rollup::{
    BLOCK_OVERHEAD, BlobCommitments, CheckpointHeader, MAX_BLOBS_PER_CHECKPOINT, PayloadEncoder, TRANSACTION_OVERHEAD,
    pack_blobs,
};

use crate::checkpoint::{self, check_block, payload_block, prev_randao};
use crate::drain::Head;
use crate::error::{Result, SequencerError, Source};
use crate::events::SequencerEvent;
use crate::limit::Limit;
use crate::network::{ProposedBlock, ProposedCheckpoint, Recipient, Signable, Signed};
use crate::peers::execute;
use crate::pinned::NotResumed;
use crate::slot::ProposerTurn;
use crate::timetable::SubSlot;
use crate::workshop::Workshop;

/// The blocks of a slot, and their encoding so far.
#[derive(Debug)]
pub struct BuiltBlocks {
    blocks: Vec<Block>,
    payload: PayloadEncoder,
}

impl BuiltBlocks {
    /// What the next block is built on.
    fn head(&self, turn: &ProposerTurn) -> B256 {
        self.blocks.last().map_or(turn.place.base, Block::hash)
    }
}

/// A checkpoint as its proposer proposes it.
#[derive(Clone, Debug)]
pub struct CheckpointProposal {
    /// Its blocks, in order.
    pub blocks: Vec<Block>,
    /// Its header.
    pub header: CheckpointHeader,
    /// Hash of its last block: what the contract will store.
    pub archive: B256,
    /// Bytes of its payload.
    pub payload_bytes: usize,
    /// Its payload in blobs, with commitments and proofs.
    pub blobs: PreparedBlobs,
}

impl CheckpointProposal {
    /// Where the L2 head is with it.
    #[must_use]
    pub fn head(&self) -> Head {
        let number = self.blocks.last().map_or(0, |block| block.header().number);
        Head { number, hash: self.archive }
    }

    /// Transactions in all its blocks.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.blocks.iter().map(|block| block.transactions().len()).sum()
    }
}

/// Takes up the blocks that were signed for the slot before, and builds one in each sub-slot that is left, up to `limit`;
/// one with too few transactions is left out, they wait for the next. A block that fails is reported, and ends the
/// building: the checkpoint then has the blocks before it.
pub(crate) async fn build_blocks(workshop: &Workshop, turn: &ProposerTurn, limit: &Limit) -> Result<BuiltBlocks> {
    let mut built = BuiltBlocks { blocks: Vec::new(), payload: PayloadEncoder::new(MAX_BLOBS_PER_CHECKPOINT)? };
    if let Err(error) = fill(workshop, turn, limit, &mut built).await {
        if built.blocks.is_empty() || matches!(error, SequencerError::NoPlace(_)) {
            return Err(error);
        }
        let reason = crate::poll_loop::chain(&error);
        workshop.events.emit(SequencerEvent::BlockBuildFailed { slot: turn.slot, reason });
    }
    if built.blocks.is_empty() { Err(SequencerError::NothingToBuild) } else { Ok(built) }
}

async fn fill(workshop: &Workshop, turn: &ProposerTurn, limit: &Limit, built: &mut BuiltBlocks) -> Result<()> {
    if let Some(pinned) = &turn.pinned {
        for block in pinned.blocks() {
            take_up_block(workshop, turn, block, built).await?;
        }
        if pinned.is_complete() {
            return Ok(());
        }
    }
    while let Some(sub_slot) = workshop.timetable.next_sub_slot(turn.slot, workshop.clock.now()) {
        if is_at_limit(workshop, limit).await? {
            break;
        }
        workshop.clock.sleep_until(workshop.timetable.seal_time(turn.slot, sub_slot.index)).await;
        build_block(workshop, turn, sub_slot, built).await?;
        if sub_slot.is_last {
            break;
        }
    }
    Ok(())
}

/// A block that was signed before goes through what another proposer's would have to, and is signed again: with the same
/// signature, since it is the same block. Nobody may have heard of it.
async fn take_up_block(workshop: &Workshop, turn: &ProposerTurn, block: &Block, built: &mut BuiltBlocks) -> Result<()> {
    let (signed, head) = (block.header().parent_hash, built.head(turn));
    if signed != head {
        return Err(NotResumed::OtherParent { signed, head }.into());
    }
    let is_right = check_block(&workshop.view, &turn.committee, turn.slot, (built.blocks.len(), block));
    let valid = match is_right {
        Ok(()) => execute(workshop.execution.as_ref(), std::slice::from_ref(block)).await,
        wrong => wrong,
    };
    valid.map_err(|refusal| NotResumed::Invalid(Box::new(refusal)))?;
    let proposed = propose_block(workshop, turn, block.clone(), built).await?;
    tell(workshop, proposed).await;
    Ok(())
}

/// Whether the next block lies beyond the block of a planned stop.
async fn is_at_limit(workshop: &Workshop, limit: &Limit) -> Result<bool> {
    let bounds = limit.bounds();
    Ok(!bounds.is_open() && !bounds.admits_block(workshop.chain.heads().await?.unsafe_head.number + 1))
}

async fn build_block(
    workshop: &Workshop,
    turn: &ProposerTurn,
    sub_slot: SubSlot,
    built: &mut BuiltBlocks,
) -> Result<()> {
    let attributes = attributes(workshop, turn, sub_slot, built);
    let job = workshop.execution.begin(built.head(turn), attributes).await?;
    let block = workshop.execution.seal(job).await?;
    if block.transactions().len() < turn.settings.min_transactions {
        return Ok(());
    }
    let proposed = propose_block(workshop, turn, block, built).await?;
    // The last one travels with the checkpoint.
    if !sub_slot.is_last {
        tell(workshop, proposed).await;
    }
    Ok(())
}

/// Signs the block, and makes it the head and the checkpoint's newest.
async fn propose_block(
    workshop: &Workshop,
    turn: &ProposerTurn,
    block: Block,
    built: &mut BuiltBlocks,
) -> Result<Signed<ProposedBlock>> {
    let in_blobs = payload_block(&block);
    built.payload.check(&in_blobs)?;
    let index = u16::try_from(built.blocks.len()).unwrap_or(u16::MAX);
    let (slot, number, hash) = (turn.slot, block.header().number, block.hash());
    let (transactions, gas_used) = (block.transactions().len(), block.header().gas_used);
    workshop.events.emit(SequencerEvent::BlockBuilt { slot, index, number, hash, transactions, gas_used });
    let proposed = ProposedBlock { slot, index, block: block.clone() };
    let proposed = sign_proposal(workshop, turn, proposed).await?;
    crash_point!("sequencer.after_block_proposal");
    workshop.chain.extend(slot, &block).await?;
    workshop.events.emit(SequencerEvent::BlockProposed { slot, index, number, hash });
    // Last: a block that failed before leaves nothing of itself in the blobs.
    built.payload.push(&in_blobs)?;
    built.blocks.push(block);
    Ok(proposed)
}

async fn tell(workshop: &Workshop, proposed: Signed<ProposedBlock>) {
    let deadline = workshop.timetable.attestation_deadline(proposed.content().slot());
    workshop.peers.send(Recipient::Everyone, proposed, deadline).await;
}

fn attributes(workshop: &Workshop, turn: &ProposerTurn, sub_slot: SubSlot, built: &BuiltBlocks) -> BlockAttributes {
    let constants = workshop.view.constants();
    let blocks = u64::from(workshop.timetable.blocks_per_checkpoint());
    // An upper bound of a transfer's size keeps the count of transactions below what their overhead leaves room for.
    let room = built.payload.room().saturating_sub(BLOCK_OVERHEAD);
    BlockAttributes {
        timestamp: constants.times.start_of(turn.slot).0,
        beneficiary: coinbase(turn),
        prev_randao: prev_randao(&turn.committee, turn.slot, built.blocks.len()),
        gas_limit: turn.settings.block_gas_limit.min(constants.mana_limit / blocks).max(MIN_GAS_LIMIT),
        max_payload_bytes: room - room / SMALLEST_TRANSACTION * TRANSACTION_OVERHEAD,
        transactions: (!constants.takes_transactions()).then(Vec::new),
        deadline: Some(sub_slot.deadline),
    }
}

/// Bytes of the smallest signed transaction, a little less than a transfer's.
const SMALLEST_TRANSACTION: usize = 96;

/// A header with a lower gas limit is no Ethereum header.
const MIN_GAS_LIMIT: u64 = 5_000;

fn coinbase(turn: &ProposerTurn) -> Address {
    turn.settings.coinbase.unwrap_or(turn.proposer)
}

/// Makes the checkpoint of the blocks. What its header takes from L1 is read once the checkpoint before it has landed.
pub(crate) async fn assemble(
    workshop: &Workshop,
    turn: &ProposerTurn,
    built: BuiltBlocks,
) -> Result<CheckpointProposal> {
    let BuiltBlocks { blocks, payload } = built;
    let (blobs, payload_bytes) = prepare_blobs(payload).await?;
    parent_landed(workshop, turn).await?;
    let inputs = workshop.view.checkpoint_inputs(turn.place.number, turn.slot).await?;
    let archive = blocks.last().map(Block::hash).ok_or(SequencerError::TooLate("no block was built"))?;
    let parts = checkpoint::Parts {
        slot: turn.slot,
        base: turn.place.base,
        coinbase: coinbase(turn),
        blocks: &blocks,
        blobs_hash: BlobCommitments::new(blobs.commitments().to_vec()).hash(),
        l1: inputs,
    };
    let header = checkpoint::header(&workshop.view, &parts);
    if let Some(pinned) = &turn.pinned {
        pinned.check_header(&header)?;
    }
    Ok(CheckpointProposal { blocks, header, archive, payload_bytes, blobs })
}

async fn prepare_blobs(payload: PayloadEncoder) -> Result<(PreparedBlobs, usize)> {
    let prepared = tokio::task::spawn_blocking(move || -> Result<_> {
        let bytes = payload.finish()?;
        let blobs: Vec<Blob> = pack_blobs(&bytes)?;
        Ok((PreparedBlobs::compute(blobs)?, bytes.len()))
    });
    prepared.await.map_err(|error| SequencerError::Task { what: "blob proofs", source: Source::from(error) })?
}

/// Waits for the checkpoint before this one to land, until it is no longer worth it.
async fn parent_landed(workshop: &Workshop, turn: &ProposerTurn) -> Result<()> {
    let mut tip = workshop.chain.tip();
    let deadline: UnixTime = workshop.timetable.ideal_publish(turn.slot);
    let landed = tip.wait_for(|tip| tip.is_some_and(|tip| tip.archive == turn.place.base));
    tokio::select! {
        biased;
        _ = landed => Ok(()),
        () = workshop.clock.sleep_until(deadline) => {
            Err(SequencerError::TooLate("the checkpoint before it has not landed"))
        }
    }
}

/// Signs the proposal: from here on this slot has no other.
pub(crate) async fn sign(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposal: &CheckpointProposal,
) -> Result<Signed<ProposedCheckpoint>> {
    let (last_block, earlier) = proposal.blocks.split_last().ok_or(SequencerError::NothingToBuild)?;
    let proposed = ProposedCheckpoint {
        number: turn.place.number,
        header: proposal.header,
        earlier: earlier.iter().map(Block::hash).collect(),
        last_block: last_block.clone(),
    };
    sign_proposal(workshop, turn, proposed).await
}

async fn sign_proposal<T: Signable>(workshop: &Workshop, turn: &ProposerTurn, proposal: T) -> Result<Signed<T>> {
    let by = workshop.end_of(turn.slot);
    Ok(Signed::sign(proposal, turn.proposer, by, &workshop.signer, &workshop.peers.domain).await?)
}
