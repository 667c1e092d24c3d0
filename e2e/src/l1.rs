//! What a test may do to its L1.
//!
//! All of it goes through the one owner of L1's clock: nothing comes between the parts of a verb, and whoever reaches L1
//! from outside sees it before or after. Timestamps strictly increase through all of them, and interval mining goes on in
//! phase. Errors are [`AnvilError`]s; where the anvil has died, [`AnvilError::Ended`] says how.

use std::sync::Arc;

use alloy::primitives::B256;
use fermata_anvil::{AnvilError, HeldTransactions, L1Clock, L1Head, LeasedAnvil, Reinclude, Reorg, RestartL1};

use crate::Net;

/// The L1 of a net: see [`Net::l1`].
#[derive(Clone, Copy, Debug)]
pub struct L1<'a> {
    pub(crate) net: &'a Net,
    pub(crate) anvil: &'a Arc<LeasedAnvil>,
}

impl L1<'_> {
    /// The head as the clock's owner last made it.
    #[must_use]
    pub fn head(&self) -> L1Head {
        self.clock().head()
    }

    /// Mines `count` blocks, an Ethereum slot apart, that take no transaction; the pool stays as it is. The clocks of L1 and
    /// of every node in this process move with the last.
    ///
    /// # Errors
    /// L1 did not mine.
    pub async fn mine_empty(&self, count: u64) -> Result<Vec<L1Head>, AnvilError> {
        let _paused = self.clock().pause_interval().await;
        let apart = self.net.times().ethereum_slot().as_secs();
        let mined = self.told(self.clock().mine_empty(count, apart).await)?;
        if let Some(head) = mined.last() {
            self.net.move_clocks(head.timestamp);
        }
        Ok(mined)
    }

    /// Takes the newest `depth` blocks back and puts others, at the same timestamps, in their place. What becomes of their
    /// transactions is for `reinclude` to say.
    ///
    /// # Errors
    /// [`AnvilError::ReorgDepth`] where that is deeper than what came since the net began; nothing was done.
    pub async fn reorg(&self, depth: u64, reinclude: Reinclude) -> Result<Reorg, AnvilError> {
        self.told(self.clock().reorg(depth, reinclude).await)
    }

    /// From now on transactions stay in the pool while blocks go on coming, empty; until what this gives is released or
    /// dropped.
    pub async fn hold_txs(&self) -> HeldTransactions {
        self.clock().hold_txs().await
    }

    /// Takes a transaction out of the pool, as an L1 node may for reasons of its own. True when it was there.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn drop_tx(&self, transaction: B256) -> Result<bool, AnvilError> {
        self.told(self.clock().drop_tx(transaction).await)
    }

    /// Stops L1 where it stands (`SIGSTOP`): it takes connections and answers nothing.
    ///
    /// # Errors
    /// [`AnvilError::Ended`].
    pub fn freeze(&self) -> Result<(), AnvilError> {
        self.told(self.anvil.freeze())
    }

    /// Lets a frozen L1 go on (`SIGCONT`): it answers what it was asked meanwhile.
    ///
    /// # Errors
    /// [`AnvilError::Ended`].
    pub fn thaw(&self) -> Result<(), AnvilError> {
        self.told(self.anvil.thaw())
    }

    /// Kills L1's process and has another in its place, at the same address; connections are cut. Answers with the head.
    ///
    /// # Errors
    /// [`AnvilError::Ended`] when it had died before; [`AnvilError::ReorgDepth`] when it is to lose more blocks than came since
    /// the net began. Nothing was done.
    pub async fn restart(&self, how: RestartL1) -> Result<L1Head, AnvilError> {
        let restarted = self.clock().restart(self.anvil, how).await;
        self.net.count_l1_anew();
        self.told(restarted)
    }

    /// The base fee of the next block, in wei; those after it follow from it.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn set_base_fee(&self, wei: u128) -> Result<(), AnvilError> {
        self.told(self.clock().set_base_fee(wei).await)
    }

    /// What a unit of blob gas costs, in wei, once the next block is there; those after it follow from it. Answers with the
    /// price, which is the lowest from `wei` on that the protocol can tell.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn set_blob_fee(&self, wei: u128) -> Result<u128, AnvilError> {
        self.told(self.clock().set_blob_fee(wei).await)
    }

    const fn clock(&self) -> &L1Clock {
        &self.net.chain().l1_clock
    }

    /// Where L1 has died, that is the error.
    fn told<T>(&self, done: Result<T, AnvilError>) -> Result<T, AnvilError> {
        if done.is_err() {
            self.anvil.alive()?;
        }
        done
    }
}
