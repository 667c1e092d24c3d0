//! Whether a publisher fills every block of an L1 with blobs.
//!
//! `cargo bench --package fermata-publisher --bench full_blocks -- --help` tells what can be asked for. The publisher is the real
//! one, with its store; L1 is in memory, keeps a pool's rules, and mines a block once the publisher has nothing left to do.
//! The baseline is what L1 has places for.
#![allow(clippy::unwrap_used, reason = "the L1 in memory is the tests', and fails as a test does")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::HashSet;

use alloy::consensus::Transaction as _;
use alloy::eips::eip4844::Blob;
use alloy::primitives::U256;
use clap::Parser;
use fermata_primitives::{Clock as _, SystemClock};
use fermata_publisher::{L1Request, MAX_BLOBS, PreparedBlobs, RequestBlobs};

use crate::common::bidding::settle;
use crate::common::fake_l1::{FakeL1, Seen};
use crate::common::{ETHEREUM_SLOT, Sending, mined, request, signer, started};

/// Blocks that a transaction has time for.
const WINDOW_BLOCKS: u64 = 20;
/// Full blocks that are asked for before the first has come.
const AHEAD: u64 = 2;
const GWEI: u128 = 1_000_000_000;

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

/// What L1 saw.
#[derive(Debug, Default)]
struct Tally {
    blobs: u64,
    blocks: u64,
    broadcasts: usize,
    transactions: HashSet<alloy::primitives::B256>,
}

fn main() {
    let options = Options::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    // Time is paused: to wait is to let the publisher do all that it has to do.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let began = SystemClock.monotonic();
    let tally = runtime.expect("a runtime of one thread needs nothing").block_on(fill(&options));
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

async fn fill(options: &Options) -> Tally {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), options.accounts).await;
    for key in 0..options.accounts {
        fake.fund(signer(key).address(), U256::from(10).pow(U256::from(27)));
    }
    let shares: Vec<_> = shares(options.places).into_iter().map(prepared).collect();
    let (mut sends, mut tally) = (Vec::new(), Tally::default());
    for number in 0..options.blocks + AHEAD {
        if number < options.blocks {
            sends.extend(shares.iter().map(|blobs| Sending::begin(&manager, wanted(&fake, blobs))));
        }
        settle().await;
        if number + 1 >= AHEAD {
            mine(&fake, options.places, &mut tally).await;
        }
    }
    while !fake.pool().is_empty() {
        mine(&fake, options.places, &mut tally).await;
    }
    for send in sends {
        assert!(mined(send.outcome().await).succeeded, "it has not landed");
    }
    tally
}

/// The transactions of a block of so many blobs.
fn shares(blobs: u64) -> Vec<u64> {
    let transactions = blobs.div_ceil(MAX_BLOBS as u64);
    (0..transactions).map(|number| blobs * (number + 1) / transactions - blobs * number / transactions).collect()
}

fn prepared(many: u64) -> PreparedBlobs {
    PreparedBlobs::compute((0..many).map(|_| Blob::ZERO).collect()).unwrap()
}

fn wanted(fake: &FakeL1, blobs: &PreparedBlobs) -> L1Request {
    let now = fake.head().timestamp.0;
    let blobs = RequestBlobs::Prepared(blobs.clone());
    L1Request { blobs, ..request("blobs", now, now + WINDOW_BLOCKS * ETHEREUM_SLOT) }
}

/// A block with as many of the oldest as it has places for.
async fn mine(fake: &FakeL1, places: u64, tally: &mut Tally) {
    let mut left = places;
    let mut fits = HashSet::new();
    for seen in fake.pool() {
        let blobs = seen.tx.blob_count().unwrap_or_default();
        if blobs <= left {
            left -= blobs;
            fits.insert(seen.hash());
        }
    }
    let broadcasts = fake.broadcasts();
    tally.broadcasts += broadcasts.len();
    tally.transactions.extend(broadcasts.iter().map(Seen::hash));
    fake.mine_at_fees([10 * GWEI, 1, GWEI], |tx| fits.contains(tx.tx_hash()));
    fake.forget_history();
    settle().await;
    (tally.blobs, tally.blocks) = (tally.blobs + places - left, tally.blocks + 1);
}
