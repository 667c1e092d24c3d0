//! How long a publisher takes from being opened to accepting work, with transactions of an earlier run to reconcile.
//!
//! `cargo bench --package fermata-e2e --bench recovery -- --help` tells what can be asked for. The earlier run is dropped with
//! its transactions in the pool. The baseline is a publisher of the same accounts that has never sent anything.

#[path = "../ground/mod.rs"]
mod ground;

use std::path::Path;
use std::sync::Arc;

use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use fermata_anvil::Cheats;
use fermata_e2e::{L1Proxy, Times};
use fermata_primitives::{Clock as _, SystemClock};
use fermata_publisher::{PreparedBlobs, RequestBlobs};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ground::{Blocks, Ground, Publisher, arguments};

/// From a publisher's opening until it accepts work, with transactions of an earlier run to reconcile.
#[derive(Parser, Debug)]
#[command(name = "recovery")]
struct Options {
    /// Transactions in flight.
    #[arg(long, default_value_t = 64)]
    unsettled: usize,
    /// Accounts that they are of; pools take few of one account.
    #[arg(long, default_value_t = 8)]
    accounts: u8,
    /// How often each case is measured.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
}

/// What became of the transactions meanwhile.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    /// The pool has them.
    Pooled,
    /// A block has them.
    Landed,
}

/// One case: what was in flight, and what became of it.
#[derive(Clone, Debug)]
struct Case {
    name: &'static str,
    blobs: RequestBlobs,
    meanwhile: Meanwhile,
}

/// How one publisher came up.
struct Recovered {
    took: std::time::Duration,
    calls: u64,
    found: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse_from(arguments());
    let one_blob = RequestBlobs::Prepared(PreparedBlobs::compute(vec![alloy::eips::eip4844::Blob::ZERO])?);
    let cases = [
        Case { name: "calls, still pooled", blobs: RequestBlobs::None, meanwhile: Meanwhile::Pooled },
        Case { name: "calls, landed", blobs: RequestBlobs::None, meanwhile: Meanwhile::Landed },
        Case { name: "blobs, still pooled", blobs: one_blob, meanwhile: Meanwhile::Pooled },
    ];
    for case in cases {
        measure(&case, &options).await?;
    }
    Ok(())
}

/// Alternates with the baseline, on one L1.
async fn measure(case: &Case, options: &Options) -> Result<()> {
    let ground = Ground::begin(Blocks::WhenTold).await?;
    let mut keys = Vec::new();
    for number in 1..=options.accounts {
        keys.push(ground.funded(number).await?);
    }
    let dir = tempfile::tempdir()?;
    leave_in_flight(&ground, dir.path(), &keys, (case, options.unsettled)).await?;
    if let (Meanwhile::Landed, Some(l1_clock)) = (case.meanwhile, &ground.l1_clock) {
        l1_clock.mine().await?;
    }
    let (mut recovered, mut baseline, mut calls) = (Times::default(), Times::default(), 0);
    for _ in 0..options.rounds {
        let empty = tempfile::tempdir()?;
        baseline.push(recover(&ground, empty.path(), &keys).await?.took);
        let copy = tempfile::tempdir()?;
        copy_files(dir.path(), copy.path())?;
        let this = recover(&ground, copy.path(), &keys).await?;
        ensure!(this.found == options.unsettled, "{} of {} were found in flight", this.found, options.unsettled);
        recovered.push(this.took);
        calls = this.calls;
    }
    println!(
        "{:<20} {} unsettled: gate open p50 {:>6.1} ms, max {:>6.1}, {calls} calls; {:.1}x of an empty store ({:.1} ms)",
        case.name,
        options.unsettled,
        recovered.millis_at(500),
        recovered.millis_at(1_000),
        recovered.millis_at(500) / baseline.millis_at(500),
        baseline.millis_at(500),
    );
    Ok(())
}

/// A publisher sends, and is dropped once L1's pool has it all.
async fn leave_in_flight(
    ground: &Ground,
    dir: &Path,
    keys: &[PrivateKeySigner],
    (case, many): (&Case, usize),
) -> Result<()> {
    let publisher = Publisher::open(&ground.anvil.url(), ground.blocks, dir, keys.to_vec()).await?;
    publisher.manager.start().await?;
    let (sends, interrupt) = (TaskTracker::new(), CancellationToken::new());
    for number in 0..many {
        let request = publisher.request(format!("send {number}"), case.blobs.clone());
        let (manager, interrupt) = (Arc::clone(&publisher.manager), interrupt.clone());
        sends.spawn(async move { manager.send(request, interrupt).await });
    }
    let cheats = Cheats::new(ground.provider.clone());
    let pooled = async {
        while cheats.pool().await?.len() < many {
            SystemClock.sleep(std::time::Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), pooled)
        .await
        .context("the pool has not got them all")??;
    publisher.manager.close().await?;
    interrupt.cancel();
    sends.close();
    sends.wait().await;
    Ok(())
}

/// From the opening of the store until work is accepted.
async fn recover(ground: &Ground, dir: &Path, keys: &[PrivateKeySigner]) -> Result<Recovered> {
    let proxy = L1Proxy::start(&ground.anvil.url()).await?;
    let began = SystemClock.monotonic();
    let publisher = Publisher::open(proxy.url(), ground.blocks, dir, keys.to_vec()).await?;
    let report = publisher.manager.start().await?;
    let took = SystemClock.monotonic() - began;
    let calls = proxy.requests();
    publisher.manager.close().await?;
    Ok(Recovered { took, calls, found: report.resumed.len() + report.settled.len() })
}

/// Each round begins with the files as they were.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&copy)?;
            copy_files(&entry.path(), &copy)?;
        } else {
            std::fs::copy(entry.path(), &copy)?;
            // Else the first commit that is measured would write the copy to the disk.
            std::fs::File::open(copy)?.sync_all()?;
        }
    }
    Ok(())
}
