//! A chain with an RPC server, sealed block by block by the test.

use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::network::EthereumWallet;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::{ClientBuilder, RpcClient};
use alloy::rpc::json_rpc::ErrorPayload;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::TransportResult;
use fermata_execution::mempool::MempoolConfig;
use fermata_execution::rpc::{RpcLimits, RpcServer, serve};
use fermata_execution::{Block, BlockAttributes, Execution, Genesis, Heads, Options, RevmExecution};
use fermata_primitives::SystemClock;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use tempfile::TempDir;

pub(crate) const CHAIN_ID: u64 = 8_453_001;
const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const GAS_LIMIT: u64 = 60_000_000;

/// Long enough for anything that happens at all.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Loopback, on a port that is free.
pub(crate) const ANY_PORT: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A chain and its RPC server.
pub(crate) struct Node {
    pub(crate) execution: Arc<RevmExecution>,
    pub(crate) server: RpcServer,
    _dir: TempDir,
}

/// The `index`-th prefunded key.
pub(crate) fn key(index: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(index + 1)).expect("a valid key")
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(RpcLimits::default(), MempoolConfig::default()).await
    }

    pub(crate) async fn start_with(limits: RpcLimits, mempool: MempoolConfig) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let prefunded: Vec<Address> = (0..4).map(|index| key(index).address()).collect();
        let options = Options {
            dir: dir.path().to_owned(),
            genesis: Genesis::dev(CHAIN_ID, GENESIS_TIME, &prefunded),
            clock: Arc::new(SystemClock),
            mempool,
        };
        let execution = Arc::new(RevmExecution::open(options).await.expect("a new chain opens"));
        let server = serve(ANY_PORT, execution.reader().clone(), limits).await.expect("a free port");
        Self { execution, server, _dir: dir }
    }

    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.server.local_addr())
    }

    /// A provider as one gets it without any setting.
    pub(crate) fn provider(&self) -> DynProvider {
        let provider = ProviderBuilder::new().connect_http(self.http().parse().expect("a URL"));
        provider.client().set_poll_interval(Duration::from_millis(10));
        provider.erased()
    }

    /// A client that can send batches.
    pub(crate) fn client(&self) -> RpcClient {
        ClientBuilder::default().http(self.http().parse().expect("a URL"))
    }

    /// A wallet with every recommended filler.
    pub(crate) fn wallet(&self, index: u8) -> DynProvider {
        let wallet = EthereumWallet::from(key(index));
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(self.http().parse().expect("a URL"));
        provider.client().set_poll_interval(Duration::from_millis(10));
        provider.erased()
    }

    /// A provider over WebSocket.
    pub(crate) async fn websocket(&self) -> DynProvider {
        let url = format!("ws://{}", self.server.local_addr());
        ProviderBuilder::new().connect(&url).await.expect("the server speaks WebSocket").erased()
    }

    /// A WebSocket client that neither reconnects nor hides the server's subscription ids.
    pub(crate) async fn plain_websocket(&self) -> WsClient {
        let url = format!("ws://{}", self.server.local_addr());
        WsClientBuilder::default().build(url).await.expect("the server speaks WebSocket")
    }

    /// Seals the mempool's best on the unsafe head and moves the head to it.
    pub(crate) async fn mine(&self) -> Block {
        let heads = self.execution.heads().await.expect("heads");
        let block = self.build_on(heads.unsafe_head.hash, 1).await;
        self.execution.set_heads(Heads { unsafe_head: block.id(), ..heads }).await.expect("the head moves");
        block
    }

    /// Seals a block beside the chain; `seconds` after its parent, so that two of them differ.
    pub(crate) async fn build_on(&self, parent: B256, seconds: u64) -> Block {
        let before = self.execution.block(parent).await.expect("a read").expect("the parent is stored");
        let attributes = BlockAttributes {
            timestamp: before.header().timestamp + seconds,
            beneficiary: Address::repeat_byte(0xfe),
            prev_randao: B256::ZERO,
            gas_limit: GAS_LIMIT,
            max_payload_bytes: 1 << 20,
            transactions: None,
            deadline: None,
        };
        let job = self.execution.begin(parent, attributes).await.expect("a job");
        self.execution.seal(job).await.expect("a block")
    }

    /// Moves the unsafe head to a stored block.
    pub(crate) async fn set_head(&self, block: &Block) {
        let heads = self.execution.heads().await.expect("heads");
        self.execution.set_heads(Heads { unsafe_head: block.id(), ..heads }).await.expect("the head moves");
    }
}

/// A transfer of one wei that its sender can pay for.
pub(crate) fn transfer(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 20_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0xab)),
        value: U256::ONE,
        ..TxEip1559::default()
    }
}

/// The raw bytes of a transaction signed with the `index`-th key.
pub(crate) fn sign(index: u8, tx: TxEip1559) -> Bytes {
    let signature = key(index).sign_hash_sync(&tx.signature_hash()).expect("a local key signs");
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// Sends raw bytes that are to be taken, and gives the transaction's hash.
pub(crate) async fn send(provider: &impl Provider, raw: &Bytes) -> B256 {
    *provider.send_raw_transaction(raw).await.expect("it is taken").tx_hash()
}

/// Has a wallet send a transaction that is to be taken, and gives its hash.
pub(crate) async fn order(wallet: &impl Provider, request: TransactionRequest) -> B256 {
    *wallet.send_transaction(request).await.expect("it is taken").tx_hash()
}

/// The JSON-RPC error a request ended with.
pub(crate) fn refusal<T: std::fmt::Debug>(result: TransportResult<T>) -> ErrorPayload {
    result.expect_err("it is refused").as_error_resp().expect("refused by the server").clone()
}
