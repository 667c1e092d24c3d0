//! How many blobs a publisher lands, and how fast it makes their proofs.
//!
//! `cargo bench --package fermata-e2e --bench blobs -- --help` tells what can be asked for. Whenever a block comes, transactions for
//! another full one are asked for, so that L1 always has more than it can take; a pool as strict as geth's stands before it.
//! The baseline of what lands is what L1 has places for; that of the proofs is one thread, times the cores. Of an L1 with
//! more places than anvil has, `cargo bench --package fermata-publisher --bench full_blocks` tells.

mod proofs;
mod stream;

#[path = "../ground/mod.rs"]
mod ground;

use anyhow::Result;
use clap::Parser;

use crate::ground::arguments;

/// How many blobs a publisher lands, and how fast it makes their proofs.
#[derive(Parser, Debug)]
#[command(name = "blobs")]
struct Options {
    /// Full blocks that are asked for.
    #[arg(long, default_value_t = 10)]
    blocks: u64,
    /// Seconds between two blocks.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    slot_secs: u64,
    /// Accounts that send.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    accounts: u8,
    /// Blobs in a full block: as many as L1 takes, or fewer. Anvil takes nine.
    #[arg(long, default_value_t = 9)]
    a_block: usize,
    /// Blobs whose proofs are made.
    #[arg(long, default_value_t = 24)]
    proofs: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse_from(arguments());
    proofs::measure(options.proofs).await?;
    stream::measure(&options).await
}
