//! What the admin RPC works with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::SharedClock;
use fermata_validator_signer::KeyRing;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::Settings;
use crate::engine::Engine;
use crate::node_store::NodeStore;
use crate::status::StatusSource;

/// The node, as the admin RPC needs it.
#[derive(Clone)]
pub struct AdminContext {
    /// Carries out the verbs.
    pub engine: Engine,
    /// Tells the status.
    pub status: Arc<dyn StatusSource>,
    /// The configuration as it is now.
    pub settings: Arc<Settings>,
    /// The validators' keys.
    pub keys: Arc<KeyRing>,
    /// Keeps the journal of verbs.
    pub store: Arc<NodeStore>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// How long a slot is: no tick lasts longer than a few of them.
    pub slot: Duration,
    /// The node's clock.
    pub clock: SharedClock,
}

impl fmt::Debug for AdminContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminContext").field("engine", &self.engine).field("store", &self.store).finish_non_exhaustive()
    }
}
