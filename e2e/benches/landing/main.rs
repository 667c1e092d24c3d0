//! From a request to its block, and what it costs in calls, beside others that send on the same L1.
//!
//! `cargo bench --package fermata-e2e --bench landing -- --help` tells what can be asked for. In each round every contestant
//! lands one transaction, one after the other, each at the same moment of L1's slot. What each of them asks L1 is counted at a
//! proxy of its own.

mod alloy_peers;
mod contest;
mod l1_tx_utils;
mod ours;
mod table;

#[path = "../ground/mod.rs"]
mod ground;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use self::contest::Contest;
use self::ground::{Blocks, arguments};

/// From a request to its block, and what it costs in calls, beside others on the same anvil.
#[derive(Parser, Debug)]
#[command(name = "landing")]
struct Options {
    /// Transactions that each contestant lands while blocks come at an interval.
    #[arg(long, default_value_t = 4)]
    rounds: u32,
    /// Transactions that each contestant lands while a block comes with each of them.
    #[arg(long, default_value_t = 20)]
    automine_rounds: u32,
    /// Seconds between two blocks.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    slot_secs: u64,
    /// Who takes part. The first is the baseline.
    #[arg(long, value_delimiter = ',', default_values_t = [Peer::Raw, Peer::Fillers, Peer::Ours, Peer::L1TxUtils])]
    peers: Vec<Peer>,
}

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Peer {
    /// Bytes that were signed before, handed over by alloy.
    Raw,
    /// Alloy with the fillers it recommends.
    Fillers,
    /// Fermata's publisher, with the head monitor of a node.
    Ours,
    /// The publisher of Aztec's sequencer, which runs in Node: `npm install --prefix e2e/benches/landing/l1_tx_utils`.
    #[value(name = "l1-tx-utils")]
    L1TxUtils,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::Fillers => "fillers",
            Self::Ours => "ours",
            Self::L1TxUtils => "l1-tx-utils",
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse_from(arguments());
    let settings =
        [(Blocks::Every(options.slot_secs), options.rounds), (Blocks::WithEachTransaction, options.automine_rounds)];
    for (blocks, rounds) in settings {
        let contest = Contest::begin(blocks, &options.peers, rounds).await?;
        table::print(blocks, &contest.run(rounds).await?);
    }
    Ok(())
}
