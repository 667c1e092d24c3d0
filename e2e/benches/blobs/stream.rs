//! Blobs with proofs that are made, block after block.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy::eips::eip4844::Blob;
use anyhow::{Result, bail, ensure};
use fermata_e2e::{BROADCAST, Client, L1Proxy, L1ProxyOptions, PoolRules};
use fermata_publisher::{MAX_BLOBS, MinedTx, Outcome, PreparedBlobs, RequestBlobs};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::ground::{Blocks, Ground, Publisher};

/// Full blocks that are asked for before the first has come.
const AHEAD: u64 = 2;

/// Longest wait for the last of them, in blocks.
const PATIENCE_BLOCKS: u64 = 120;

/// Prints how full the blocks were, and what the pool refused.
pub(crate) async fn measure(options: &Options) -> Result<()> {
    let ground = Ground::begin(Blocks::Every(options.slot_secs)).await?;
    let strict = L1ProxyOptions { mempool: Some(PoolRules::of(Client::Geth)), ..L1ProxyOptions::default() };
    let proxy = L1Proxy::start_with(&ground.anvil.url(), strict).await?;
    let mut keys = Vec::new();
    for number in 1..=options.accounts {
        keys.push(ground.funded(number).await?);
    }
    let dir = tempfile::tempdir()?;
    let publisher = Publisher::open(proxy.url(), ground.blocks, dir.path(), keys).await?;
    publisher.manager.start().await?;
    let patience = Duration::from_secs(options.slot_secs * (options.blocks + PATIENCE_BLOCKS));
    let landed = tokio::time::timeout(patience, stream(&publisher, options)).await??;
    print(options, &landed, &proxy)
}

/// The transactions of a block of so many blobs.
fn shares(blobs: usize) -> Vec<usize> {
    let transactions = blobs.div_ceil(MAX_BLOBS);
    (0..transactions).map(|number| blobs * (number + 1) / transactions - blobs * number / transactions).collect()
}

/// Asks for one more full block with each block that comes, and waits until all have landed.
async fn stream(publisher: &Publisher, options: &Options) -> Result<Vec<MinedTx>> {
    ensure!(options.a_block > 0, "a block without blobs says nothing; give `--a-block` at least 1");
    let prepared = |many| PreparedBlobs::compute(vec![Blob::ZERO; many]).map(RequestBlobs::Prepared);
    let blobs = shares(options.a_block).into_iter().map(prepared).collect::<Result<Vec<_>, _>>()?;
    let (mut heads, mut sends, mut landed) = (publisher.heads.clone(), FuturesUnordered::new(), Vec::new());
    let mut asked = 0;
    heads.mark_unchanged();
    loop {
        while asked < options.blocks && asked < AHEAD {
            blobs.iter().for_each(|blobs| sends.push(send(publisher, blobs.clone())));
            asked += 1;
        }
        tokio::select! {
            Some(sent) = sends.next() => landed.push(sent?),
            changed = heads.changed(), if asked < options.blocks => {
                changed?;
                blobs.iter().for_each(|blobs| sends.push(send(publisher, blobs.clone())));
                asked += 1;
            }
            else => return Ok(landed),
        }
    }
}

async fn send(publisher: &Publisher, blobs: RequestBlobs) -> Result<MinedTx> {
    let request =
        fermata_publisher::L1Request { gas_limit: Some(60_000), ..publisher.request("blobs".to_owned(), blobs) };
    let manager = Arc::clone(&publisher.manager);
    match manager.send(request, CancellationToken::new()).await? {
        Outcome::Mined(tx) => Ok(tx),
        other @ (Outcome::Expired | Outcome::Interrupted { .. } | Outcome::Rejected { .. }) => {
            bail!("it ended as {other:?}")
        }
    }
}

fn print(options: &Options, landed: &[MinedTx], proxy: &L1Proxy) -> Result<()> {
    let mut blocks = BTreeMap::<u64, u64>::new();
    for tx in landed {
        *blocks.entry(tx.block_number).or_default() += tx.blob_gas_used.unwrap_or_default() / 131_072;
    }
    let (Some(first), Some(last)) = (blocks.keys().next(), blocks.keys().last()) else { bail!("nothing has landed") };
    let (span, blobs) = (last - first + 1, blocks.values().sum::<u64>());
    let full = blocks.values().filter(|blobs| **blobs == options.a_block as u64).count();
    let most = blocks.values().max().copied().unwrap_or_default();
    println!(
        "{blobs} blobs of {} accounts landed in {span} blocks: {:.2} of the {} a block that there were places for; {full} \
         blocks full, most in a block {most}; {} transactions, {} rejected by the pool, {} sent again",
        options.accounts,
        blobs as f64 / (span * options.a_block as u64) as f64,
        options.a_block,
        landed.len(),
        proxy.rejections().len(),
        proxy.seen(BROADCAST).saturating_sub(landed.len()),
    );
    proxy.rejections().iter().for_each(|rejection| println!("rejected: {rejection}"));
    Ok(())
}
