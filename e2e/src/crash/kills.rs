//! Kills at moments nobody chose.

use std::fmt;
use std::time::Duration;

use alloy::primitives::{B256, keccak256};
use alloy::providers::Provider as _;
use anyhow::{Context as _, Result};
use fermata_primitives::{Clock as _, L1Timestamp, Slot};

use super::{Audit, Broadcast, Ground};

/// A process lives for up to this many slots before it is killed.
const LONGEST_LIFE_SLOTS: f64 = 2.5;

/// What kills have done. Whatever was signed or sent twice, or too late, is an error of [`kill_at_random`].
#[derive(Clone, Default, Debug)]
pub struct Kills {
    /// What the moments follow from.
    pub seed: u64,
    /// How many there were.
    pub kills: u32,
    /// What was found of what was sent.
    pub audit: Audit,
    /// Duties that were sent, and stand in the signing store as they were.
    pub duties: usize,
    /// Checkpoints that were lost though they could have been kept: with L1 before the last block of their slot, on top of
    /// what L1 had, and not in it afterwards.
    pub lost: Vec<Slot>,
}

impl Kills {
    /// True where nothing was lost.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost.is_empty()
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kills, audit, duties, lost } = self;
        write!(
            f,
            "{kills} kills, seed {seed}: {audit}, {duties} duties on record; nothing signed or sent twice, nothing stale; {} lost",
            lost.len()
        )
    }
}

/// Kills the node `kills` times with SIGKILL, each time at a moment that follows from `seed`, and starts it again; then lets
/// it work, and looks at everything it has signed, sent and landed. A fresh node rebuilds its chain.
///
/// # Errors
/// Something was signed or sent twice or too late; a user's transaction is lost; the node ended by itself, did not come back,
/// or has not the chain of one that never died.
pub async fn kill_at_random(mut ground: Ground, kills: u32, seed: u64) -> Result<Kills> {
    for kill in 0..kills {
        let mut risen = ground.rise().await.with_context(|| format!("after {kill} kills"))?;
        let url = risen.l2_url().await?;
        ground.users().send(&url).await?;
        ground.net().clock().sleep(life(&ground, seed, kill)).await;
        risen.kill().await.with_context(|| format!("after {kill} kills"))?;
        ground.audit_duties().await.with_context(|| format!("after {} kills", kill + 1))?;
    }
    let mut risen = ground.rise().await?;
    let url = risen.l2_url().await?;
    ground.users().send_again(&url).await?;
    ground.progressed(&risen).await?;
    ground.users_have_receipts(&risen).await?;
    ground.agrees(&risen).await?;
    risen.kill().await?;
    let duties = ground.audit_duties().await?;
    let lost = lost(&ground, &ground.wire().broadcasts()?).await?;
    let audit = ground.finish().await?;
    Ok(Kills { seed, kills, audit, duties, lost })
}

/// How long the process of this kill lives from when it serves.
fn life(ground: &Ground, seed: u64, kill: u32) -> Duration {
    let drawn = keccak256([seed.to_be_bytes().as_slice(), &kill.to_be_bytes()].concat());
    let drawn = f64::from(u32::from_be_bytes([drawn[0], drawn[1], drawn[2], drawn[3]])) / f64::from(u32::MAX);
    ground.net().times().slot().mul_f64(LONGEST_LIFE_SLOTS * drawn)
}

/// Checkpoints that were with L1 in time and are not on it.
async fn lost(ground: &Ground, sent: &[Broadcast]) -> Result<Vec<Slot>> {
    let logs = ground.net().rollup().CheckpointProposed_filter().from_block(0).query().await?;
    let landed: Vec<B256> = logs.iter().map(|(event, _)| event.archive).collect();
    let genesis = ground.net().archive_at(fermata_primitives::CheckpointNumber(0)).await?;
    let mut lost = Vec::new();
    for broadcast in sent {
        for propose in &broadcast.proposes {
            let slot = propose.header.slot;
            let parent = propose.header.last_archive;
            // One that was built on what did not land could not land itself.
            let could_land = parent == genesis || landed.contains(&parent);
            if could_land && !landed.contains(&propose.archive) && was_in_time(ground, broadcast, slot).await? {
                lost.push(slot);
            }
        }
    }
    lost.dedup();
    Ok(lost)
}

/// Whether L1 had a block of the slot after the broadcast, with a second to spare.
async fn was_in_time(ground: &Ground, broadcast: &Broadcast, slot: Slot) -> Result<bool> {
    let times = ground.net().times();
    let last_block = times.end_of(slot).minus_secs(times.ethereum_slot().as_secs());
    let sent = broadcast.at.floor_secs();
    let head =
        ground.net().chain().provider.get_block(alloy::eips::BlockId::latest()).await?.context("L1 has blocks")?;
    Ok(sent.plus_secs(1) < last_block && L1Timestamp(head.header.timestamp) >= last_block)
}
