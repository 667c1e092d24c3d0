//! What a node costs while nobody uses it: memory, and calls to L1 for each slot.
//!
//! `cargo bench --package fermata-e2e --bench idle` starts a chain and a node as a process of its own, lets ten checkpoints
//! land, and prints both beside a baseline of the same run: the memory of the anvil beside it, and a client that asks for the
//! L1 head twice a second and for nothing else.

use anyhow::{Context as _, Result};
use fermata_e2e::{Footprint, L1Proxy, Net, NetOptions};
use fermata_primitives::CheckpointNumber;

const SLOTS: u64 = 10;
const BASELINE_CALLS_PER_SECOND: f64 = 2.0;

#[tokio::main]
async fn main() -> Result<()> {
    let net = Net::start_with(NetOptions { slot_secs: 4, ..NetOptions::default() }).await?;
    let l1 = L1Proxy::start(&net.chain().anvil.url()).await?;
    let mut node = net.spawn_node_with("idle", &[("l1.rpc_url", l1.url())]).await?;
    published(&net, &mut node, CheckpointNumber(1)).await?;
    let (from, calls) = (net.pending().await?, l1.requests());
    published(&net, &mut node, CheckpointNumber(from.0 + SLOTS)).await?;
    let slots = (net.pending().await?.0 - from.0) as f64;
    let per_slot = (l1.requests() - calls) as f64 / slots;
    let baseline = net.chain().deployment.times.slot().as_secs_f64() * BASELINE_CALLS_PER_SECOND;
    println!(
        "L1 calls per idle slot: {per_slot:.1}; head polled twice a second: {baseline:.1}; ratio {:.2}",
        per_slot / baseline
    );
    let node_rss = Footprint::of(node.pid().context("it runs")?)?.resident_mb;
    let anvil_rss = Footprint::of(net.chain().anvil.pid().context("it runs")?)?.resident_mb;
    println!(
        "resident memory: node {node_rss:.1} MB, anvil {anvil_rss:.1} MB; ratio {:.2}; goal 60 MB",
        node_rss / anvil_rss
    );
    node.kill().await
}

async fn published(net: &Net, node: &mut fermata_e2e::ChildNode, wanted: CheckpointNumber) -> Result<()> {
    while net.pending().await? < wanted {
        node.log_line("published").await?;
    }
    Ok(())
}
