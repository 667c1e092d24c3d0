//! A publisher that is asked for more blobs than L1 takes, for a long time.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use common::full_blocks::{Blocks, fill};

#[tokio::test(start_paused = true)]
async fn blobs_for_two_hundred_blocks_over_four_accounts_are_each_sent_once_and_none_is_refused() {
    let tally = fill(Blocks { many: 200, places: 1, accounts: 4 }).await;
    assert_eq!((tally.blobs, tally.transactions.len(), tally.broadcasts), (200, 200, 200));
    assert!(tally.blocks <= 201, "{} blocks", tally.blocks);
}
