//! Rounds in which every contestant lands a transaction.

use std::time::Duration;

use alloy::providers::Provider as _;
use anyhow::{Context as _, Result, ensure};
use fermata_e2e::{BROADCAST, L1Proxy, LoggedCall};
use fermata_primitives::{Clock as _, SystemClock};
use futures::future::BoxFuture;

use crate::Peer;
use crate::alloy_peers::{Fillers, Raw};
use crate::ground::{Blocks, Ground};
use crate::l1_tx_utils::L1TxUtils;
use crate::ours::Ours;

/// Parts of an L1 slot at which requests come, one a round.
const PHASES: u32 = 7;

/// Longest wait for one transaction.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who lands transactions.
pub(crate) trait Contestant {
    /// Lands one, and gives the number of its block once it knows it.
    fn land(&mut self) -> BoxFuture<'_, Result<u64>>;
}

/// One transaction, from its request.
#[derive(Clone, Debug)]
pub(crate) struct Landed {
    /// Until the node had taken the last of its bytes.
    pub(crate) accepted: Duration,
    /// Until its sender knew its block.
    pub(crate) told: Duration,
    /// Blocks from the head at its request to its own.
    pub(crate) blocks: u64,
    /// The methods that were called meanwhile.
    pub(crate) calls: Vec<String>,
}

/// What a contestant has landed.
#[derive(Debug)]
pub(crate) struct Score {
    pub(crate) peer: Peer,
    pub(crate) landed: Vec<Landed>,
}

struct Entrant {
    peer: Peer,
    proxy: L1Proxy,
    contestant: Box<dyn Contestant>,
}

/// All contestants on one L1, each behind a proxy of its own.
pub(crate) struct Contest {
    ground: Ground,
    entrants: Vec<Entrant>,
}

impl Contest {
    pub(crate) async fn begin(blocks: Blocks, peers: &[Peer], rounds: u32) -> Result<Self> {
        let ground = Ground::begin(blocks).await?;
        let mut entrants = Vec::new();
        for (peer, key) in peers.iter().copied().zip(1..) {
            let proxy = L1Proxy::start(&ground.anvil.url()).await?;
            let (url, signer) = (proxy.url().to_owned(), ground.funded(key).await?);
            // One more than is counted: the first makes the connections.
            let contestant: Box<dyn Contestant> = match peer {
                Peer::Raw => Box::new(Raw::new(&url, &signer, rounds + 1)?),
                Peer::Fillers => Box::new(Fillers::new(&url, signer)?),
                Peer::Ours => Box::new(Ours::start(&url, blocks, signer).await?),
                Peer::L1TxUtils => Box::new(L1TxUtils::start(&url, &signer, blocks).await?),
            };
            entrants.push(Entrant { peer, proxy, contestant });
        }
        Ok(Self { ground, entrants })
    }

    pub(crate) async fn run(mut self, rounds: u32) -> Result<Vec<Score>> {
        let mut results: Vec<_> =
            self.entrants.iter().map(|entrant| Score { peer: entrant.peer, landed: Vec::new() }).collect();
        for round in 0..=rounds {
            for (entrant, result) in self.entrants.iter_mut().zip(&mut results) {
                self.ground.until_phase(round % PHASES).await?;
                let landed =
                    entrant.land(&self.ground).await.with_context(|| format!("{} in round {round}", entrant.peer))?;
                if round > 0 {
                    result.landed.push(landed);
                }
            }
        }
        Ok(results)
    }
}

impl Entrant {
    async fn land(&mut self, ground: &Ground) -> Result<Landed> {
        let head = ground.provider.get_block_number().await?;
        let requested = SystemClock.monotonic();
        let block = tokio::time::timeout(PATIENCE, self.contestant.land()).await.context("it has not landed")??;
        let told = SystemClock.monotonic();
        ensure!(block > head, "it says that it is in block {block}, which was there before it was asked for");
        let during = |call: &LoggedCall| call.at >= requested && call.at <= told;
        let calls: Vec<_> = self.proxy.calls().into_iter().filter(during).collect();
        let broadcast = calls.iter().rfind(|call| call.method == BROADCAST).context("nothing was broadcast")?;
        let accepted = broadcast.settled_at.context("the broadcast was not answered")?;
        Ok(Landed {
            accepted: accepted.saturating_sub(requested),
            told: told - requested,
            blocks: block - head,
            calls: calls.into_iter().map(|call| call.method).collect(),
        })
    }
}

impl Ground {
    /// Waits until so many parts of the running slot of L1 are over; where blocks do not come by themselves, no time.
    async fn until_phase(&self, phase: u32) -> Result<()> {
        let (Blocks::Every(secs), Some(l1_clock)) = (self.blocks, &self.l1_clock) else { return Ok(()) };
        l1_clock.heads().changed().await?;
        SystemClock.sleep(Duration::from_secs(secs) * phase / (PHASES + 1)).await;
        Ok(())
    }
}
