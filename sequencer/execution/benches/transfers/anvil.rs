//! The baseline: anvil, begun with the same genesis.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy::transports::http::reqwest::Client;
use fermata_anvil::find_anvil;
use fermata_primitives::{Clock, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::{CHAIN_ID, GAS_LIMIT, Load};
use crate::{Result, client};

/// The ways anvil can mine under such a load. Its default, a block as each transaction comes, is none of them: with
/// thousands of transactions waiting, a block takes it minutes.
pub(crate) const MINING: [Mining; 3] = [Mining::BackToBack, Mining::EverySecond, Mining::AtTheEnd];

/// When anvil makes a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mining {
    /// When it is told to, block after block.
    BackToBack,
    /// On a timer.
    EverySecond,
    /// All in one block, when every transaction waits.
    AtTheEnd,
}

impl Mining {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::BackToBack | Self::AtTheEnd => &["--no-mining"],
            Self::EverySecond => &["--block-time", "1"],
        }
    }
}

impl fmt::Display for Mining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BackToBack => "evm_mine back to back",
            Self::EverySecond => "a block every second",
            Self::AtTheEnd => "one evm_mine at the end",
        })
    }
}

/// How long the load took.
pub(crate) async fn run(load: &Load, mining: Mining) -> Result<Duration> {
    let anvil = Anvil::start(load, mining)?;
    let url = anvil.url.as_str();
    match mining {
        Mining::EverySecond => client::run(url, load).await,
        Mining::BackToBack => tokio::select! {
            took = client::run(url, load) => took,
            failed = mine(url) => failed,
        },
        Mining::AtTheEnd => {
            let begun = SystemClock.monotonic();
            client::send_all(url, load).await?;
            client::call(&Client::new(), url, "evm_mine", json!([])).await?;
            client::all_in_blocks(url, load.len()).await?;
            Ok(SystemClock.monotonic() - begun)
        }
    }
}

/// Has blocks mined back to back, for ever; an empty one is followed by a short wait, as on our side.
async fn mine(url: &str) -> Result<Duration> {
    let client = Client::new();
    loop {
        let waiting = client::call(&client, url, "txpool_status", json!([])).await?;
        if waiting["pending"] == "0x0" {
            SystemClock.sleep(Duration::from_millis(2)).await;
            continue;
        }
        client::call(&client, url, "evm_mine", json!([])).await?;
    }
}

struct Anvil {
    process: Child,
    url: String,
    _dir: TempDir,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended already; there is nothing left to do then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Anvil {
    /// Without the history that it keeps by default, because that costs time.
    fn start(load: &Load, mining: Mining) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let genesis = dir.path().join("genesis.json");
        std::fs::write(&genesis, genesis_json(load).to_string())?;
        let mut process = Command::new(find_anvil()?)
            .args(["--port", "0", "--hardfork", "prague", "--accounts", "0", "--order", "fifo", "--prune-history"])
            .args(["--chain-id", &CHAIN_ID.to_string(), "--gas-limit", &GAS_LIMIT.to_string(), "--init"])
            .arg(&genesis)
            .args(mining.arguments())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("anvil has a standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = lines.find_map(|line| line.ok()?.strip_prefix("Listening on ").map(str::to_owned));
        // What it prints from now on must be read, or it would wait for us.
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("http://{}", address.ok_or("anvil says where it listens")?);
        Ok(Self { process, url, _dir: dir })
    }
}

/// Our genesis in geth's format.
fn genesis_json(load: &Load) -> Value {
    let genesis = &load.genesis;
    let alloc: serde_json::Map<_, _> =
        genesis.alloc.iter().map(|a| (a.address.to_string(), json!({ "balance": a.balance }))).collect();
    json!({
        "config": { "chainId": CHAIN_ID },
        "timestamp": format!("{:#x}", genesis.timestamp),
        "gasLimit": format!("{:#x}", genesis.gas_limit),
        "difficulty": "0x0",
        "baseFeePerGas": format!("{:#x}", genesis.base_fee),
        "alloc": alloc,
    })
}
