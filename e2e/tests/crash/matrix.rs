//! A real process dies at each crash point, is started again, and goes on as if nothing had happened.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fermata_e2e::crash::{Afterwards, Case};
use fermata_e2e::{Checkpoint, SlotBegins, crash_matrix};
use serde_json::json;

crash_matrix! {
    stories {
        first_start: [
            "data_dir.after_lock", "data_dir.after_dirs",
            "node_store.after_file", "node_store.after_schema", "node_store.after_manifest",
            "execution.after_file", "execution.after_schema", "execution.before_write", "execution.after_genesis",
            "publisher.after_file", "publisher.after_schema",
            "signer.after_draft_store", "signer.after_draft", "signer.after_init", "sequencer.after_signing_store",
            "node_store.before_write",
            "data_dir.after_new_file", "data_dir.after_new_file@4", "data_dir.after_token", "data_dir.after_token@2",
            "sequencer.after_token_hashes", "data_dir.after_socket", "data_dir.after_endpoint",
        ];
        slot: [
            "execution.before_write@2", "execution.after_block", "execution.after_block@3",
            "signer.before_pin", "signer.after_pin", "signer.after_pin@4", "signer.after_pin@7",
            "signer.after_sign", "signer.after_sign@5",
            "sequencer.after_block_proposal", "execution.after_heads", "execution.after_heads@4",
            "sequencer.after_build", "sequencer.after_proposal", "sequencer.after_attest",
            "publisher.before_record", "publisher.after_record", "publisher.after_broadcast", "publisher.after_sent",
            "publisher.after_landing", "publisher.after_outcome", "publisher.after_outcome@2",
        ];
        in_time_again: ["publisher.after_doubt", "publisher.after_rebroadcast"];
        left_out: ["publisher.after_raise_record", "publisher.after_raise_broadcast"];
        too_late: ["publisher.after_expiry", "publisher.after_cancel_record", "publisher.after_cancel_broadcast"];
        stop: ["sequencer.after_desired_state", "sequencer.after_drain", "sequencer.after_journal"];
        stop_in_a_slot: ["execution.after_step_back"];
        start: ["sequencer.after_desired_state@2"];
        close: [
            "signer.after_last_signatures", "sequencer.after_stores_closed", "data_dir.after_endpoint_removed",
        ];
        sync: ["execution.after_insert", "execution.after_insert@3", "sequencer.after_rebuild"];
    }
    elsewhere {
        // Nodes that are processes of their own do not hear one another.
        "sequencer.after_evidence": "two_proposals_are_on_record_before_anything_else_is_heard";
        // No node imports: its operator does, while it is stopped.
        "signer.before_import": "an_import_that_is_cut_short_is_whole_or_not_there_and_again_is_fine";
        "signer.after_import": "an_import_that_is_cut_short_is_whole_or_not_there_and_again_is_fine";
    }
}

/// A node that is new to its data directory.
async fn first_start(case: &mut Case) -> Result<()> {
    case.power_cut().await?;
    case.ground.begin_afresh();
    case.doom()?;
    case.dies_there().await
}

/// A node at work.
async fn slot(case: &mut Case) -> Result<()> {
    let points = case.points.clone();
    case.running().await?.arm(&points)?;
    case.dies_there().await
}

/// A node that has recorded a transaction and never sent it comes back while the slot is young.
async fn in_time_again(case: &mut Case) -> Result<()> {
    for _ in 0..4 {
        case.died_before_at("publisher.after_record").await?;
        case.doom()?;
        let slot = case.ground.net().times().slot();
        if case.dies_there_within(2 * slot).await? {
            return Ok(());
        }
        // It came back too late, which a busy machine may do to it.
        case.power_cut().await?;
    }
    bail!("{} was not reached in four attempts: it came back too late each time", case.points)
}

/// Blocks leave a node's transactions out, so that it bids more.
async fn left_out(case: &mut Case) -> Result<()> {
    let points = case.points.clone();
    case.running().await?.arm(&points)?;
    let _held = case.ground.net().l1().hold_txs().await;
    case.dies_there().await
}

/// A node that has recorded a transaction and never sent it comes back when the slot has passed.
async fn too_late(case: &mut Case) -> Result<()> {
    case.died_before_at("publisher.after_record").await?;
    let over = case.ground.slot().next().next();
    case.ground.net().wait(SlotBegins(over)).await?;
    case.doom()?;
    case.dies_there().await
}

/// An operator stops the node, which keeps to it.
async fn stop(case: &mut Case) -> Result<()> {
    case.afterwards = Afterwards::StaysStopped;
    let points = case.points.clone();
    case.running().await?.arm(&points)?;
    let answer = case.verb("admin_stop", json!({ "mode": "now", "reason": "the test" })).await?;
    ensure!(answer.is_err(), "a process that died has answered: {answer:?}");
    case.dies_there().await
}

/// An operator stops the node in a slot: what it has built loses its place.
async fn stop_in_a_slot(case: &mut Case) -> Result<()> {
    case.afterwards = Afterwards::KeepsToItsStore;
    let points = case.points.clone();
    case.running().await?.arm(&points)?;
    for _ in 0..10 {
        a_block_more(case).await?;
        let _ = case.verb("admin_stop", json!({ "mode": "now" })).await?;
        if case.dies_there_within(Duration::from_secs(1)).await? {
            return Ok(());
        }
        // What it had built was on L1 already.
        let _ = case.verb("admin_start", json!({})).await?;
    }
    bail!("{points} was not reached: ten stops found nothing that loses its place")
}

/// Waits until the node has built, and so is in the middle of a slot.
async fn a_block_more(case: &mut Case) -> Result<()> {
    let status = case.verb("admin_status", json!({})).await??;
    let head = status["head"]["unsafe"]["number"].as_u64().context("a status tells the head")?;
    case.verb("admin_waitFor", json!({ "block": head + 1 })).await??;
    Ok(())
}

/// An operator starts the node.
async fn start(case: &mut Case) -> Result<()> {
    let points = case.points.clone();
    case.running().await?.arm(&points)?;
    let stopped = case.verb("admin_stop", json!({ "mode": "now" })).await?;
    ensure!(stopped.is_ok(), "{stopped:?}");
    let answer = case.verb("admin_start", json!({})).await?;
    ensure!(answer.is_err(), "a process that died has answered: {answer:?}");
    case.dies_there().await
}

/// An operator closes the node.
async fn close(case: &mut Case) -> Result<()> {
    let points = case.points.clone();
    case.running().await?.arm(&points)?;
    let answer = case.verb("admin_close", json!({})).await?;
    ensure!(answer.is_err(), "a process that died has answered: {answer:?}");
    case.dies_there().await
}

/// A node that is new to its data directory rebuilds the chain from L1.
async fn sync(case: &mut Case) -> Result<()> {
    case.afterwards = Afterwards::Follows;
    case.running().await?;
    case.ground.net().wait(Checkpoint(2)).await?;
    case.power_cut().await?;
    case.ground.begin_afresh();
    case.doom_with(Case::FOLLOWER)?;
    case.dies_there().await
}
