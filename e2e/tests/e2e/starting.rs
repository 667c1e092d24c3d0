//! Starts of a whole node: in order, undone when they fail, and any number of times.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use fermata_e2e::{CutAt, Fault, Footprint, L1Proxy, Net, Rule};
use fermata_sequencer::catalogue::Reason;
use fermata_sequencer::lifecycle::Lifecycle;
use fermata_sequencer::verbs::{StartRequest, VerbError};
use serde_json::{Value, json};

type Result<T = ()> = anyhow::Result<T>;

#[tokio::test(flavor = "multi_thread")]
async fn a_start_brings_up_signer_then_publisher_then_loop_and_one_that_fails_takes_down_what_had_come_up() -> Result {
    let net = Net::start().await?;
    let l1 = L1Proxy::start(&net.chain().anvil.url()).await?;
    let node = net.open_node_with("a", &[("l1.rpc_url", l1.url()), ("l1.request_timeout_ms", "1000")]).await?;
    let engine = node.node().engine().clone();
    let signer = Arc::clone(&node.node().workshop().signer);
    assert!(!signer.is_started());

    l1.set([Rule::all(Fault::Hang(CutAt::Request))]);
    let start = engine.start(StartRequest::default());
    futures::pin_mut!(start);
    let signer_is_up = async {
        while !signer.is_started() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        started = &mut start => anyhow::bail!("L1 is silent: {started:?}"),
        () = signer_is_up => {}
    }
    assert_eq!(engine.pulse().borrow().ticks, 0, "the publisher waits for L1, and the loop for the publisher");
    let failed = start.await.expect_err("L1 is silent");
    assert!(matches!(&failed, VerbError::Start(parts) if parts.reason == Reason::L1Down), "{failed:?}");
    assert!(!signer.is_started(), "what had come up was taken down");
    assert_eq!((engine.status().borrow().lifecycle, engine.tasks_alive()), (Lifecycle::Idle, 1));

    l1.clear();
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.checkpoint(1).await?;
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_starts_and_stops_of_a_process_leave_no_task_file_socket_or_memory_behind() -> Result {
    let net = Net::start().await?;
    let mut node = net
        .spawn_node_with("a", &[("log.filter", "error,fermata_sequencer::node=info"), ("sequencer.start", "never")])
        .await?;
    let (door, pid) = (node.admin(), node.pid().context("it runs")?);
    let mut footprints = Vec::new();
    for _ in 0..3 {
        for _ in 0..80 {
            let started: Value = door.call("admin_start", json!({})).await?;
            ensure!(started["changed"] == true, "{started}");
            let stopped: Value = door.call("admin_stop", json!({ "mode": "now" })).await?;
            ensure!(stopped["drain"]["failures"] == json!([]), "{stopped}");
        }
        footprints.push(Footprint::of(pid)?);
    }
    // The first round fills pools and caches.
    let (before, after) = (footprints[1], footprints[2]);
    assert!(after.files <= before.files + 4, "{footprints:?}");
    assert!(after.threads <= before.threads + 4, "{footprints:?}");
    assert!(after.resident_mb <= before.resident_mb * 1.1 + 4.0, "{footprints:?}");
    node.kill().await
}
