//! A node as a process runs it: with its servers, until it is closed or told to end.

mod desire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fermata_execution::rpc::{RpcError, RpcServer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use self::desire::{Desire, PRECEDENCE};
use crate::catalogue::Reason;
use crate::config::NodeConfig;
use crate::lifecycle::{Drain, Refused};
use crate::node::{Node, NodeError, Surroundings};
use crate::poll_loop::chain as error_chain;
use crate::rpc::admin::{self, AdminContext, AdminError, AdminServer, Doors};
use crate::signals::Signals;
use crate::verbs::{DrainReport, StartAnswer, StartRequest, StopRequest, VerbError};

/// A node that is served. Dropped without [`Service::run`], it is interrupted and closed in the background.
#[derive(Debug)]
pub struct Service {
    node: Node,
    eth: RpcServer,
    admin: AdminServer,
}

/// Why a service did not come up, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The node did not open.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The L2 RPC cannot listen.
    #[error("the L2 RPC cannot listen; set rpc.listen to another address (port 0 lets the system choose)")]
    Eth(#[from] RpcError),
    /// The admin RPC cannot listen.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The first start failed.
    #[error(transparent)]
    Start(#[from] VerbError),
}

impl ServiceError {
    /// The catalogue's row.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Node(error) => error.reason(),
            Self::Eth(RpcError::PortInUse { .. }) => Reason::PortInUse,
            Self::Eth(_) => Reason::ConfigInvalid,
            Self::Admin(error) => error.reason(),
            Self::Start(VerbError::Start(error)) => error.reason,
            Self::Start(_) => Reason::StartFailed,
        }
    }
}

/// What becomes of a service once it has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begun {
    /// It serves, running or standing still: [`Service::run`] it.
    Serving,
    /// It was asked to end meanwhile: [`Service::end`] it.
    Ending,
}

impl Begun {
    /// After a start of which this became. An operator who stopped or closed the node meanwhile has the last word.
    fn after(started: Result<StartAnswer, VerbError>) -> Result<Self, ServiceError> {
        match started {
            Ok(_) | Err(VerbError::Interrupted | VerbError::Refused(Refused::Stopping)) => Ok(Self::Serving),
            Err(VerbError::Refused(Refused::Closed) | VerbError::Gone) => Ok(Self::Ending),
            Err(
                error @ (VerbError::Start(_)
                | VerbError::NotRecorded(_)
                | VerbError::Refused(Refused::NotDraining)
                | VerbError::Invalid { .. }
                | VerbError::CalledOff
                | VerbError::NotRunning),
            ) => Err(error.into()),
        }
    }
}

impl Service {
    /// Opens the node and its servers. Nothing is signed or sent yet.
    ///
    /// # Errors
    /// [`ServiceError`]; whatever had been opened is released again.
    pub async fn open(config: NodeConfig, metrics: PrometheusHandle) -> Result<Self, ServiceError> {
        Self::open_in(config, Surroundings::default(), metrics).await
    }

    /// Opens a node among others, and its servers.
    ///
    /// # Errors
    /// As [`Service::open`].
    pub async fn open_in(
        config: NodeConfig,
        surroundings: Surroundings,
        metrics: PrometheusHandle,
    ) -> Result<Self, ServiceError> {
        let node = Node::open_in(config, surroundings).await?;
        match serve(&node, metrics).await {
            Ok((eth, admin)) => Ok(Self { node, eth, admin }),
            Err(error) => {
                let _ = node.engine().close().await;
                Err(error)
            }
        }
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Where the L2 RPC listens.
    #[must_use]
    pub const fn eth_addr(&self) -> SocketAddr {
        self.eth.local_addr()
    }

    /// Where the admin RPC listens.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Cancelled once an operator has closed the node.
    #[must_use]
    pub const fn closed(&self) -> &CancellationToken {
        self.admin.closed()
    }

    /// Starts as the configuration and the desired state say. An operator's stop outlives the process. A start takes as long
    /// as it takes to sync: a signal or a close ends the wait, and an operator's stop leaves a node that stands still.
    ///
    /// # Errors
    /// The start failed: the service is to be ended with [`Service::end`].
    pub async fn start_as_desired(&self, signals: &mut Signals) -> Result<Begun, ServiceError> {
        let roles = self.node.config().roles;
        if !roles.has_a_start() {
            tracing::info!(%roles, "neither sequencer nor validator: there is nothing to start");
            return Ok(Begun::Serving);
        }
        let policy = self.node.config().sequencer.start;
        let wish = self.node.store().wish().await.map_err(NodeError::from)?;
        let Desire { running, why } = Desire::of(policy, wish.as_ref(), self.node.clock().now());
        tracing::info!(running, why, precedence = PRECEDENCE, "desired state");
        if !running {
            return Ok(Begun::Serving);
        }
        let started = tokio::select! {
            started = self.node.engine().start(StartRequest::default()) => started,
            () = self.admin.closed().cancelled() => return Ok(Begun::Ending),
            signal = signals.next() => {
                tracing::info!(signal, "stopping during the start");
                return Ok(Begun::Ending);
            }
        };
        Begun::after(started)
    }

    /// Runs until an operator closes the node or a signal ends the process. The first signal stops gracefully within
    /// `sequencer.stop_deadline_ms`, the second interrupts; either way everything is closed when this returns.
    pub async fn run(self, mut signals: Signals) -> Option<DrainReport> {
        tokio::select! {
            () = self.admin.closed().cancelled() => tracing::info!("closed by an operator"),
            signal = signals.next() => tracing::info!(signal, "stopping"),
        }
        self.end(signals).await
    }

    /// Interrupts what runs, and releases everything.
    pub async fn close(self) {
        let closed = self.node.engine().close().await;
        self.eth.stop().await;
        self.admin.stop().await;
        if let Ok(closed) = closed {
            tracing::info!(released = closed.closed.join(", "), "closed");
        }
    }

    /// Stops, closes and releases everything.
    pub async fn end(self, signals: Signals) -> Option<DrainReport> {
        Self::end_all(vec![self], signals).await.pop().flatten()
    }

    /// Stops, closes and releases everything of several services at once; a signal meanwhile interrupts all of them.
    pub async fn end_all(services: Vec<Self>, mut signals: Signals) -> Vec<Option<DrainReport>> {
        let now = CancellationToken::new();
        let ended = futures::future::join_all(services.into_iter().map(|service| service.end_or(now.clone())));
        futures::pin_mut!(ended);
        tokio::select! {
            ended = &mut ended => ended,
            _ = signals.next() => {
                tracing::warn!("interrupting");
                now.cancel();
                ended.await
            }
        }
    }

    /// Ends gracefully, and at once where `now` is cancelled.
    async fn end_or(self, now: CancellationToken) -> Option<DrainReport> {
        let engine = self.node.engine();
        let deadline = self.node.settings().config().sequencer.stop_deadline;
        let graceful = engine.stop(match deadline {
            Duration::ZERO => StopRequest::of(Drain::Interrupt),
            _ => StopRequest::of(Drain::Graceful).within(deadline),
        });
        let interrupted = async {
            now.cancelled().await;
            engine.stop(StopRequest::of(Drain::Interrupt)).await
        };
        let answer = tokio::select! {
            answer = graceful => answer,
            answer = interrupted => answer,
        };
        self.close().await;
        answer.ok().and_then(|answer| answer.drain)
    }
}

/// The socket is a convenience: where there can be none, the listener and its token are enough.
fn admin_socket(node: &Node) -> Option<UnixListener> {
    let socket = node.admin_socket();
    if let Err(error) = &socket {
        tracing::warn!(error = %error_chain(error), "there is no admin socket");
    }
    socket.ok()
}

async fn serve(node: &Node, metrics: PrometheusHandle) -> Result<(RpcServer, AdminServer), ServiceError> {
    let rpc = &node.config().rpc;
    let eth = fermata_execution::rpc::serve(rpc.listen, node.execution().reader().clone(), rpc.limits).await?;
    let context = AdminContext {
        engine: node.engine().clone(),
        status: Arc::new(node.status_source()),
        settings: Arc::clone(node.settings()),
        keys: Arc::clone(node.keys()),
        store: Arc::clone(node.store()),
        metrics,
        slot: node.timetable().times().slot(),
        clock: node.clock().clone(),
    };
    let doors = Doors { tokens: node.admin_tokens().await?, socket: admin_socket(node) };
    let admin = admin::serve(&node.config().admin, doors, context).await?;
    node.announce(admin.local_addr())?;
    Ok((eth, admin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Lifecycle;
    use crate::verbs::{Head, PartsError};

    #[test]
    fn an_operator_who_stops_or_closes_the_node_during_its_first_start_has_the_last_word() {
        let started = StartAnswer { changed: true, state: Lifecycle::Running, head: Head::default() };
        let table = [
            (Ok(started), Begun::Serving),
            (Err(VerbError::Interrupted), Begun::Serving),
            (Err(VerbError::Refused(Refused::Stopping)), Begun::Serving),
            (Err(VerbError::Refused(Refused::Closed)), Begun::Ending),
            (Err(VerbError::Gone), Begun::Ending),
        ];
        for (started, expected) in table {
            let told = format!("{started:?}");
            assert_eq!(Begun::after(started).expect(&told), expected, "{told}");
        }
    }

    #[test]
    fn a_first_start_that_fails_is_told_with_the_reason_of_its_part() {
        let unfunded = PartsError::new(Reason::Unfunded, "no publisher has ETH".to_owned());
        let failed = Begun::after(Err(VerbError::Start(unfunded))).expect_err("it failed");
        assert_eq!(failed.reason(), Reason::Unfunded);
    }
}
