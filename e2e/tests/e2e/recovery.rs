//! Stopped, started, killed, started again: publishing goes on, nothing is signed twice, and the head is L1's.

use fermata_e2e::{ChildNode, Net};
use fermata_primitives::CheckpointNumber;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::Drain;

type Result<T = ()> = anyhow::Result<T>;

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_lands_the_slot_in_flight_and_its_head_is_the_next_blocks_parent() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.until("proposal", |event| matches!(event, SequencerEvent::CheckpointProposed { .. }).then_some(())).await?;
    let report = node.stop(Drain::Graceful).await?.expect("it ran");
    let last = report.last_checkpoint.expect("the slot in flight landed");
    assert_eq!(net.archive_at(last.number).await?, report.head.hash);
    assert_eq!(net.pending().await?, last.number);

    let block = |event: &SequencerEvent| {
        if let SequencerEvent::BlockProposed { hash, .. } = event { Some(*hash) } else { None }
    };
    let mut watch = net.watch(&node);
    node.start().await?;
    let first = watch.until("block", block).await?;
    let first = fermata_execution::Execution::block(node.node().execution().as_ref(), first).await?.expect("stored");
    assert_eq!(first.header().parent_hash, report.head.hash);
    watch.checkpoint(last.number.0 + 1).await?;
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_at_once_and_a_restart_publishes() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    for round in 1..=2 {
        let mut watch = net.watch(&node);
        node.start().await?;
        watch.until("block", |event| matches!(event, SequencerEvent::BlockProposed { .. }).then_some(())).await?;
        let report = node.stop(Drain::Interrupt).await?.expect("it ran");
        let heads = node.node().workshop().chain.heads().await?;
        assert_eq!(heads.unsafe_head.hash, report.head.hash, "round {round}");
    }
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.checkpoint(1).await?;
    node.close().await
}

/// Waits until the contract has more checkpoints than `than`.
async fn more_checkpoints(net: &Net, node: &mut ChildNode, than: CheckpointNumber) -> Result<CheckpointNumber> {
    loop {
        node.log_line("\"published\"").await?;
        let pending = net.pending().await?;
        if pending > than {
            return Ok(pending);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_in_the_middle_of_a_slot_comes_back_and_publishes_without_signing_twice() -> Result {
    let net = Net::start().await?;
    let mut newest = CheckpointNumber(0);
    for _ in 0..3 {
        let mut node = net.spawn_node("a").await?;
        newest = more_checkpoints(&net, &mut node, newest).await?;
        node.kill().await?;
    }
    let mut node = net.spawn_node("a").await?;
    newest = more_checkpoints(&net, &mut node, newest).await?;
    let stop = node.verb(&["stop", "--graceful", "--json"]).await?;
    assert!(stop.status.success(), "{stop:?}");
    let answer: serde_json::Value = serde_json::from_slice(&stop.stdout)?;
    assert_eq!(answer["drain"]["outcome"], "drained", "{answer}");
    let pending = net.pending().await?;
    assert!(pending >= newest);
    assert_eq!(answer["drain"]["head"]["hash"], net.archive_at(pending).await?.to_string(), "the head is L1's");

    let started = node.verb(&["start", "--json"]).await?;
    assert!(started.status.success(), "{started:?}");
    more_checkpoints(&net, &mut node, pending).await?;
    let closed = node.verb(&["close"]).await?;
    assert!(closed.status.success(), "{closed:?}");
    assert_eq!(node.exit_code().await?, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_an_operator_outlives_the_process() -> Result {
    let net = Net::start().await?;
    let mut node = net.spawn_node("a").await?;
    more_checkpoints(&net, &mut node, CheckpointNumber(0)).await?;
    let stop = node.verb(&["stop", "--now", "--reason", "maintenance"]).await?;
    assert!(stop.status.success(), "{stop:?}");
    node.kill().await?;

    let node = net.spawn_node("a").await?;
    let status = node.verb(&["status", "--json"]).await?;
    let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
    assert_eq!(status["desired"]["state"], "stopped", "{status}");
    assert_eq!(status["desired"]["reason"], "maintenance", "{status}");
    assert_eq!(status["actual"]["lifecycle"], "idle", "{status}");
    Ok(())
}
