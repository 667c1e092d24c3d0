//! The listener: HTTP and WebSocket on one port, and a stop that leaves nothing running.

use std::net::SocketAddr;
use std::time::Duration;

use jsonrpsee::Methods;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{BatchRequestConfig, RpcModule, Server, ServerConfig, ServerHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account_api::AccountApiServer;
use super::batch::SubmitTogether;
use super::block_api::BlockApiServer;
use super::context::Context;
use super::fee_api::FeeApiServer;
use super::log_api::LogApiServer;
use super::net_api::NetApiServer;
use super::subscription_api::{HexIds, SubscriptionApiServer};
use super::transaction_api::TransactionApiServer;
use super::{RpcError, RpcLimits};
use crate::ChainReader;

/// How long a stop waits for clients.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// A running RPC server. Dropping it tells it to stop and waits for nothing; [`RpcServer::stop`] waits.
#[derive(Debug)]
pub struct RpcServer {
    local_addr: SocketAddr,
    handle: ServerHandle,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl RpcServer {
    /// Where it listens: the port that was picked, where 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no further connection or request, ends subscriptions, answers what is in progress, and returns when nothing
    /// of it runs any more. A client that does not finish its request is waited for 5 seconds. A second call joins the
    /// first.
    ///
    /// # Cancel safety
    /// Dropped, the server stops all the same; nobody waits for it.
    pub async fn stop(&self) {
        self.stop.cancel();
        // An error means that it has stopped already.
        let _ = self.handle.stop();
        self.tracker.close();
        let ended = async {
            self.handle.clone().stopped().await;
            self.tracker.wait().await;
        };
        if timeout(LONGEST_DRAIN, ended).await.is_err() {
            tracing::warn!(local_addr = %self.local_addr, "a client of the eth RPC did not finish; stopped without it");
        }
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves the chain that `reader` reads on `addr`, with port 0 on one that is free.
///
/// # Errors
/// [`RpcError::PortInUse`] and [`RpcError::Listen`]; nothing runs then.
pub async fn serve(addr: SocketAddr, reader: ChainReader, limits: RpcLimits) -> Result<RpcServer, RpcError> {
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let context = Context::new(reader, limits, tracker.clone(), stop.clone());
    let methods = methods(&context);
    let together = RpcServiceBuilder::new().layer_fn(move |inner| SubmitTogether::new(inner, context.clone()));
    let builder = Server::builder().set_config(config(&limits)).set_rpc_middleware(together);
    let server = builder.build(addr).await.map_err(|source| RpcError::listen(addr, source))?;
    let local_addr = server.local_addr().map_err(|source| RpcError::listen(addr, source))?;
    let handle = server.start(methods);
    tracing::info!(%local_addr, "serving the eth RPC");
    Ok(RpcServer { local_addr, handle, tracker, stop })
}

fn config(limits: &RpcLimits) -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(limits.max_request_bytes)
        .max_response_body_size(limits.max_response_bytes)
        .max_connections(limits.max_connections)
        .max_subscriptions_per_connection(limits.max_subscriptions)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.max_batch))
        .set_id_provider(HexIds::default())
        .build()
}

/// Every method there is.
fn methods(context: &Context) -> Methods {
    let parts: [RpcModule<Context>; 7] = [
        NetApiServer::into_rpc(context.clone()),
        BlockApiServer::into_rpc(context.clone()),
        AccountApiServer::into_rpc(context.clone()),
        TransactionApiServer::into_rpc(context.clone()),
        FeeApiServer::into_rpc(context.clone()),
        LogApiServer::into_rpc(context.clone()),
        SubscriptionApiServer::into_rpc(context.clone()),
    ];
    let mut methods = Methods::new();
    for part in parts {
        methods.merge(part).expect("no two parts have a method of the same name");
    }
    methods
}
