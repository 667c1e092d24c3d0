//! Simple transfers per second, from raw transactions at the `eth_` RPC into sealed blocks, against anvil as the named
//! baseline: the same genesis, the same signed transactions, the same client, the same machine, the same run. Anvil is
//! measured in each way it can mine; the fastest one is the baseline.
//!
//! Ours makes every block durable (fsync) before the next one; anvil keeps its chain in memory.

mod anvil;
mod client;
mod fermata;
mod load;

use std::error::Error;

use load::Load;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let load = Load::sign()?;
    println!(
        "{} transfers by {} senders, in batches of {} over {} connections",
        load.len(),
        load::SENDERS,
        load::BATCH,
        load::CONNECTIONS
    );
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut baseline = 0.0_f64;
        for mining in anvil::MINING {
            let rate = load.rate(anvil::run(&load, mining).await?);
            println!("anvil, {mining:<28} {rate:>8.0} transfers/s");
            baseline = baseline.max(rate);
        }
        let rate = load.rate(fermata::run(&load).await?);
        println!("fermata, blocks back to back         {rate:>8.0} transfers/s");
        println!("ratio against anvil at its fastest   {:>8.2}", rate / baseline);
        Ok(())
    })
}
