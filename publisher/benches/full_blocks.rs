//! Whether a publisher fills every block of an L1 with blobs.
//!
//! `cargo bench --package fermata-publisher --bench full_blocks -- --help` tells what can be asked for. The publisher is the real
//! one, with its store; L1 is in memory, keeps a pool's rules, and mines a block once the publisher has nothing left to do.
//! The baseline is what L1 has places for.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "the L1 in memory is the tests', and fails as a test does"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use clap::Parser;
use fermata_primitives::{Clock as _, SystemClock};

use crate::common::full_blocks::{Blocks, fill};

/// Whether a publisher fills every block of an L1 with blobs.
#[derive(Parser, Debug)]
#[command(name = "full_blocks")]
struct Options {
    /// Full blocks that are asked for.
    #[arg(long, default_value_t = 30)]
    blocks: u64,
    /// Blobs that a block has places for.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u64).range(1..))]
    places: u64,
    /// Accounts that send.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    accounts: u8,
}

fn main() {
    let options = Options::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    // Time is paused: to wait is to let the publisher do all that it has to do.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let wanted = Blocks { many: options.blocks, places: options.places, accounts: options.accounts };
    let began = SystemClock.monotonic();
    let tally = runtime.expect("a runtime of one thread needs nothing").block_on(fill(wanted));
    let places = tally.blocks * options.places;
    println!(
        "{} blobs of {} accounts in {} blocks: {:.3} of the {} a block that there were places for; {} transactions, {} sent \
         again or refused; {:.0} ms of this machine a block",
        tally.blobs,
        options.accounts,
        tally.blocks,
        tally.blobs as f64 / places as f64,
        options.places,
        tally.transactions.len(),
        tally.broadcasts - tally.transactions.len(),
        (SystemClock.monotonic() - began).as_secs_f64() * 1_000.0 / tally.blocks.max(1) as f64,
    );
}
