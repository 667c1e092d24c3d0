//! What an L1 may do to those that build on it: empty blocks, reorgs, transactions that stay in the pool, other fees.
//!
//! Each is one step: nothing of the clock's comes between its parts, and who reaches the anvil through a door sees it before
//! or after. It begins in its turn, and once begun it ends, also when the caller goes away.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use alloy::consensus::transaction::SignerRecoverable;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::Provider;
use fermata_primitives::L1Timestamp;

use super::{L1Clock, L1Head, Shared, read_block};
use crate::door::{DoorHandle, Shut};
use crate::provider::send_raw;
use crate::{AnvilError, LeasedAnvil, RestartL1, Result, blob_fee};

/// More connections than the owner of a clock has at a time.
const CUT_CONNECTIONS: usize = 4;

/// What becomes of the transactions of blocks that a reorg takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reinclude {
    /// Each is in the block that takes its block's place.
    All,
    /// They are gone, also from the pool.
    None,
    /// They are in the pool again, and not in the blocks that take their blocks' places.
    Later,
}

/// What a reorg replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reorg {
    /// The blocks that are no more, oldest first.
    pub removed: Vec<L1Head>,
    /// The blocks in their place, oldest first, at the same timestamps.
    pub added: Vec<L1Head>,
}

/// While this lives, transactions stay in the pool and blocks come empty.
#[derive(Debug)]
#[must_use = "the transactions are released when this is dropped"]
pub struct HeldTransactions {
    shared: Arc<Shared>,
}

impl HeldTransactions {
    /// Lets blocks take transactions again, once no other hold is left.
    pub fn release(self) {}
}

impl Drop for HeldTransactions {
    fn drop(&mut self) {
        self.shared.holds.send_modify(|holds| *holds -= 1);
    }
}

impl L1Clock {
    /// Mines `count` blocks, so many seconds apart, that take no transaction; the pool stays as it is.
    ///
    /// # Errors
    /// As [`L1Clock::warp_to`]: the blocks before the one that failed are there.
    pub async fn mine_empty(&self, count: u64, apart_secs: u64) -> Result<Vec<L1Head>> {
        self.in_turn(move |shared| async move {
            let mut mined = Vec::new();
            for _ in 0..count {
                let next = shared.read_head().await?.timestamp.plus_secs(apart_secs.max(1));
                mined.push(shared.mine_empty_at(next).await?);
            }
            Ok(mined)
        })
        .await
    }

    /// Takes the last `depth` blocks back and puts as many others, at the same timestamps, in their place.
    ///
    /// # Errors
    /// [`AnvilError::ReorgDepth`] when there are not so many blocks above the oldest that can be gone back to,
    /// [`AnvilError::TransactionsHeld`] for [`Reinclude::All`] while transactions are held, and [`AnvilError::NotSigned`] when
    /// one that is to come back cannot: nothing was done. [`AnvilError::L1Refused`] when the L1 does not take one again: the
    /// blocks are replaced, without it.
    pub async fn reorg(&self, depth: u64, reinclude: Reinclude) -> Result<Reorg> {
        self.in_turn(move |shared| async move { shared.reorg(depth, reinclude).await }).await
    }

    /// From now on transactions stay in the pool, and blocks go on coming, empty; until what this gives is dropped. Several
    /// holds add up.
    ///
    /// # Cancel safety
    /// Dropping the future undoes the hold.
    pub async fn hold_txs(&self) -> HeldTransactions {
        let shared = self.shared().clone();
        shared.holds.send_modify(|holds| *holds += 1);
        let held = HeldTransactions { shared };
        // A block that is being made may take transactions; the next one does not.
        drop(held.shared.turn.lock().await);
        held
    }

    /// Restarts `anvil`, whose clock this is: see [`RestartL1`]. Blocks of the interval go on in phase; what would have come
    /// meanwhile is skipped. A frozen one is thawed, which nobody outside sees: what waited for its answer gets none.
    ///
    /// # Errors
    /// [`AnvilError::Ended`] when it had ended before: what it had is lost. [`AnvilError::ReorgDepth`] when it is to lose more
    /// blocks than it can, and those of [`crate::Anvil::start`]: nothing was done.
    ///
    /// # Cancel safety
    /// Dropped before its turn: it is thawed, and goes on as it was. Afterwards it is restarted all the same.
    pub async fn restart(&self, anvil: &Arc<LeasedAnvil>, how: RestartL1) -> Result<L1Head> {
        anvil.alive()?;
        self.shared().check_loss(how, self.head())?;
        let successor = anvil.successor().await?;
        // Who asks a frozen one has the turn until it answers.
        let barred = self.shared().door.as_ref().map(DoorHandle::bar);
        anvil.thaw()?;
        let anvil = Arc::clone(anvil);
        self.in_turn(move |shared| async move {
            anvil.alive()?;
            shared.check_loss(how, shared.read_head().await?)?;
            let shut = shared.shut().await;
            anvil.restart(how, successor).await?;
            drop((shut, barred));
            let head = shared.head_after_cut().await?;
            // A state that was loaded has its newest block's alone.
            shared.oldest.store(head.number, Ordering::Relaxed);
            shared.heads.send_replace(head);
            Ok(head)
        })
        .await
    }

    /// Takes a transaction out of the pool, as an L1 node may for reasons of its own. True when it was there.
    ///
    /// # Errors
    /// [`AnvilError::L1Unreachable`] or [`AnvilError::L1Refused`].
    pub async fn drop_tx(&self, transaction: B256) -> Result<bool> {
        self.in_turn(move |shared| async move { shared.cheats().drop_transaction(transaction).await }).await
    }

    /// The base fee of the next block, in wei. Those after it follow from it by the protocol's rule.
    ///
    /// # Errors
    /// As [`L1Clock::drop_tx`].
    pub async fn set_base_fee(&self, wei: u128) -> Result<()> {
        self.in_turn(move |shared| async move { shared.cheats().set_next_base_fee(U256::from(wei)).await }).await
    }

    /// Makes a unit of blob gas cost `wei`, or as little more as the protocol can tell, and answers with what it costs. The
    /// next block's header stands for that price, and anvil tells it once that block is there; blocks after it follow from it
    /// by the protocol's rule.
    ///
    /// # Errors
    /// As [`L1Clock::drop_tx`]; [`AnvilError::CheatFailed`] when anvil does not take it.
    pub async fn set_blob_fee(&self, wei: u128) -> Result<u128> {
        self.in_turn(move |shared| async move {
            let _shut = shared.shut().await;
            blob_fee::set(&shared.cheats(), wei).await
        })
        .await
    }
}

impl Shared {
    /// Keeps those outside out, where there is a door.
    pub(super) async fn shut(&self) -> Option<Shut> {
        match &self.door {
            Some(door) => Some(door.shut().await),
            None => None,
        }
    }

    /// Mines one block at `target` that takes nothing from the pool.
    ///
    /// A block with room for no transaction leaves the pool alone, but contracts cannot be called at it. So an ordinary
    /// empty block takes its place at once: what anvil calls a reorg does not look at the pool.
    pub(super) async fn mine_empty_at(&self, target: L1Timestamp) -> Result<L1Head> {
        let _shut = self.shut().await;
        let cheats = self.cheats();
        let parent = read_block(&cheats, "latest").await?;
        cheats.set_block_gas_limit(U256::from(1)).await?;
        let mined = self.mine_request(target).await;
        cheats.set_block_gas_limit(parent.gas_limit).await?;
        mined?;
        let parent = L1Head::from(parent);
        cheats.replace_by_empty(1, target.0.saturating_sub(parent.timestamp.0)).await?;
        let head = self.read_head().await?;
        self.check_mined(head, target)
    }

    /// The head, once the connections that were cut are found to be: each is found out by the request that meets it.
    async fn head_after_cut(&self) -> Result<L1Head> {
        for _ in 0..CUT_CONNECTIONS {
            if let Ok(head) = self.read_head().await {
                return Ok(head);
            }
        }
        self.read_head().await
    }

    fn check_loss(&self, how: RestartL1, head: L1Head) -> Result<()> {
        match how {
            RestartL1::KeepingState | RestartL1::LosingPool | RestartL1::LosingBlocks(0) => Ok(()),
            RestartL1::LosingBlocks(depth) => self.check_depth(depth, head),
        }
    }

    fn check_depth(&self, depth: u64, head: L1Head) -> Result<()> {
        let (height, oldest) = (head.number, self.oldest.load(Ordering::Relaxed));
        let possible = depth > 0 && depth <= height.saturating_sub(oldest);
        if possible { Ok(()) } else { Err(AnvilError::ReorgDepth { depth, height, oldest }) }
    }

    async fn reorg(&self, depth: u64, reinclude: Reinclude) -> Result<Reorg> {
        let head = self.read_head().await?;
        self.check_depth(depth, head)?;
        if reinclude == Reinclude::All && *self.holds.borrow() > 0 {
            return Err(AnvilError::TransactionsHeld);
        }
        let _shut = self.shut().await;
        let (mut removed, mut transactions) = (Vec::new(), Vec::new());
        for number in head.number + 1 - depth..=head.number {
            removed.push(L1Head::from(read_block(&self.cheats(), &format!("{number:#x}")).await?));
            transactions.push(match reinclude {
                Reinclude::All | Reinclude::Later => self.raw_transactions(number).await?,
                Reinclude::None => Vec::new(),
            });
        }
        let cheats = self.cheats();
        // Another coinbase makes each block another one, also where it holds the same transactions.
        cheats.set_coinbase(Address::from_word(keccak256(head.hash))).await?;
        let fees = cheats.rollback(depth).await?;
        fees.load(&cheats).await?;
        // One that is refused does not leave the chain short.
        let (mut added, mut taken) = (Vec::new(), Ok(()));
        for (block, transactions) in removed.iter().zip(&transactions) {
            added.push(match reinclude {
                Reinclude::All => {
                    taken = taken.and(self.send_again(transactions).await);
                    self.mine_pool_at(block.timestamp).await?
                }
                Reinclude::None | Reinclude::Later => self.mine_empty_at(block.timestamp).await?,
            });
        }
        if reinclude == Reinclude::Later {
            taken = taken.and(self.send_again(&transactions.concat()).await);
        }
        taken?;
        if removed.iter().zip(&added).any(|(old, new)| old.hash == new.hash) {
            return Err(AnvilError::CheatFailed { action: "replace blocks by others" });
        }
        Ok(Reorg { removed, added })
    }

    /// The transactions of a block as they were sent; each is signed by its sender, so that it can be sent again.
    async fn raw_transactions(&self, number: u64) -> Result<Vec<Bytes>> {
        let block =
            self.anvil.get_block_by_number(number.into()).full().await.map_err(AnvilError::rpc("read a block"))?;
        let mut raw = Vec::new();
        for transaction in block.iter().flat_map(|block| block.transactions.txns()) {
            let (from, signed) = (transaction.inner.signer(), transaction.inner.inner());
            if !signed.recover_signer().is_ok_and(|signer| signer == from) {
                return Err(AnvilError::NotSigned { transaction: *signed.tx_hash(), from });
            }
            raw.extend(self.cheats().raw_transaction(*signed.tx_hash()).await?);
        }
        Ok(raw)
    }

    /// Sends all of them, also after one that is refused.
    async fn send_again(&self, transactions: &[Bytes]) -> Result<()> {
        let mut taken = Ok(());
        for transaction in transactions {
            taken = taken.and(send_raw(&self.anvil, transaction, "take a transaction after a reorg").await);
        }
        taken
    }
}
