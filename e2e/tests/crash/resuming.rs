//! A process that dies in the middle of a slot of its own, and is back in time, lands it with what it had signed.

use alloy::primitives::B256;
use anyhow::{Context as _, Result, ensure};
use fermata_e2e::crash::{CrashNode, Died, Ground};
use fermata_primitives::Slot;
use fermata_sequencer::network::{ProposedBlock, ProposedCheckpoint, Signable};
use fermata_validator_signer::{Duty, DutyKind, SlashingProtection, StoreOptions};

/// Long enough for a process to come back, with blocks early in them that come once the checkpoint before has landed.
const SLOT_SECS: u64 = 12;
const BEFORE: &[(&str, &str)] = &[("timetable.block_ms", "2000"), ("timetable.max_blocks", "2")];
/// The next process would build more, if it may.
const AFTER: &[(&str, &str)] = &[("timetable.block_ms", "2000"), ("timetable.max_blocks", "4")];

/// What the dead process had signed for its slot.
struct Signed {
    blocks: Vec<ProposedBlock>,
    checkpoint: Option<ProposedCheckpoint>,
}

/// A process that is sent a transaction, dies at `points`, and is started again at once, with an empty mempool; and what
/// it had signed for the slot it died in.
async fn cut_at(points: &str) -> Result<(Ground, CrashNode, Slot, Signed)> {
    let mut ground = Ground::begin(SLOT_SECS).await?;
    let mut risen = ground.rise_with(BEFORE).await?;
    ground.progressed(&risen).await?;
    let url = risen.l2_url().await?;
    ground.users().send(&url).await?;
    risen.arm(points)?;
    ensure!(risen.died().await? == Died::ABORTED, "{}", risen.told());
    let slot = ground.target_slot();
    let signed = signed_for(&ground, slot).await?;
    let risen = ground.rise_with(AFTER).await?;
    Ok((ground, risen, slot, signed))
}

/// What the signing store of the node, which does not run, has kept for the slot.
async fn signed_for(ground: &Ground, slot: Slot) -> Result<Signed> {
    let workshop = ground.control().node().workshop();
    let validator = workshop.committees.of_slot(slot).await?.proposer(slot).context("there is a committee")?;
    let dir = ground.data_dir().join("signer");
    let store = SlashingProtection::open(&dir, workshop.peers.domain, StoreOptions::default())?;
    let mut signed = Signed { blocks: Vec::new(), checkpoint: None };
    let of = |kind| Duty { validator, slot, kind };
    while let Some(block) = kept(&store, of(DutyKind::BlockProposal { index: signed.blocks.len() as u16 })).await? {
        signed.blocks.push(block);
    }
    signed.checkpoint = kept(&store, of(DutyKind::CheckpointProposal)).await?;
    store.close().await;
    Ok(signed)
}

async fn kept<T: Signable>(store: &SlashingProtection, duty: Duty) -> Result<Option<T>> {
    let payload = store.payload(duty).await?;
    Ok(payload.map(|payload| T::from_frame(&payload)).transpose()?)
}

/// The process goes on with the slot it died in; gives the next slot that lands from there on.
async fn goes_on(ground: &Ground, risen: &CrashNode) -> Result<Slot> {
    let at = ground.target_slot();
    risen.says("goes on with what was signed before").await?;
    ground.lands_after(risen, Slot(at.0 - 1)).await
}

/// The blocks that were signed are on L1, and the user's transaction with them; a fresh node has the same from L1 alone.
async fn stands(ground: Ground, risen: &mut CrashNode, signed: &Signed) -> Result<()> {
    let chain = ground.control().node().execution().reader();
    for proposed in &signed.blocks {
        let (number, hash) = (proposed.block.header().number, proposed.block.hash());
        ensure!(chain.hash_at(number)? == Some(hash), "block {number} is another than the one that was signed");
    }
    ground.agrees(risen).await?;
    ground.users_have_receipts(risen).await?;
    risen.kill().await?;
    ensure!(ground.audit_duties().await? > 0, "what landed was signed");
    ground.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_it_signed_a_block_lands_the_slot_with_that_block() -> Result<()> {
    // The second is built after the transaction came, also where the first was being built then.
    let (ground, mut risen, slot, signed) = cut_at("sequencer.after_block_proposal@2").await?;
    ensure!(!signed.blocks.is_empty() && signed.checkpoint.is_none(), "it died before the checkpoint was signed");
    ensure!(goes_on(&ground, &risen).await? == slot, "slot {slot} was cut, and another landed; {}", risen.told());
    stands(ground, &mut risen, &signed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_it_signed_a_checkpoint_lands_that_one() -> Result<()> {
    let (ground, mut risen, slot, signed) = cut_at("sequencer.after_proposal").await?;
    let checkpoint = signed.checkpoint.as_ref().context("it died after the checkpoint was signed")?;
    let (header, archive): (_, B256) = (checkpoint.header, checkpoint.archive());
    ensure!(signed.blocks.last().is_some_and(|last| last.block.hash() == archive), "it ends with the last block");
    ensure!(goes_on(&ground, &risen).await? == slot, "slot {slot} was cut, and another landed; {}", risen.told());
    let sent = ground.wire().broadcasts()?;
    let mut of_slot = sent.iter().flat_map(|sent| &sent.proposes).filter(|propose| propose.header.slot == slot);
    ensure!(of_slot.all(|sent| sent.header == header && sent.archive == archive), "another checkpoint was sent");
    stands(ground, &mut risen, &signed).await
}
