//! A node without L1: engine, store, data directory and admin RPC are real, the parts of a run are not.

use std::sync::{Arc, Mutex};

use alloy::primitives::B256;
use alloy::transports::http::reqwest::{Client, RequestBuilder, Response};
use fermata_primitives::{SharedClock, SystemClock};
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::catalogue::Reason;
use crate::config::AdminConfig;
use crate::data_dir::{AdminToken, DataDir, EndpointFile, find_token};
use crate::engine::{Engine, EngineConfig, Parts, Rest, Wish};
use crate::node_store::NodeStore;
use crate::poll_loop::{Tick, TickContext, TickError};
use crate::rpc::admin::{AdminContext, AdminServer, serve};
use crate::run::RunTokens;
use crate::status::{DesiredState, Health, NodeStatus, StatusSource};
use crate::verbs::{Head, HeadGap, PartsError, StartRequest};

pub(crate) const HEAD: Head = Head { number: 1_042, hash: B256::repeat_byte(0xab) };

/// Parts whose tick lasts until it is released or interrupted.
#[derive(Debug)]
pub(crate) struct FakeParts {
    pub(crate) ticking: Notify,
    pub(crate) release: Notify,
    pub(crate) refuse_start: Mutex<Option<PartsError>>,
    store: Arc<NodeStore>,
}

struct FakeTick(Arc<FakeParts>);

impl Tick for FakeTick {
    fn tick(&self, context: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
        async move {
            self.0.ticking.notify_one();
            tokio::select! {
                () = self.0.release.notified() => {}
                () = context.interrupt.cancelled() => {}
            }
            Ok(())
        }
        .boxed()
    }
}

#[derive(Debug)]
struct Shared(Arc<FakeParts>);

impl Parts for Shared {
    fn start(&self, _: RunTokens, request: StartRequest) -> BoxFuture<'_, Result<Arc<dyn Tick>, PartsError>> {
        let elsewhere = request.at.filter(|want| *want != HEAD.hash).map(|want| PartsError {
            heads: Some(HeadGap { have: HEAD, want }),
            ..PartsError::new(Reason::HeadMismatch, "the head is another".to_owned())
        });
        let refused = self.0.refuse_start.lock().unwrap().take().or(elsewhere);
        let started = refused.map_or_else(|| Ok(Arc::new(FakeTick(Arc::clone(&self.0))) as Arc<dyn Tick>), Err);
        async move { started }.boxed()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, PartsError>> {
        async { Ok(Rest { head: HEAD, last_checkpoint: None }) }.boxed()
    }

    fn record(&self, wish: Wish) -> BoxFuture<'_, Result<(), PartsError>> {
        async move {
            let recorded = self.0.store.record_wish(wish).await;
            recorded.map_err(|error| PartsError::new(Reason::NotRecorded, error.to_string()))
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Vec<String>> {
        async {
            self.0.store.close().await;
            vec!["node".to_owned()]
        }
        .boxed()
    }
}

/// Tells what the engine and the store know, with the health a test sets.
struct FakeStatus {
    engine: Engine,
    store: Arc<NodeStore>,
    clock: SharedClock,
    reasons: Arc<Mutex<Vec<String>>>,
}

impl StatusSource for FakeStatus {
    fn status(&self) -> BoxFuture<'_, NodeStatus> {
        async {
            let mut status = NodeStatus::of_engine(&self.engine.status().borrow(), self.clock.now());
            status.head.unsafe_head = HEAD;
            status.desired = self.store.wish().await.ok().flatten().map(DesiredState::from);
            status.requests = self.engine.live_requests().await.iter().map(Into::into).collect();
            status.health = Health::from_reasons(self.reasons.lock().unwrap().clone());
            status
        }
        .boxed()
    }
}

/// A served node and a caller of it.
pub(crate) struct Bench {
    pub(crate) parts: Arc<FakeParts>,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<NodeStore>,
    pub(crate) server: AdminServer,
    pub(crate) token: AdminToken,
    pub(crate) reasons: Arc<Mutex<Vec<String>>>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) metrics: metrics_exporter_prometheus::PrometheusRecorder,
    data_dir: DataDir,
    _endpoint: EndpointFile,
}

pub(crate) fn config() -> AdminConfig {
    AdminConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        allowed_origins: vec!["https://ops.example.org".to_owned()],
        allowed_hosts: vec!["node-1.internal".to_owned()],
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let data_dir = DataDir::open(dir.path()).expect("free");
        let store = Arc::new(NodeStore::open(&data_dir.node()).expect("made"));
        let hash = data_dir.admin_token(None).expect("made");
        let parts = Arc::new(FakeParts {
            ticking: Notify::new(),
            release: Notify::new(),
            refuse_start: Mutex::default(),
            store: Arc::clone(&store),
        });
        let clock: SharedClock = Arc::new(SystemClock);
        let engine_config = EngineConfig { poll_interval: std::time::Duration::from_secs(60) };
        let engine = Engine::new(Arc::new(Shared(Arc::clone(&parts))), engine_config, clock.clone());
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let status = FakeStatus {
            engine: engine.clone(),
            store: Arc::clone(&store),
            clock: clock.clone(),
            reasons: Arc::clone(&reasons),
        };
        let metrics = PrometheusBuilder::new().build_recorder();
        let context = AdminContext {
            engine: engine.clone(),
            status: Arc::new(status),
            store: Arc::clone(&store),
            metrics: metrics.handle(),
            clock,
        };
        let server = serve(&config(), hash, context).await.expect("serves");
        let endpoint = EndpointFile::write(&data_dir, server.local_addr()).expect("written");
        let token = find_token(dir.path()).expect("there");
        Self { parts, engine, store, server, token, reasons, dir, metrics, data_dir, _endpoint: endpoint }
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

    pub(crate) async fn get(&self, path: &str) -> Response {
        client().get(self.url(path)).send().await.expect("answers")
    }

    /// Ends everything in the order a process does, and shows that nothing is left.
    pub(crate) async fn end(self) {
        self.engine.close().await.expect("closes");
        self.server.stop().await;
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
