//! Moving the heads: which blocks join the chain, which leave it, and what that means for the mempool.

use std::collections::{BTreeMap, BTreeSet};

use alloy::consensus::Transaction;
use alloy::primitives::{Address, B256, keccak256};
use fermata_primitives::crash_point;

use super::reader::ChainReader;
use crate::mempool::{Mempool, PooledTx};
use crate::store::{ExecutedBlock, Snapshot};
use crate::{BlockId, ExecutionError, Heads, RecoveredTx, Result};

/// The heads have moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadsMoved {
    /// Where they are now.
    pub heads: Heads,
    /// Blocks that left the chain, newest first.
    pub dropped: Vec<BlockId>,
    /// Blocks that joined the chain, oldest first.
    pub added: Vec<BlockId>,
}

/// Moves the heads in one durable transaction with the chain's indexes; then tells mempool and subscribers.
pub(super) fn set_heads(reader: &ChainReader, heads: Heads) -> Result<()> {
    let snapshot = reader.store().read()?;
    let before = snapshot.heads()?;
    if before == heads {
        return Ok(());
    }
    let moved = plan(&snapshot, before, heads)?;
    let dropped = executed_blocks(&snapshot, &moved.dropped)?;
    let added = executed_blocks(&snapshot, &moved.added)?;
    drop(snapshot);
    // Whatever can fail comes before the write: after it, the mempool must follow.
    let pool = PoolUpdate::new(reader, &moved, &dropped, &added)?;
    reader.store().write(|writer| {
        for block in &dropped {
            writer.remove_canonical(block.block.header().number)?;
            writer.remove_places(&hashes(block))?;
        }
        for block in &added {
            writer.put_canonical(block.block.id())?;
            writer.put_places(block.block.hash(), &hashes(block))?;
        }
        writer.put_heads(heads)
    })?;
    crash_point!("execution.after_heads");
    if !dropped.is_empty() {
        crash_point!("execution.after_step_back");
    }
    pool.apply(reader.mempool());
    reader.announce(moved);
    Ok(())
}

/// What a move changes; refuses heads that do not lie on one chain in order.
fn plan(snapshot: &Snapshot, before: Heads, heads: Heads) -> Result<HeadsMoved> {
    for id in [heads.unsafe_head, heads.safe, heads.finalized] {
        let header = snapshot.header(id.hash)?.ok_or(ExecutionError::UnknownBlock(id.hash))?;
        if header.number != id.number {
            let what = format!("block {} has number {}, not {}", id.hash, header.number, id.number);
            return Err(ExecutionError::HeadsOutOfOrder { what });
        }
    }
    let (dropped, added) = route(snapshot, before.unsafe_head, heads.unsafe_head)?;
    let moved = HeadsMoved { heads, dropped, added };
    for (name, id) in [("safe", heads.safe), ("finalized", heads.finalized)] {
        if chain_hash(snapshot, &moved, id.number)? != Some(id.hash) {
            let what = format!("the {name} head {id} is not an ancestor of the unsafe head {}", heads.unsafe_head);
            return Err(ExecutionError::HeadsOutOfOrder { what });
        }
    }
    if heads.finalized.number > heads.safe.number {
        let what = format!("the finalized head {} is ahead of the safe head {}", heads.finalized, heads.safe);
        return Err(ExecutionError::HeadsOutOfOrder { what });
    }
    Ok(moved)
}

/// The hash at this number of the chain as it will be.
fn chain_hash(snapshot: &Snapshot, moved: &HeadsMoved, number: u64) -> Result<Option<B256>> {
    if number > moved.heads.unsafe_head.number {
        return Ok(None);
    }
    match moved.added.iter().find(|id| id.number == number) {
        Some(id) => Ok(Some(id.hash)),
        None => snapshot.canonical(number),
    }
}

/// From one head to another over their last common block: what is left (newest first), what is joined (oldest first).
fn route(snapshot: &Snapshot, from: BlockId, to: BlockId) -> Result<(Vec<BlockId>, Vec<BlockId>)> {
    let (mut old, mut new) = (from, to);
    let (mut dropped, mut added) = (Vec::new(), Vec::new());
    while old != new {
        let (old_number, new_number) = (old.number, new.number);
        if old_number >= new_number {
            dropped.push(old);
            old = parent(snapshot, old)?;
        }
        if new_number >= old_number {
            added.push(new);
            new = parent(snapshot, new)?;
        }
    }
    added.reverse();
    Ok((dropped, added))
}

fn parent(snapshot: &Snapshot, block: BlockId) -> Result<BlockId> {
    let missing = || ExecutionError::Missing(format!("the block {block}"));
    let header = snapshot.header(block.hash)?.ok_or_else(missing)?;
    let number = header.number.checked_sub(1).ok_or_else(missing)?;
    Ok(BlockId { number, hash: header.parent_hash })
}

fn executed_blocks(snapshot: &Snapshot, ids: &[BlockId]) -> Result<Vec<ExecutedBlock>> {
    let read = |id: &BlockId| {
        let missing = || ExecutionError::Missing(format!("the block {id}"));
        let block = snapshot.block(id.hash)?.ok_or_else(missing)?;
        let (senders, receipts) = snapshot.outcome(id.hash)?.ok_or_else(missing)?;
        Ok(ExecutedBlock { block, senders, receipts })
    };
    ids.iter().map(read).collect()
}

fn hashes(block: &ExecutedBlock) -> Vec<B256> {
    block.block.transactions().iter().map(keccak256).collect()
}

/// What a move of the heads means for the mempool.
struct PoolUpdate {
    /// Transactions of dropped blocks, oldest first.
    returning: Vec<PooledTx>,
    /// Every account whose nonce the move has touched, with its nonce at the new head.
    nonces: Vec<(Address, u64)>,
}

impl PoolUpdate {
    fn new(
        reader: &ChainReader,
        moved: &HeadsMoved,
        dropped: &[ExecutedBlock],
        added: &[ExecutedBlock],
    ) -> Result<Self> {
        let returning = dropped.iter().rev().map(recovered).collect::<Result<Vec<_>>>()?.concat();
        let joined = added.iter().map(recovered).collect::<Result<Vec<_>>>()?.concat();
        // A sender's last transaction tells its nonce, without a look into the state.
        let mut nonces: BTreeMap<Address, u64> = joined.iter().map(|tx| (tx.signer(), tx.nonce() + 1)).collect();
        let mut unknown: BTreeSet<Address> = returning.iter().chain(&joined).flat_map(authorities).collect();
        unknown.extend(returning.iter().map(RecoveredTx::signer).filter(|sender| !nonces.contains_key(sender)));
        if !unknown.is_empty() {
            let mut state = reader.state_after(moved.heads.unsafe_head.hash)?;
            for address in unknown {
                nonces.insert(address, state.account(address)?.map_or(0, |account| account.nonce));
            }
        }
        let returning = returning.into_iter().map(PooledTx::from).collect();
        Ok(Self { returning, nonces: nonces.into_iter().collect() })
    }

    /// Puts the dropped ones back first; the nonces then drop what the new chain holds as well.
    fn apply(self, mempool: &Mempool) {
        mempool.reinject(self.returning);
        mempool.on_canonical(&self.nonces);
    }
}

fn recovered(block: &ExecutedBlock) -> Result<Vec<RecoveredTx>> {
    let transactions = block.block.transactions().iter().zip(&block.senders);
    transactions.map(|(raw, sender)| Ok(RecoveredTx::decode_known(raw.clone(), *sender)?)).collect()
}

/// Who has authorised a delegation (EIP-7702): that takes a nonce without a transaction of theirs.
fn authorities(tx: &RecoveredTx) -> Vec<Address> {
    let signed = tx.envelope().authorization_list().unwrap_or_default();
    signed.iter().filter_map(|signed| signed.recover_authority().ok()).collect()
}
