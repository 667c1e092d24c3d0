//! The publisher of Aztec's sequencer, as a process of Node that lands a transaction for each line it reads.

use std::path::PathBuf;
use std::process::Stdio;

use alloy::hex;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context as _, Result, ensure};
use futures::future::{BoxFuture, FutureExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::contest::Contestant;
use crate::ground::{Blocks, calldata, target};

/// The process. It ends with this.
pub(crate) struct L1TxUtils {
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl L1TxUtils {
    pub(crate) async fn start(url: &str, signer: &PrivateKeySigner, blocks: Blocks) -> Result<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/landing/l1_tx_utils");
        ensure!(
            folder.join("node_modules").is_dir(),
            "it is not installed: run `npm install --prefix {}`, or leave it out with `--peers raw,fillers,ours`",
            folder.display()
        );
        let mut process = Command::new("node")
            .arg(folder.join("peer.mjs"))
            .args([url, &hex::encode_prefixed(signer.to_bytes()), &target().to_string(), &calldata().to_string()])
            .arg(blocks.slot_secs().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .env("LOG_LEVEL", "error")
            .kill_on_drop(true)
            .spawn()
            .context("node does not start; install Node 20, or leave it out with `--peers raw,fillers,ours`")?;
        let asks = process.stdin.take().context("its input is piped")?;
        let answers = BufReader::new(process.stdout.take().context("its output is piped")?).lines();
        let mut peer = Self { asks, answers, _process: process };
        let ready = peer.answer().await?;
        ensure!(ready == "ready", "it said {ready:?} and not that it is ready");
        Ok(peer)
    }

    async fn answer(&mut self) -> Result<String> {
        self.answers.next_line().await?.context("it has ended")
    }
}

impl Contestant for L1TxUtils {
    fn land(&mut self) -> BoxFuture<'_, Result<u64>> {
        async {
            self.asks.write_all(b"land\n").await?;
            let answer = self.answer().await?;
            answer.parse().with_context(|| format!("it said {answer:?} and no block's number"))
        }
        .boxed()
    }
}
