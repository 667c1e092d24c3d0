//! The listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::SharedClock;
use jsonrpsee::server::{BatchRequestConfig, Server, ServerConfig, ServerHandle};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;

use super::context::AdminContext;
use super::guard::{Guard, GuardLayer};
use super::methods::{Methods, module};
use crate::catalogue::Reason;
use crate::config::AdminConfig;
use crate::data_dir::TokenHash;

/// A verb and its parameters are short.
const MAX_REQUEST_BYTES: u32 = 64 * 1024;
/// The journal is the longest answer.
const MAX_RESPONSE_BYTES: u32 = 4 * 1024 * 1024;
const MAX_CONNECTIONS: u32 = 64;
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
    handle: ServerHandle,
    tasks: TaskTracker,
    ended: CancellationToken,
    closed: CancellationToken,
    clock: SharedClock,
}

/// Serves the admin RPC as `config` says, to those who show the token.
///
/// # Errors
/// [`AdminError`]; nothing runs then.
///
/// # Cancel safety
/// Dropped: nothing runs.
pub async fn serve(config: &AdminConfig, token: TokenHash, context: AdminContext) -> Result<AdminServer, AdminError> {
    let addr = config.listen;
    let (tasks, ended, closed) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let guard = Guard { token, config: config.clone(), context: context.clone() };
    let http = ServiceBuilder::new().layer(GuardLayer(Arc::new(guard)));
    let server = Server::builder().set_config(limits()).set_http_middleware(http).build(addr).await;
    let server = server.map_err(|source| AdminError::of(addr, source))?;
    let local_addr = server.local_addr().map_err(|source| AdminError::of(addr, source))?;

    let (clock, metrics) = (context.clock.clone(), context.metrics.clone());
    let handle = server.start(module(Methods { context, tasks: tasks.clone(), closed: closed.clone() }));
    tasks.spawn(upkeep(metrics, clock.clone(), ended.clone()));
    tracing::info!(%local_addr, "serving the admin RPC");
    Ok(AdminServer { local_addr, handle, tasks, ended, closed, clock })
}

fn limits() -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_CONNECTIONS)
        .set_batch_request_config(BatchRequestConfig::Disabled)
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

    /// Cancelled once an `admin_close` has closed the node: the process is to end.
    #[must_use]
    pub const fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Takes no further connection, answers what is in progress, and waits for it, but no longer than two seconds of the
    /// node's clock. Close the engine first: then every verb has its answer.
    ///
    /// # Cancel safety
    /// Dropped, the server stops all the same.
    pub async fn stop(self) {
        self.ended.cancel();
        // An error means that it has stopped already.
        let _ = self.handle.stop();
        self.tasks.close();
        let stopped = async {
            self.handle.clone().stopped().await;
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
        let _ = self.handle.stop();
    }
}
