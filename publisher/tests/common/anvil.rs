//! A real anvil, mined by the test alone.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::hex;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::bindings::IMulticall3;
use alloy::providers::{DynProvider, MULTICALL3_ADDRESS, Provider, RootProvider};
use fermata_primitives::{Clock as _, L1Timestamp, SystemClock};
use fermata_publisher::{L1, L1HeadInfo, PublisherConfig, PublisherKeys, PublisherManager};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::watch;

use super::fake_l1::CHAIN_ID;
use super::{PATIENCE, signer};

/// Seconds between two blocks of the test chain.
pub const SLOT: u64 = 2;

/// The child process, its L1 as the publisher sees it, and the watch of its head.
pub struct TestAnvil {
    child: Child,
    pub provider: DynProvider,
    /// Where it listens.
    pub url: String,
    heads: watch::Sender<L1HeadInfo>,
}

impl Drop for TestAnvil {
    fn drop(&mut self) {
        // A frozen process does not die of a signal it cannot handle, but of this one it does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `$ANVIL`, `PATH`, then what `npm ci` put beside this crate. Missing is a failure.
fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os("ANVIL") {
        return given.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|dir| dir.join("anvil"));
    let modules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../anvil/node_modules/@foundry-rs");
    let platforms = std::fs::read_dir(modules).into_iter().flatten().flatten();
    let in_modules = platforms.map(|entry| entry.path().join("bin/anvil"));
    let found = in_path.chain(in_modules).find(|file| file.is_file());
    found.expect("anvil is missing: run `npm ci --prefix anvil`")
}

impl TestAnvil {
    /// Starts anvil on a port of its own choice, with the first `keys` accounts funded; no block is mined by itself.
    pub async fn start(keys: u8) -> Self {
        Self::start_at("osaka", keys).await
    }

    /// The same by the rules of another fork.
    pub async fn start_at(fork: &str, keys: u8) -> Self {
        let mut child = Command::new(binary())
            .args(["--port", "0", "--no-mining", "--accounts", "0", "--chain-id"])
            .arg(CHAIN_ID.to_string())
            .args(["--hardfork", fork, "--slots-in-an-epoch", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned)).expect("a port");
        // Whoever does not read the rest stops the writer.
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("http://{address}");
        let provider = RootProvider::<alloy::network::Ethereum>::new_http(url.parse().unwrap());
        let head = read_head(&provider).await;
        let anvil = Self { child, provider: provider.erased(), url, heads: watch::Sender::new(head) };
        for key in 0..keys {
            anvil.fund(signer(key).address()).await;
        }
        anvil
    }

    pub async fn request<T: serde::de::DeserializeOwned>(&self, method: &'static str, params: serde_json::Value) -> T {
        let raw: serde_json::Value = self.provider.raw_request(method.into(), params).await.unwrap();
        serde_json::from_value(raw).unwrap()
    }

    pub async fn fund(&self, account: Address) {
        let ether = U256::from(10).pow(U256::from(18));
        let () = self.request("anvil_setBalance", json!([account, ether])).await;
    }

    /// Code at an address.
    pub async fn set_code(&self, account: Address, code: &str) {
        let () = self.request("anvil_setCode", json!([account, code])).await;
    }

    /// The real Multicall3 where every public chain has it.
    pub async fn set_multicall(&self) {
        // What its creation leaves behind the 32 bytes that copy it.
        let code = &IMulticall3::BYTECODE[32..];
        self.set_code(MULTICALL3_ADDRESS, &hex::encode_prefixed(code)).await;
    }

    pub fn head(&self) -> L1HeadInfo {
        *self.heads.borrow()
    }

    /// The watch of its head.
    pub fn heads(&self) -> watch::Receiver<L1HeadInfo> {
        self.heads.subscribe()
    }

    /// Replaces the last `depth` blocks by as many that hold nothing.
    pub async fn reorg(&self, depth: u64) {
        let _: serde_json::Value = self.request("anvil_reorg", json!([depth, []])).await;
        self.heads.send_replace(read_head(&self.provider).await);
    }

    /// Mines one block, one slot after the last, and tells the publisher.
    pub async fn mine(&self) {
        self.mine_at(self.head().timestamp.0 + SLOT).await;
    }

    pub async fn mine_at(&self, timestamp: u64) {
        let _: serde_json::Value = self.request("evm_setNextBlockTimestamp", json!([timestamp])).await;
        let _: serde_json::Value = self.request("evm_mine", json!([])).await;
        self.heads.send_replace(read_head(&self.provider).await);
    }

    /// Waits until the pool holds `count` transactions that could be mined.
    pub async fn until_pooled(&self, count: u64) {
        let pooled = || async {
            let status: serde_json::Value = self.request("txpool_status", json!([])).await;
            let pending: U256 = serde_json::from_value(status["pending"].clone()).unwrap();
            pending == U256::from(count)
        };
        until(pooled).await;
    }

    pub async fn nonce(&self, account: Address) -> u64 {
        self.provider.get_transaction_count(account).latest().await.unwrap()
    }

    /// Hashes of the transactions in the latest block.
    pub async fn latest_hashes(&self) -> Vec<B256> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
        block.transactions.hashes().collect()
    }

    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// A manager on this chain, not started.
    pub fn open(&self, dir: &std::path::Path, keys: u8) -> Arc<PublisherManager> {
        self.open_with(Self::config(dir), (0..keys).map(signer).collect::<Vec<_>>())
    }

    /// The configuration of a manager on this chain.
    pub fn config(dir: &std::path::Path) -> PublisherConfig {
        // The first blob makes anvil load its trusted setup, which takes long on a busy machine.
        let rpc_timeout = PATIENCE;
        PublisherConfig { rpc_timeout, ..PublisherConfig::new(CHAIN_ID, Duration::from_secs(SLOT), dir) }
    }

    /// A manager on this chain, configured by the test and not started.
    pub fn open_with(&self, config: PublisherConfig, keys: impl Into<PublisherKeys>) -> Arc<PublisherManager> {
        let l1 = L1::new(self.provider.clone(), self.heads.subscribe());
        Arc::new(PublisherManager::open(config, keys, l1, Arc::new(SystemClock)).unwrap())
    }

    pub async fn started(&self, dir: &std::path::Path, keys: u8) -> Arc<PublisherManager> {
        let manager = self.open(dir, keys);
        manager.start().await.unwrap();
        manager
    }
}

async fn read_head(provider: &impl Provider) -> L1HeadInfo {
    let block = provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
    L1HeadInfo {
        number: block.header.number,
        hash: block.header.hash,
        timestamp: L1Timestamp(block.header.timestamp),
        base_fee: u128::from(block.header.base_fee_per_gas.unwrap()),
        blob_base_fee: None,
        excess_blob_gas: block.header.excess_blob_gas,
    }
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let waiting = async {
        while !is_so().await {
            // Asked without a pause, anvil has no core left to do what is waited for.
            SystemClock.sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it does not become as it must be");
}
