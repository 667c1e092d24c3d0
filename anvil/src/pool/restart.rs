//! An L1 whose process dies and comes back: at the same address, with its chain, with or without its pool.
//!
//! Another anvil takes the place of the one that is killed. It comes from the pool, so that it is warm; and it has the
//! chain as the killed one had it last, as a node has that keeps its chain on disk.

use alloy::primitives::Bytes;

use super::lease::Held;
use super::{AnvilPool, LeasedAnvil, WarmAnvil};
use crate::blob_fee::NextFees;
use crate::provider::send_raw;
use crate::{Cheats, Result};

/// What an L1 still has after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartL1 {
    /// Its chain and its pool, as a node that keeps both on disk.
    KeepingState,
    /// Its chain. The transactions in its pool are gone.
    LosingPool,
    /// Its chain but for so many of its newest blocks, which never reached the disk; no pool.
    LosingBlocks(u64),
}

/// The anvil that is to take another's place. One that does not is as new, and serves somebody else.
#[derive(Debug)]
pub(crate) struct Successor {
    pool: AnvilPool,
    /// Taken when it is changed.
    warm: Option<WarmAnvil>,
}

impl Successor {
    fn take(mut self) -> WarmAnvil {
        self.warm.take().expect("it is taken only here, and but once")
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(warm) = self.warm.take() {
            self.pool.keep(warm);
        }
    }
}

/// What outlives the anvil that is killed.
struct Kept {
    dump: Bytes,
    fees: NextFees,
    pool: Vec<Bytes>,
}

impl LeasedAnvil {
    /// An anvil like this one, for [`LeasedAnvil::restart`]: an idle one, else a new one, which takes some seconds.
    ///
    /// # Errors
    /// Those of [`crate::Anvil::start`].
    pub(crate) async fn successor(&self) -> Result<Successor> {
        let warm = self.pool.warm(&self.config()).await?;
        Ok(Successor { pool: self.pool.clone(), warm: Some(warm) })
    }

    /// Kills the anvil and puts `successor` in its place. Connections are cut; the address stays. The caller has the turn.
    ///
    /// # Errors
    /// [`AnvilError::L1Unreachable`](crate::AnvilError::L1Unreachable) or
    /// [`AnvilError::L1Refused`](crate::AnvilError::L1Refused) by either of both: no other takes its place. The blocks
    /// that it was to lose may be lost; else it is as it was.
    pub(crate) async fn restart(&self, how: RestartL1, successor: Successor) -> Result<()> {
        let kept = self.keep(how).await?;
        let successor = successor.take();
        let provider = successor.anvil().provider()?;
        let cheats = Cheats::new(provider.clone());
        cheats.load_state(&kept.dump).await?;
        kept.fees.load(&cheats).await?;
        for transaction in kept.pool {
            send_raw(&provider, &transaction, "take the pool of the one before").await?;
        }
        self.put_in_place(successor);
        Ok(())
    }

    async fn keep(&self, how: RestartL1) -> Result<Kept> {
        let cheats = Cheats::new(self.staff_provider()?);
        // A dump does not tell the next block's fees, and where they were set they follow from no block in it.
        let (pool, fees) = match how {
            RestartL1::KeepingState => (raw_pool(&cheats).await?, NextFees::read(&cheats).await?),
            RestartL1::LosingPool | RestartL1::LosingBlocks(0) => (Vec::new(), NextFees::read(&cheats).await?),
            RestartL1::LosingBlocks(blocks) => (Vec::new(), cheats.rollback(blocks).await?),
        };
        Ok(Kept { dump: cheats.dump_state().await?, fees, pool })
    }

    fn put_in_place(&self, successor: WarmAnvil) {
        let address = successor.address();
        self.with(|held: &mut Held| {
            held.frozen = None;
            // Dropped, the one before is killed.
            drop(std::mem::replace(&mut held.warm, successor));
            held.doors.iter().for_each(|door| door.lead_to(address));
        });
    }
}

/// The pool's transactions as they were sent.
async fn raw_pool(cheats: &Cheats) -> Result<Vec<Bytes>> {
    let mut pool = Vec::new();
    for transaction in cheats.whole_pool().await? {
        pool.extend(cheats.raw_transaction(transaction).await?);
    }
    Ok(pool)
}
