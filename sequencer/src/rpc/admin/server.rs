//! The listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::SharedClock;
use jsonrpsee::Methods as RpcMethods;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{BatchRequestConfig, Server, ServerConfig, ServerHandle, stop_channel};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;

use super::accept::{Taking, accept};
use super::audit::Audit;
use super::caller::Door;
use super::context::AdminContext;
use super::gate::GateLayer;
use super::guard::{Guard, GuardLayer};
use super::methods::{Methods, registry};
use super::reading::Reading;
use super::refusals::Refusals;
use crate::catalogue::Reason;
use crate::config::AdminConfig;
use crate::data_dir::TokenHashes;
use crate::feed::Feed;

/// A verb and its parameters are short.
const MAX_REQUEST_BYTES: u32 = 64 * 1024;
/// The journal is the longest answer.
const MAX_RESPONSE_BYTES: u32 = 4 * 1024 * 1024;
/// Calls under way and WebSockets, at one door.
const MAX_CONNECTIONS: u32 = 128;
/// WebSockets, at one door. With those who wait, they leave places for calls.
const MAX_WEBSOCKETS: usize = 64;
/// Callers who wait for something to come, or for L1, at once.
const MAX_WAITS: usize = 32;
/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: u32 = 16;
/// Notices that wait for a subscriber who does not read.
const NOTICES_BUFFERED: u32 = 64;
/// Histograms are drained this often, so that they stay small where nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long a stop waits for a caller who does not read its answer.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Why the admin RPC cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Choose another port.
    #[error(
        "the admin RPC cannot listen on {addr}: the port is in use; stop the other process, or set admin.listen to another port (0 lets the system choose)"
    )]
    PortInUse {
        /// The address.
        addr: SocketAddr,
    },
    /// Choose another address.
    #[error("the admin RPC cannot listen on {addr}; set admin.listen to an address of this machine")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl AdminError {
    /// The catalogue's row.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::PortInUse { .. } => Reason::PortInUse,
            Self::Listen { .. } => Reason::ConfigInvalid,
        }
    }

    fn of(addr: SocketAddr, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            Self::PortInUse { addr }
        } else {
            Self::Listen { addr, source }
        }
    }
}

/// A running admin RPC. Dropped, it stops listening, and nobody waits for it.
#[derive(Debug)]
pub struct AdminServer {
    local_addr: SocketAddr,
    /// The listener, and the socket where there is one.
    handles: Vec<ServerHandle>,
    methods: Vec<&'static str>,
    tasks: TaskTracker,
    ended: CancellationToken,
    closed: CancellationToken,
    clock: SharedClock,
}

/// Where the admin RPC is reached, and by whom.
#[derive(Debug)]
pub struct Doors {
    /// The hashes of the tokens that open the listener.
    pub tokens: TokenHashes,
    /// The socket that needs none.
    pub socket: Option<UnixListener>,
}

/// Serves the admin RPC as `config` says.
///
/// # Errors
/// [`AdminError`]; nothing runs then.
///
/// # Cancel safety
/// Dropped: nothing runs.
pub async fn serve(config: &AdminConfig, doors: Doors, context: AdminContext) -> Result<AdminServer, AdminError> {
    let addr = config.listen;
    let Doors { tokens, socket } = doors;
    let (tasks, ended, closed) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let listener = TcpListener::bind(addr).await.map_err(|source| AdminError::of(addr, source))?;
    let local_addr = listener.local_addr().map_err(|source| AdminError::of(addr, source))?;
    let reading = Reading::of(Arc::clone(&context.status));
    let guard =
        Guard { tokens, config: config.clone(), context: context.clone(), reading, refusals: Refusals::default() };
    let guard = Arc::new(guard);
    let (clock, metrics, news) = (context.clock.clone(), context.metrics.clone(), context.status.news());
    let audit = Audit { store: Arc::clone(&context.store), clock: clock.clone() };
    let feed = Feed::new(clock.clone());
    let methods = Methods {
        context,
        audit,
        feed: feed.clone(),
        waits: Arc::new(Semaphore::new(MAX_WAITS)),
        tasks: tasks.clone(),
        ended: ended.clone(),
        closed: closed.clone(),
    };
    let (module, scopes) = registry(methods);
    let names = scopes.keys().copied().collect();
    let gate = RpcServiceBuilder::new().layer(GateLayer { scopes: Arc::new(scopes) });
    let methods: RpcMethods = module.into();
    let open = |door| {
        let websockets = Arc::new(Semaphore::new(MAX_WEBSOCKETS));
        let http = ServiceBuilder::new().layer(GuardLayer { guard: Arc::clone(&guard), door, websockets });
        let builder = Server::builder().set_config(limits()).set_http_middleware(http).set_rpc_middleware(gate.clone());
        let (stop, handle) = stop_channel();
        let (services, methods, heard) = (builder.to_service_builder(), methods.clone(), stop.clone());
        let service = move || services.clone().build(methods.clone(), heard.clone());
        (service, Taking { stop, tasks: tasks.clone(), clock: clock.clone() }, handle)
    };
    let (service, taking, handle) = open(Door::Tcp);
    tasks.spawn(accept(listener, service, taking));
    let mut handles = vec![handle];
    if let Some(listener) = socket {
        let (service, taking, handle) = open(Door::Unix);
        tasks.spawn(accept(listener, service, taking));
        handles.push(handle);
    }
    tasks.spawn(feed.follow(news, ended.clone()));
    tasks.spawn(upkeep(metrics, clock.clone(), ended.clone()));
    Ok(AdminServer { local_addr, handles, methods: names, tasks, ended, closed, clock })
}

fn limits() -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_CONNECTIONS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_message_buffer_capacity(NOTICES_BUFFERED)
        // The gate refuses them, in the catalogue's words.
        .set_batch_request_config(BatchRequestConfig::Unlimited)
        .build()
}

async fn upkeep(metrics: PrometheusHandle, clock: SharedClock, ended: CancellationToken) {
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            () = clock.sleep(UPKEEP_INTERVAL) => metrics.run_upkeep(),
        }
    }
}

impl AdminServer {
    /// Where it listens: the port that was picked, where 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The names of its methods.
    pub fn methods(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.methods.iter().copied()
    }

    /// Cancelled once an `admin_close` has closed the node: the process is to end.
    #[must_use]
    pub const fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    fn stop_listening(&self) {
        for handle in &self.handles {
            // An error means that it has stopped already.
            let _ = handle.stop();
        }
    }

    /// Takes no further connection, answers what is in progress, and waits for it, but no longer than two seconds of the
    /// node's clock. Close the engine first: then every verb has its answer.
    ///
    /// # Cancel safety
    /// Dropped, the server stops all the same.
    pub async fn stop(self) {
        self.ended.cancel();
        self.stop_listening();
        self.tasks.close();
        let stopped = async {
            for handle in &self.handles {
                handle.clone().stopped().await;
            }
            self.tasks.wait().await;
        };
        tokio::select! {
            () = stopped => {}
            () = self.clock.sleep(STOP_PATIENCE) => tracing::warn!("an admin caller did not take its answer"),
        }
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.ended.cancel();
        self.stop_listening();
    }
}
