//! Warps in a row, on a machine that has more to do than it can: of three nodes in this process, and of one in a process of
//! its own. Fails where anything goes wrong, L1's time does not strictly increase, or its blocks fall out of phase.
//!
//! `cargo bench --profile dev -p fermata-e2e --bench warps`; `WARPS` of each (100), beside `LOAD` busy threads (2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use fermata_anvil::Warp;
use fermata_e2e::{Checkpoint, Happening, Mark, Net, Times, WarpOptions, number_in_env};
use fermata_primitives::{Clock as _, SystemClock};

const HOUR: u64 = 3_600;

/// Publishing is waited for after so many warps; in between one follows upon the other.
const ROUND: u64 = 10;

fn main() -> Result<()> {
    let (warps, load) = (number_in_env("WARPS", 100)?, number_in_env("LOAD", 2)?);
    let busy = Busy::threads(load);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let here = Net::builder().nodes(3).build().await?;
        warp(&here, "3 nodes of this process", warps).await?;
        drop(here);
        let own = Net::builder().in_own_process().build().await?;
        warp(&own, "a process of its own", warps).await
    })?;
    drop(busy);
    Ok(())
}

/// Warps by an hour, again and again.
async fn warp(net: &Net, what: &str, warps: u64) -> Result<()> {
    net.wait(Checkpoint(1)).await?;
    let (mut beyond, mut drains) = (Times::default(), Times::default());
    for nth in 1..=warps {
        let (from, target) = (SystemClock.monotonic(), net.chain().l1_clock.head().timestamp.plus_secs(HOUR));
        let warped = net.warp_with_sequencers_stopped(net.sequencers(), target, WarpOptions::restart_later()).await?;
        let took = SystemClock.monotonic() - from;
        ensure!(matches!(warped.l1(), Warp::Mined(head) if head.timestamp == target), "{warped:?}");
        let drain = warped.drains().iter().map(|drain| Duration::from_millis(drain.report.took_ms)).max();
        warped.restart().await?;
        drains.push(drain.unwrap_or_default());
        beyond.push(took.saturating_sub(drain.unwrap_or_default()));
        if nth % ROUND == 0 {
            net.wait(Checkpoint(net.pending().await?.0 + 1)).await?;
        }
    }
    net.assert_no_failures_since(Mark::default()).await;
    let blocks = in_phase(net)?;
    println!("{what}: {warps} warps, no failure; {blocks} L1 blocks, in order and in phase");
    println!("  drain p50 {:.0} ms, p99 {:.0} ms", drains.millis_at(500), drains.millis_at(990));
    println!("  beyond the drain p50 {:.0} ms, p99 {:.0} ms", beyond.millis_at(500), beyond.millis_at(990));
    Ok(())
}

/// L1's timestamps strictly increase, and lie on the grid of its slots. How many there were.
fn in_phase(net: &Net) -> Result<usize> {
    let heads = net.since(Mark::default()).into_iter().filter_map(|entry| {
        let Happening::L1Block(head) = entry.what else { return None };
        Some(head.timestamp)
    });
    let times: Vec<_> = heads.collect();
    ensure!(times.windows(2).all(|pair| pair[0] < pair[1]), "L1's time went back or stood still: {times:?}");
    let (genesis, every) = (net.times().genesis().0, net.times().ethereum_slot().as_secs());
    ensure!(times.iter().all(|time| (time.0 - genesis).is_multiple_of(every)), "off the grid: {times:?}");
    Ok(times.len())
}

/// Threads that never rest. Dropped, they end.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn threads(count: u64) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..count {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || while !ended.load(Ordering::Relaxed) {});
        }
        Self(ended)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
