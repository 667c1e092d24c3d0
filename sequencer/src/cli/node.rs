//! `fermata node`: a node against an L1 that is there already.

use metrics_exporter_prometheus::PrometheusHandle;

use crate::catalogue::Reason;
use crate::config::NodeConfig;
use crate::service::{Service, ServiceError};
use crate::signals::Signals;

/// Why `fermata node` ended early.
#[derive(Debug, thiserror::Error)]
pub enum NodeCommandError {
    /// The node did not come up.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Signals cannot be listened for.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

impl NodeCommandError {
    /// The catalogue's row.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Service(error) => error.reason(),
            Self::Signals(_) => Reason::Internal,
        }
    }
}

/// Runs a node until an operator closes it or a signal ends the process.
///
/// # Errors
/// [`NodeCommandError`] where it did not come up; everything is released then.
pub(super) async fn run(config: NodeConfig, metrics: PrometheusHandle) -> Result<(), NodeCommandError> {
    let signals = Signals::listen().map_err(NodeCommandError::Signals)?;
    let service = Service::open(config, metrics).await?;
    if let Err(error) = service.start_as_desired().await {
        service.end(signals).await;
        return Err(error.into());
    }
    service.run(signals).await;
    Ok(())
}
