//! What ten thousand starts and stops of one process leave behind.
//!
//! `cargo bench --package fermata-e2e --bench cycles` starts and stops a node over its admin RPC, and prints what it holds
//! after the first thousand beside what it holds at the end. `BENCH_CYCLES` sets another number.

use anyhow::{Context as _, Result};
use fermata_e2e::{Footprint, Net, number_in_env};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<()> {
    let cycles: u64 = number_in_env("BENCH_CYCLES", 10_000)?;
    let net = Net::start().await?;
    let mut node = net
        .spawn_node_with(
            "cycles",
            &[("log.filter", "error,fermata_sequencer::node=info"), ("sequencer.start", "never")],
        )
        .await?;
    let (door, pid) = (node.admin(), node.pid().context("it runs")?);
    let mut baseline = None;
    for cycle in 1..=cycles {
        door.call::<Value>("admin_start", json!({})).await?;
        // A graceful stop would wait for the slot it begins in.
        door.call::<Value>("admin_stop", json!({ "mode": "now" })).await?;
        if cycle == (cycles / 10).max(1) {
            baseline = Some(Footprint::of(pid)?);
        }
    }
    let (before, after) = (baseline.context("there was a tenth")?, Footprint::of(pid)?);
    println!("after {:>6} cycles: {before:?}", cycles / 10);
    println!("after {cycles:>6} cycles: {after:?}");
    println!(
        "ratio: files {:.2}, threads {:.2}, memory {:.2}",
        after.files as f64 / before.files as f64,
        after.threads as f64 / before.threads as f64,
        after.resident_mb / before.resident_mb
    );
    node.kill().await
}
