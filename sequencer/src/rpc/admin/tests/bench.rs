//! A node without L1: engine, store, data directory and admin RPC are real, the parts of a run are not.

use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, B256, U256};
use alloy::transports::http::reqwest::{Client, RequestBuilder, Response};
use fermata_primitives::{CheckpointNumber, SharedClock, Slot, SystemClock};
use fermata_validator_signer::{KeyOrigin, KeyRing};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::parts::{FakeParts, Shared, parts};
use crate::config::{AdminConfig, NodeConfig, Setting, Settings, Sources};
use crate::data_dir::{AdminToken, DataDir, EndpointFile, Scope, SocketFile, TokenHashes, find_token};
use crate::engine::{Engine, EngineConfig};
use crate::explain::Explanation;
use crate::feed::{News, Told};
use crate::node_store::NodeStore;
use crate::rpc::admin::{AdminContext, AdminServer, Doors, serve};
use crate::status::{
    ActualState, BackendStatus, DesiredState, FunderStatus, Health, L1Status, NodeStatus, PublisherAccount,
    PublisherReport, PublisherStatus, SendingStatus, StatusSource, Warning,
};
use crate::verbs::{Head, StartRequest};

pub(crate) const HEAD: Head = Head { number: 1_042, hash: B256::repeat_byte(0xab) };

/// What a test says about the chains.
#[derive(Clone, Debug)]
pub(crate) struct Chains {
    pub(crate) head: Head,
    pub(crate) l1: L1Status,
}

/// Tells what the engine and the store know, with the health and the chains a test sets.
struct FakeStatus {
    engine: Engine,
    store: Arc<NodeStore>,
    clock: SharedClock,
    reasons: Arc<Mutex<Vec<String>>>,
    chains: Arc<Mutex<Chains>>,
    sending: Sending,
    news: broadcast::Sender<Told>,
}

/// The accounts that publish and what they send through, as a test sets them.
type Sending = Arc<Mutex<(Vec<PublisherStatus>, SendingStatus)>>;

/// One L1 node, which rests, and a funder.
pub(crate) fn resting() -> SendingStatus {
    let backend = BackendStatus {
        name: "http://a".to_owned(),
        rests: true,
        failures: 4,
        last_error: Some("no answer".to_owned()),
        other_chain: None,
    };
    let account =
        PublisherStatus { balance_wei: Some(U256::from(7)), ..PublisherStatus::empty(Address::repeat_byte(3)) };
    SendingStatus {
        sends: true,
        backends: vec![backend],
        funder: Some(FunderStatus { account, needed_wei: U256::from(100), last: None }),
        waiting: Vec::new(),
        warnings: vec![Warning::new("nobody takes it", "look")],
    }
}

impl StatusSource for FakeStatus {
    fn status(&self) -> BoxFuture<'_, NodeStatus> {
        async {
            let mut status = NodeStatus::of_engine(&self.engine.status().borrow(), self.clock.now());
            let Chains { head, l1 } = self.chains.lock().unwrap().clone();
            (status.head.unsafe_head, status.l1) = (head, Some(l1));
            status.desired = self.store.wish().await.ok().flatten().map(DesiredState::from);
            status.requests = self.engine.live_requests().await.iter().map(Into::into).collect();
            status.health = Health::from_reasons(self.reasons.lock().unwrap().clone());
            (status.publishers, status.sending) = self.sending.lock().unwrap().clone();
            status.judged([])
        }
        .boxed()
    }

    fn explain(&self, slot: Option<Slot>) -> BoxFuture<'_, Explanation> {
        let slot = slot.unwrap_or(Slot(93));
        async move { Explanation { slot, answer: format!("slot {slot} is not ours"), checks: Vec::new() } }.boxed()
    }

    fn publisher(&self) -> BoxFuture<'_, PublisherReport> {
        let status = PublisherStatus { nonce: Some(7), ..PublisherStatus::empty(Address::ZERO) };
        let accounts = vec![PublisherAccount { status, checkpoints_left: Some(12) }];
        let sending = self.sending.lock().unwrap().1.clone();
        async { PublisherReport { accounts, sending, ..PublisherReport::default() } }.boxed()
    }

    fn news(&self) -> BoxStream<'static, Told> {
        let states = stream::unfold(self.engine.status(), |mut status| async move {
            status.changed().await.ok()?;
            let state = ActualState::from(&*status.borrow_and_update());
            Some((Told::News(News::State(state)), status))
        });
        let told =
            stream::unfold(self.news.subscribe(), |mut news| async move { Some((news.recv().await.ok()?, news)) });
        stream::select(states, told).boxed()
    }
}

/// A served node and a caller of it.
pub(crate) struct Bench {
    pub(crate) parts: Arc<FakeParts>,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<NodeStore>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) server: AdminServer,
    pub(crate) token: AdminToken,
    pub(crate) tokens: TokenHashes,
    pub(crate) reasons: Arc<Mutex<Vec<String>>>,
    pub(crate) chains: Arc<Mutex<Chains>>,
    pub(crate) sending: Sending,
    pub(crate) news: broadcast::Sender<Told>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) metrics: PrometheusRecorder,
    pub(crate) socket: SocketFile,
    data_dir: DataDir,
    _endpoint: EndpointFile,
}

pub(crate) fn config() -> AdminConfig {
    AdminConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        may_be_public: false,
        allowed_origins: vec!["https://ops.example.org".to_owned()],
        allowed_hosts: vec!["node-1.internal".to_owned()],
    }
}

/// The settings of a node that needs nothing else of them.
fn settings() -> Arc<Settings> {
    let presets = crate::dev::placeholders().into_iter().chain([Setting::new("execution.chain_id", "7", "a test")]);
    let config = NodeConfig::load(&Sources { presets: presets.collect(), ..Sources::default() }).expect("valid");
    Arc::new(Settings::new(&config, Vec::new()))
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with_keys(Vec::new()).await
    }

    /// A node with the validators' keys of these origins.
    pub(crate) async fn with_keys(origins: Vec<KeyOrigin>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let data_dir = DataDir::open(dir.path()).expect("free");
        let store = Arc::new(NodeStore::open(&data_dir.node()).expect("made"));
        let tokens = TokenHashes::try_each(|scope| data_dir.token(scope, None)).expect("made");
        let (socket, listener) = SocketFile::listen(&data_dir).expect("listens");
        let (parts, clock): (_, SharedClock) = (parts(&store), Arc::new(SystemClock));
        let engine_config = EngineConfig { poll_interval: std::time::Duration::from_secs(60) };
        let engine = Engine::new(Arc::new(Shared(Arc::clone(&parts))), engine_config, clock.clone());
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let l1 = L1Status {
            number: 50,
            timestamp: 0,
            lag_ms: 0,
            checkpoint: Some(CheckpointNumber(7)),
            proven: None,
            base_fee_wei: U256::from(9),
            blob_base_fee_wei: Some(U256::from(1)),
        };
        let chains = Arc::new(Mutex::new(Chains { head: HEAD, l1 }));
        let (sending, news) = (Sending::default(), broadcast::Sender::new(1_024));
        let status = FakeStatus {
            engine: engine.clone(),
            store: Arc::clone(&store),
            clock: clock.clone(),
            reasons: Arc::clone(&reasons),
            chains: Arc::clone(&chains),
            sending: Arc::clone(&sending),
            news: news.clone(),
        };
        let (metrics, settings) = (PrometheusBuilder::new().build_recorder(), settings());
        let keys = Arc::new(KeyRing::load(origins).await.expect("keys"));
        let context = AdminContext {
            engine: engine.clone(),
            status: Arc::new(status),
            settings: Arc::clone(&settings),
            keys: Arc::clone(&keys),
            store: Arc::clone(&store),
            metrics: metrics.handle(),
            slot: std::time::Duration::from_secs(36),
            clock,
        };
        let server = serve(&config(), Doors { tokens, socket: Some(listener) }, context).await.expect("serves");
        let _endpoint = EndpointFile::write(&data_dir, server.local_addr()).expect("written");
        let token = find_token(dir.path()).expect("there");
        #[rustfmt::skip]
        let bench = Self {
            parts, engine, store, keys, server, token, tokens, reasons, chains, sending, news, settings, dir, metrics, socket, data_dir,
            _endpoint,
        };
        bench
    }

    /// A node that runs and is in the middle of a tick.
    pub(crate) async fn running() -> Self {
        let bench = Self::new().await;
        bench.engine.start(StartRequest::default()).await.expect("starts");
        bench.parts.ticking.notified().await;
        bench
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.local_addr())
    }

    /// A call without a token.
    pub(crate) fn request(&self, method: &str, params: &Value) -> RequestBuilder {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        client().post(self.url("/")).header("content-type", "application/json").body(body)
    }

    /// A call with the token: the result, or the error.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let answer = self.request(method, &params).bearer_auth(self.token.expose()).send().await.expect("answers");
        let mut answer = body(answer).await;
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"].take()),
        }
    }

    /// The token of a scope.
    pub(crate) fn token_of(&self, scope: Scope) -> AdminToken {
        let text = std::fs::read_to_string(self.dir.path().join(scope.token_file())).expect("there");
        AdminToken::new(text.trim())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        client().get(self.url(path)).send().await.expect("answers")
    }

    /// Ends everything in the order a process does, and shows that nothing is left.
    pub(crate) async fn end(self) {
        self.engine.close().await.expect("closes");
        self.server.stop().await;
        drop(self.socket);
        self.data_dir.close();
        DataDir::open(self.dir.path()).expect("free again");
    }
}

pub(crate) fn client() -> Client {
    Client::builder().no_proxy().tls_certs_only([]).build().expect("a client")
}

pub(crate) async fn body(answer: Response) -> Value {
    let text = answer.text().await.expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
