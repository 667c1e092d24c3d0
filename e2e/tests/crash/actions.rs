//! What a process can be told to do at a crash point, besides aborting.

use std::time::Duration;

use anyhow::{Context as _, Result};
use fermata_e2e::L1Block;
use fermata_e2e::crash::{CrashNode, Died, Ground};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A process that has said what it is about to do has done it, also on a machine on which time goes slowly.
const SOON: Duration = Duration::from_secs(60);

/// A node at work that is told to do this, and how many transactions had been sent before.
async fn told(points: &str) -> Result<(Ground, CrashNode, usize)> {
    let mut ground = Ground::begin(3).await?;
    let risen = ground.rise().await?;
    let sent = ground.wire().broadcasts()?.len();
    risen.arm(points)?;
    Ok((ground, risen, sent))
}

/// Waits until it has come by; then it must land checkpoints as a node does that has just been started.
async fn works_on(ground: &Ground, risen: &CrashNode, points: &str) -> Result<()> {
    let tag = points.split('=').next().unwrap_or_default();
    risen.says(&format!("crash point {tag} reached")).await?;
    ground.lands_after(risen, ground.target_slot()).await?;
    ground.audit().await?;
    Ok(())
}

/// Another process in the place of one that is gone lands checkpoints.
async fn the_next_goes_on(mut ground: Ground) -> Result<()> {
    let risen = ground.rise().await?;
    ground.progressed(&risen).await?;
    ground.audit().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_ends_the_process_with_its_code_and_the_next_goes_on() -> Result<()> {
    let (ground, mut risen, _) = told("publisher.after_record=exit:7").await?;
    assert_eq!(risen.died().await?, Died::Exit(7), "{}", risen.told());
    the_next_goes_on(ground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_between_record_and_broadcast_goes_on_when_it_is_told_to() -> Result<()> {
    let (ground, risen, sent) = told("publisher.after_record=sigstop").await?;
    risen.says("crash point publisher.after_record reached").await?;
    let pid = risen.pid().context("it lives")?;
    let is_stopped = || Ok::<_, anyhow::Error>(std::fs::read_to_string(format!("/proc/{pid}/stat"))?.contains(") T "));
    let mut head = ground.control().node().l1_head();
    let stopping = async {
        // It says so a moment before it does so.
        while !is_stopped()? {
            head.changed().await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SOON, stopping).await.context("it did not stop")??;
    ground.net().wait(L1Block(ground.net().l1().head().number + 2)).await?;
    assert_eq!(ground.wire().broadcasts()?.len(), sent, "a stopped process sends nothing");
    risen.signal(Signal::CONT)?;
    works_on(&ground, &risen, "publisher.after_record").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_tick_stops_the_run_and_not_the_process_and_a_start_begins_a_new_one() -> Result<()> {
    let (ground, risen, _) = told("sequencer.after_build=panic").await?;
    risen.says("a tick panicked").await?;
    let status: Value = risen.admin().call("admin_waitFor", json!({ "state": "stopped" })).await?;
    assert_eq!(status["actual"]["lifecycle"], "stopped", "{status}");
    let _: Value = risen.admin().call("admin_start", json!({})).await?;
    works_on(&ground, &risen, "sequencer.after_build").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_execution_engine_leaves_a_process_that_lands_checkpoints_within_two_slots() -> Result<()> {
    let (ground, risen, _) = told("execution.after_block=panic").await?;
    risen.says("execution panicked").await?;
    works_on(&ground, &risen, "execution.after_block").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_before_a_record_leaves_a_process_that_lands_checkpoints_within_two_slots() -> Result<()> {
    let (ground, risen, _) = told("publisher.before_record=sleep:1500").await?;
    works_on(&ground, &risen, "publisher.before_record").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_record_fails_is_not_sent() -> Result<()> {
    let (ground, risen, sent) = told("publisher.before_record=io-error").await?;
    risen.says("crash point publisher.before_record reached").await?;
    risen.says("the checkpoint was given up").await?;
    assert_eq!(ground.wire().broadcasts()?.len(), sent, "what is not on record is not sent");
    works_on(&ground, &risen, "publisher.before_record").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_whose_record_fails_is_not_signed_and_the_signer_refuses_until_it_is_opened_anew() -> Result<()> {
    let (ground, mut risen, sent) = told("signer.before_pin=io-error").await?;
    risen.says("the signing store has failed").await?;
    risen.says("no checkpoint for our slot").await?;
    assert_eq!(ground.wire().broadcasts()?.len(), sent, "nothing is sent that is not signed");
    risen.kill().await?;
    the_next_goes_on(ground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_cannot_be_recorded_is_answered_as_such() -> Result<()> {
    let (_ground, risen, _) = told("node_store.before_write=io-error").await?;
    let answer = risen.admin().call::<Value>("admin_stop", json!({ "mode": "now" })).await;
    let error = answer.expect_err("the wish is not on record").to_string();
    assert!(error.contains("NOT_RECORDED"), "{error}");
    Ok(())
}
