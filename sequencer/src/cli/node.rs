//! `fermata node`: a node against an L1 that is there already.

use metrics_exporter_prometheus::PrometheusHandle;

use super::protection::scan_of_this_program;
use crate::catalogue::Reason;
use crate::config::NodeConfig;
use crate::node::Surroundings;
use crate::service::{Begun, Service, ServiceError};
use crate::signals::Signals;
use crate::verbs::DrainOutcome;

/// Why `fermata node` ended early.
#[derive(Debug, thiserror::Error)]
pub enum NodeCommandError {
    /// The node did not come up.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Signals cannot be listened for.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// A signal ended the process, and work of this node's own was cut.
    #[error("what this node had in flight was cut by {}; the next start reconciles it", match outcome {
        DrainOutcome::Deadline => "sequencer.stop_deadline_ms",
        DrainOutcome::Interrupted | DrainOutcome::Drained => "a second signal",
    })]
    Cut {
        /// By what.
        outcome: DrainOutcome,
    },
}

impl NodeCommandError {
    /// The catalogue's row.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Service(error) => error.reason(),
            Self::Signals(_) => Reason::Internal,
            Self::Cut { .. } => Reason::DrainDeadline,
        }
    }
}

/// Runs a node until an operator closes it or a signal ends the process.
///
/// # Errors
/// [`NodeCommandError`] where it did not come up, or a signal cut what it had in flight; everything is released then.
pub(super) async fn run(config: NodeConfig, metrics: PrometheusHandle) -> Result<(), NodeCommandError> {
    let mut signals = Signals::listen().map_err(NodeCommandError::Signals)?;
    let surroundings = Surroundings { scan: scan_of_this_program(), ..Surroundings::default() };
    let service = Service::open_in(config, surroundings, metrics).await?;
    let drained = match service.start_as_desired(&mut signals).await {
        Ok(Begun::Serving) => service.run(signals).await,
        Ok(Begun::Ending) => service.end(signals).await,
        Err(error) => {
            service.end(signals).await;
            return Err(error.into());
        }
    };
    match drained {
        Some(report) if report.outcome != DrainOutcome::Drained && report.own_work_was_cut() => {
            Err(NodeCommandError::Cut { outcome: report.outcome })
        }
        Some(_) | None => Ok(()),
    }
}
