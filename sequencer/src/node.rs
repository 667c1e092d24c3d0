//! A node: its stores, its parts, and the engine that starts and stops them.
//!
//! What is opened here outlives every run: stores, the L1 head monitor and the follower that keeps the L2 chain at what
//! L1 says, the prover, the servers. A stopped node still tells the truth. Only closing its engine releases them.

mod explain;
mod funds;
mod hot;
mod keys;
mod news;
mod open;
mod parts;
mod protection;
mod proving;
mod reason;
mod sending;
mod status;
mod workshop;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fermata_execution::RevmExecution;
use fermata_primitives::{L1FollowingClock, SharedClock, crash_point};
use fermata_validator_signer::KeyRing;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use funds::typical_cost;
pub use keys::genesis_hash;
pub(crate) use keys::{funder as funder_key, publishers as publisher_keys, validators as validator_keys};
pub use open::{NodeError, Surroundings};
pub(crate) use open::{l1_client, locate};
pub(crate) use reason::of_signer as reason_of_signer;
pub(crate) use status::L1_HEADS_MISSED;
pub use status::NodeStatusSource;

use crate::config::{NodeConfig, Settings};
use crate::data_dir::{DataDir, DataDirError, EndpointFile, Scope, SocketFile, TokenHashes};
use crate::engine::Engine;
use crate::events::SequencerEvent;
use crate::l1::HeadReceiver;
use crate::listening::Listening;
use crate::node_store::NodeStore;
use crate::prover::Prover;
use crate::pruning::{Pruner, Pruning};
use crate::side_duties::SideDuties;
use crate::timetable::Timetable;
use crate::workshop::Workshop;

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
    settings: Arc<Settings>,
    clock: SharedClock,
    l1_clock: Option<Arc<L1FollowingClock>>,
    workshop: Arc<Workshop>,
    keys: Arc<KeyRing>,
    execution: Arc<RevmExecution>,
    store: Arc<NodeStore>,
    head: HeadReceiver,
    prover: Option<Arc<Prover>>,
    background: Background,
    pruner: Arc<Pruner>,
    /// What the run under way does beside its slots.
    in_run: Mutex<Option<InRun>>,
    held: Mutex<Option<Held>>,
}

/// What a run does beside its slots: it hears the other nodes, and prunes the signing store. Begun and ended with the run.
#[derive(Debug)]
struct InRun {
    listening: Listening,
    pruning: Pruning,
}

/// The data directory, and what tells others where this node answers. Given up last.
#[derive(Debug)]
struct Held {
    data_dir: DataDir,
    endpoint: Option<EndpointFile>,
    socket: Option<SocketFile>,
}

/// The tasks that outlive every run: the head monitor, the follower, who looks at what lands and at what is said in the name
/// of the node's keys, and the prover where there is one.
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

impl Drop for Background {
    /// A node that is dropped without a close asks L1 nothing more.
    fn drop(&mut self) {
        self.ended.cancel();
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

    /// The configuration as it is now, and a way to set its hot keys.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.inner.settings
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

    /// The validators' keys, which can be read anew while it runs.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.inner.keys
    }

    /// What its slots owe L1 besides their checkpoints.
    #[must_use]
    pub fn side_duties(&self) -> &Arc<SideDuties> {
        &self.inner.workshop.side
    }

    /// The desired state and the verbs so far.
    #[must_use]
    pub fn store(&self) -> &Arc<NodeStore> {
        &self.inner.store
    }

    /// The L1 head, and a way to wait for the next.
    #[must_use]
    pub fn l1_head(&self) -> HeadReceiver {
        self.inner.head.clone()
    }

    /// The clock it lives by.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// The same clock, where it follows L1: whoever moves the time of L1 moves it in the same step.
    #[must_use]
    pub fn l1_clock(&self) -> Option<&Arc<L1FollowingClock>> {
        self.inner.l1_clock.as_ref()
    }

    /// The hashes of the admin tokens; at the first start the tokens are made, and their hashes go on record.
    ///
    /// # Errors
    /// The data directory or the node's store cannot be used.
    pub async fn admin_tokens(&self) -> Result<TokenHashes, NodeError> {
        let mut on_record = [None; Scope::ALL.len()];
        for (hash, scope) in on_record.iter_mut().zip(Scope::ALL) {
            *hash = self.inner.store.token_hash(scope).await?;
        }
        let token =
            |held: &mut Held| TokenHashes::try_each(|scope| held.data_dir.token(scope, on_record[scope as usize]));
        let hashes = self.with_data_dir(token)?;
        self.inner.store.record_token_hashes(hashes).await?;
        crash_point!("sequencer.after_token_hashes");
        Ok(hashes)
    }

    /// Opens the unix socket of the admin RPC, which stays in the data directory until the node is closed.
    ///
    /// # Errors
    /// The data directory cannot be used, or its path is longer than a socket's may be.
    pub fn admin_socket(&self) -> Result<UnixListener, NodeError> {
        self.with_data_dir(|held| {
            let (file, listener) = SocketFile::listen(&held.data_dir)?;
            held.socket = Some(file);
            crash_point!("data_dir.after_socket");
            Ok(listener)
        })
    }

    /// Leaves word in the data directory where the admin RPC listens, until the node is closed.
    ///
    /// # Errors
    /// The data directory cannot be written.
    pub fn announce(&self, admin: SocketAddr) -> Result<(), NodeError> {
        self.with_data_dir(|held| {
            held.endpoint = Some(EndpointFile::write(&held.data_dir, admin)?);
            tracing::info!(%admin, "serving the admin RPC");
            Ok(())
        })
    }

    fn with_data_dir<T>(&self, work: impl FnOnce(&mut Held) -> Result<T, DataDirError>) -> Result<T, NodeError> {
        let mut held = self.inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_mut().ok_or(NodeError::Closed)?;
        Ok(work(held)?)
    }

    /// Where the status comes from.
    #[must_use]
    pub fn status_source(&self) -> NodeStatusSource {
        NodeStatusSource::new(self.clone())
    }
}
