//! The test that the page `docs/first-test.md` shows.

use fermata_e2e::{Checkpoint, Epoch, Net, Pruned, WarpOptions};

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_proves_is_pruned_while_the_sequencers_stand_still() -> anyhow::Result<()> {
    let net = Net::builder().nodes(2).epochs(32, 1).build().await?;
    net.wait(Checkpoint(2)).await?;
    let (before, too_late) = (net.mark(), Epoch(net.epoch().0 + 4));
    let warped = net.warp_to_epoch(net.sequencers(), too_late, WarpOptions::restart_later()).await?;
    net.prune().await?;
    net.wait(Pruned).since(before).await?;
    warped.restart().await?;
    net.wait(Checkpoint(1)).await?;
    Ok(())
}
