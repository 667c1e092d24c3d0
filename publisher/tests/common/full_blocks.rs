//! A real publisher that is asked for more blobs than an L1 in memory has places for.

use std::collections::HashSet;

use alloy::consensus::Transaction as _;
use alloy::eips::eip4844::Blob;
use alloy::primitives::{B256, U256};
use fermata_publisher::{L1Request, MAX_BLOBS, PreparedBlobs, RequestBlobs};

use super::bidding::settle;
use super::fake_l1::{FakeL1, Seen};
use super::market::GWEI;
use super::{ETHEREUM_SLOT, Sending, mined, request, signer, started};

/// Blocks that a transaction has time for.
const WINDOW_BLOCKS: u64 = 20;
/// Full blocks that are asked for before the first has come.
const AHEAD: u64 = 2;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// Full blocks.
    pub many: u64,
    /// Blobs that a block has places for.
    pub places: u64,
    /// Accounts that send.
    pub accounts: u8,
}

/// What L1 saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub blobs: u64,
    pub blocks: u64,
    pub broadcasts: usize,
    pub transactions: HashSet<B256>,
}

/// Asks for one more full block with each block that comes, until all have landed. Made for a runtime whose time is paused.
pub async fn fill(wanted_blocks: Blocks) -> Tally {
    let Blocks { many, places, accounts } = wanted_blocks;
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), accounts).await;
    for key in 0..accounts {
        fake.fund(signer(key).address(), U256::from(10).pow(U256::from(27)));
    }
    let shares: Vec<_> = shares(places).into_iter().map(prepared).collect();
    let (mut sends, mut tally) = (Vec::new(), Tally::default());
    for number in 0..many + AHEAD {
        if number < many {
            sends.extend(shares.iter().map(|blobs| Sending::begin(&manager, wanted(&fake, blobs))));
        }
        settle().await;
        if number + 1 >= AHEAD {
            mine(&fake, places, &mut tally).await;
        }
    }
    while !fake.pool().is_empty() {
        mine(&fake, places, &mut tally).await;
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
