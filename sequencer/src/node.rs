//! A node: its stores, its parts, and the engine that starts and stops them.
//!
//! What is opened here outlives every run: stores, the L1 head monitor and the follower that keeps the L2 chain at what
//! L1 says, the servers. A stopped node still tells the truth. Only [`Node::close`] releases them.

mod keys;
mod open;
mod parts;
mod reason;
mod status;

use std::sync::Arc;

use fermata_execution::RevmExecution;
use fermata_primitives::SharedClock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use open::NodeError;
pub use status::NodeStatusSource;

use crate::config::NodeConfig;
use crate::data_dir::DataDir;
use crate::engine::Engine;
use crate::events::SequencerEvent;
use crate::l1::HeadReceiver;
use crate::node_store::NodeStore;
use crate::slot::Workshop;
use crate::timetable::Timetable;

/// A node that is open. Its engine starts and stops it; closing the engine releases everything.
#[derive(Clone, Debug)]
pub struct Node {
    engine: Engine,
    inner: Arc<Inner>,
}

/// What outlives every run.
#[derive(Debug)]
struct Inner {
    config: NodeConfig,
    clock: SharedClock,
    workshop: Arc<Workshop>,
    execution: Arc<RevmExecution>,
    store: Arc<NodeStore>,
    head: HeadReceiver,
    background: Background,
    data_dir: std::sync::Mutex<Option<DataDir>>,
}

/// The tasks that outlive every run: the head monitor and the follower.
#[derive(Debug, Default)]
struct Background {
    tasks: TaskTracker,
    ended: CancellationToken,
}

impl Background {
    async fn end(&self) {
        self.ended.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Node {
    /// The verbs.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<SequencerEvent> {
        self.inner.workshop.events.subscribe()
    }

    /// The execution engine, for the L2 RPC.
    #[must_use]
    pub fn execution(&self) -> &Arc<RevmExecution> {
        &self.inner.execution
    }

    /// The configuration it was opened with.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// When what is due.
    #[must_use]
    pub fn timetable(&self) -> &Timetable {
        &self.inner.workshop.timetable
    }

    /// All that working on a slot needs.
    #[must_use]
    pub fn workshop(&self) -> &Arc<Workshop> {
        &self.inner.workshop
    }

    /// The desired state and the verbs so far.
    #[must_use]
    pub fn store(&self) -> &Arc<NodeStore> {
        &self.inner.store
    }

    /// The clock it lives by.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// Where the status comes from.
    #[must_use]
    pub fn status_source(&self) -> NodeStatusSource {
        NodeStatusSource::new(self.clone())
    }
}
