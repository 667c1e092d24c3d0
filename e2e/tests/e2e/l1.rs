//! What L1 does to a node that builds on it.

use std::future::IntoFuture as _;
use std::time::Duration;

use alloy::providers::Provider;
use fermata_e2e::{L1Block, Net, Reinclude, RestartL1};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_lands_its_checkpoints_after_held_transactions_a_reorg_and_a_restart_of_l1() -> anyhow::Result<()> {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let first = watch.checkpoint(1).await?;

    let held = net.l1().hold_txs().await;
    let before = net.l1().head();
    net.wait(L1Block(before.number + 4)).await?;
    for number in before.number + 1..=before.number + 4 {
        let block = net.chain().provider.get_block_by_number(number.into()).await?;
        assert!(block.is_some_and(|block| block.transactions.is_empty()), "L1 block {number} took a transaction");
    }
    held.release();
    let second = watch.checkpoint(first.checkpoint.0 + 1).await?;

    let reorg = net.l1().reorg(1, Reinclude::All).await?;
    assert_eq!(reorg.added.len(), 1);
    let third = watch.checkpoint(second.checkpoint.0 + 1).await?;

    net.l1().restart(RestartL1::KeepingState).await?;
    watch.checkpoint(third.checkpoint.0 + 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_blocks_move_the_clocks_of_l1_and_blocks_go_on_from_there() -> anyhow::Result<()> {
    let net = Net::start().await?;
    let before = net.l1().head();
    let mined = net.l1().mine_empty(5).await?;
    assert_eq!(mined[4].timestamp, net.l1().head().timestamp);
    assert!(mined[4].timestamp >= before.timestamp.plus_secs(5));
    let next = net.wait(L1Block(mined[4].number + 1)).await?;
    assert!(next.timestamp > mined[4].timestamp);
    assert!(!net.l1().drop_tx(alloy::primitives::B256::ZERO).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_l1_answers_what_it_was_asked_once_it_is_thawed() -> anyhow::Result<()> {
    let net = Net::start().await?;
    net.l1().freeze()?;
    let mut asked = net.chain().provider.get_chain_id().into_future();
    let early = tokio::time::timeout(Duration::from_millis(500), &mut asked).await;
    assert!(early.is_err(), "a frozen L1 has answered: {early:?}");
    net.l1().thaw()?;
    tokio::time::timeout(Duration::from_secs(30), asked).await??;
    Ok(())
}
