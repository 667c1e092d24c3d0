//! An L1 whose process dies and comes back: at the same address, with its chain, with or without its pool.
//!
//! Another anvil takes the place of the one that is killed. It comes from the pool, so that it is warm; and it has the
//! chain as the killed one had it last, as a node has that keeps its chain on disk.

use alloy::primitives::Bytes;

use super::LeasedAnvil;
use super::lease::Held;
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

impl LeasedAnvil {
    /// Kills the anvil and puts another in its place. Connections are cut; the address stays. The caller has the turn.
    ///
    /// # Errors
    /// [`AnvilError::Ended`] when it had ended before: what it had is lost. Else it is as it was.
    pub(crate) async fn restart(&self, how: RestartL1) -> Result<()> {
        self.alive()?;
        let (dump, pool) = self.keep(how).await?;
        let successor = self.pool.warm(&self.config()).await?;
        let provider = successor.anvil().provider()?;
        Cheats::new(provider.clone()).load_state(&dump).await?;
        for transaction in pool {
            send_raw(&provider, &transaction, "take the pool of the one before").await?;
        }
        self.put_in_place(successor);
        Ok(())
    }

    /// What the restarted one will have: a dump of the chain, and the pool's transactions.
    async fn keep(&self, how: RestartL1) -> Result<(Bytes, Vec<Bytes>)> {
        let cheats = Cheats::new(self.staff_provider()?);
        let mut pool = Vec::new();
        match how {
            RestartL1::KeepingState => {
                for transaction in cheats.pool().await? {
                    pool.extend(cheats.raw_transaction(transaction).await?);
                }
            }
            RestartL1::LosingPool | RestartL1::LosingBlocks(0) => {}
            RestartL1::LosingBlocks(blocks) => cheats.rollback(blocks).await?,
        }
        Ok((cheats.dump_state().await?, pool))
    }

    fn put_in_place(&self, successor: super::WarmAnvil) {
        let address = successor.address();
        self.with(|held: &mut Held| {
            held.frozen = None;
            // Dropped, the one before is killed.
            drop(std::mem::replace(&mut held.warm, successor));
            held.doors.iter().for_each(|door| door.lead_to(address));
        });
    }
}
