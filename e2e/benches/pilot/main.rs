//! The pilot story both ways, in one run: with L1 warped while the sequencers stand still, and with waiting for its clock.
//!
//! `cargo bench --profile dev -p fermata-e2e --bench pilot`; the way that waits takes about nine minutes.

#[path = "../../tests/e2e/pilot.rs"]
mod pilot;

use std::time::Duration;

use anyhow::Result;
use fermata_e2e::{Net, NetNode, SlotBegins};
use fermata_primitives::Epoch;
use fermata_sequencer::lifecycle::Drain;
use futures::future::try_join_all;

use self::pilot::{Took, play, warped};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let by_warp = runtime.block_on(play(warped))?;
    print("warped", &by_warp);
    let by_wait = runtime.block_on(play(waited))?;
    print("waited", &by_wait);
    let ratio = |long: Duration, short: Duration| long.as_secs_f64() / short.as_secs_f64();
    println!(
        "waited / warped: the whole story {:.1} x, the time that passes {:.0} x",
        ratio(by_wait.all, by_warp.all),
        ratio(by_wait.passing, by_warp.passing)
    );
    Ok(())
}

/// One waits until L1 is there.
async fn waited(net: &Net, target: Epoch) -> Result<Duration> {
    let drains = try_join_all(net.nodes().iter().map(|node: &NetNode| node.stop(Drain::Graceful))).await?;
    let slot = net.times().slot_at(net.times().epoch_start(target));
    let slots = u32::try_from(slot.0 - net.slot().0)?;
    net.wait(SlotBegins(slot)).within_slots(slots + 10).await?;
    let longest = drains.into_iter().flatten().map(|drain| Duration::from_millis(drain.took_ms)).max();
    Ok(longest.unwrap_or_default())
}

fn print(way: &str, took: &Took) {
    let Took { all, passing, draining } = took;
    let beyond = passing.saturating_sub(*draining);
    println!(
        "{way}: the whole story {all:.1?}, the time that passes {passing:.2?}, of which {beyond:.2?} beyond the drain"
    );
}
