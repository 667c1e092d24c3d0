//! The pilot, with the warp.

use crate::pilot::{play, warped};

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_dropped_and_the_chain_is_pruned_while_all_stand_still_and_afterwards_all_transactions_are_mined()
-> anyhow::Result<()> {
    let took = play(warped).await?;
    let beyond = took.passing.saturating_sub(took.draining);
    println!("{:?} in all; drained in {:?}, and warped in {beyond:?} beyond that", took.all, took.draining);
    Ok(())
}
