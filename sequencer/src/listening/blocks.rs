//! Another proposer's blocks, as they come: executed, and the head where they have a place.

use alloy::primitives::B256;
use fermata_execution::Block;
use fermata_primitives::{Slot, UnixTime};

use super::Bench;
use super::window::{Vouched, vouch};
use crate::checkpoint::{MAX_BLOCKS, check_block};
use crate::error::SequencerError;
use crate::events::SequencerEvent;
use crate::network::{NodeId, ProposedBlock, Received, Signed};
use crate::peers::execute;
use crate::pipeline::{Heard, Stage};
use crate::refusal::Refusal;
use crate::workshop::Workshop;

/// Takes a block proposal.
pub(super) async fn hear(bench: &Bench, received: &Received<Signed<ProposedBlock>>) -> Result<(), Refusal> {
    let ProposedBlock { slot, index, block } = received.message.content();
    let workshop = &*bench.workshop;
    let Vouched { committee, is_known, .. } = vouch(workshop, &received.message).await?;
    bench.ledger.heard(*slot);
    if is_known && workshop.execution.block(block.hash()).await?.is_some() {
        return Ok(());
    }
    let place = usize::from(*index);
    if place >= MAX_BLOCKS {
        return Err(Refusal::TooManyBlocks { found: place, limit: MAX_BLOCKS - 1 });
    }
    check_block(&workshop.view, &committee, *slot, (place, block))?;
    execute_with_ancestors(workshop, block, &received.from, workshop.timetable.attestation_deadline(*slot)).await?;
    let base = ancestor(workshop, block, place).await?;
    let heard = Heard { slot: *slot, base, head: block.hash(), blocks: place + 1, stage: Stage::Building };
    take_place(workshop, heard).await?;
    workshop.events.emit(SequencerEvent::BlockHeard {
        slot: *slot,
        index: *index,
        number: block.header().number,
        hash: block.hash(),
        transactions: block.transactions().len(),
        from: received.from.to_string(),
    });
    Ok(())
}

/// Executes the block, and before it what it is built on and is not here, as far back as a node that is a little behind lacks.
async fn execute_with_ancestors(
    workshop: &Workshop,
    block: &Block,
    from: &NodeId,
    deadline: UnixTime,
) -> Result<(), Refusal> {
    let execution = workshop.execution.as_ref();
    let (mut blocks, mut parent) = (vec![block.clone()], block.header().parent_hash);
    while execution.block(parent).await?.is_none() && blocks.len() <= MAX_BLOCKS {
        let found = workshop.peers.fetch(execution, &[parent], from, deadline).await?;
        parent = found.first().map_or(B256::ZERO, |found| found.header().parent_hash);
        blocks.extend(found);
    }
    blocks.reverse();
    execute(execution, &blocks).await
}

/// The block before the first of a checkpoint, given the one at `place` in it; all of them are stored.
async fn ancestor(workshop: &Workshop, block: &Block, place: usize) -> Result<B256, Refusal> {
    let mut parent = block.header().parent_hash;
    for missing in (1..=place).rev() {
        let block = workshop.execution.block(parent).await?;
        parent = block.ok_or(Refusal::MissingBlocks { missing, source: None })?.header().parent_hash;
    }
    Ok(parent)
}

/// Puts what was heard into the pipeline. Without a place there, its blocks stay stored and L1 decides.
pub(super) async fn take_place(workshop: &Workshop, heard: Heard) -> Result<(), Refusal> {
    match workshop.chain.hear(heard).await {
        Ok(()) => Ok(()),
        Err(SequencerError::NoPlace(reason)) => {
            tracing::debug!(slot = heard.slot.0, %reason, "another proposer's checkpoint has no place here");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives up what another proposer has under way for `slot` when its time to finish has passed.
pub(super) async fn give_up_in_time(workshop: &Workshop, slot: Slot) {
    workshop.clock.sleep_until(workshop.timetable.proposal_deadline(slot)).await;
    if let Err(error) = workshop.chain.give_up_unfinished(slot).await {
        let error = crate::poll_loop::chain(&error);
        tracing::error!(error, "the L2 head could not be moved back; the next L1 block will");
    }
}
