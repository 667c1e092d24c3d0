//! Sequencers as a warp sees them: in this process, or in one of their own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use fermata_anvil::L1Head;
use fermata_sequencer::lifecycle::{Drain, Lifecycle};
use fermata_sequencer::node::Node;
use fermata_sequencer::status::NodeStatus;
use fermata_sequencer::verbs::{DrainReport, StartAnswer, StartRequest, StopAnswer, StopRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::PATIENCE;
use crate::AdminDoor;

/// What a sequencer is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// It runs, or is about to.
    Running,
    /// It stands still, or is about to.
    AtRest,
}

/// A handle on a sequencer that a warp can stop and start. It keeps no node open.
pub type SharedSequencer = Arc<dyn Sequencer>;

/// A sequencer that a warp can stop and start.
pub trait Sequencer: fmt::Debug + Send + Sync {
    /// Its node's name in the net.
    fn name(&self) -> &str;

    /// What it is at.
    ///
    /// # Errors
    /// It cannot be stopped and started, or does not live by the clock of L1.
    fn activity(&self) -> BoxFuture<'_, Result<Activity>>;

    /// Stops it gracefully, and interrupts it after `within`. `None` where nothing ran.
    ///
    /// # Errors
    /// It is gone.
    fn drain(&self, within: Duration) -> BoxFuture<'_, Result<Option<DrainReport>>>;

    /// Starts it.
    ///
    /// # Errors
    /// The start was refused or failed.
    fn start(&self) -> BoxFuture<'_, Result<()>>;

    /// Resolves once its node has seen `head` and its clock is there.
    ///
    /// # Errors
    /// The node is gone, or its clock stays behind.
    fn follow(&self, head: L1Head) -> BoxFuture<'_, Result<()>>;
}

/// What a sequencer in this state is at, while no start is under way.
fn at(lifecycle: Lifecycle) -> Result<Activity> {
    match lifecycle {
        Lifecycle::Running => Ok(Activity::Running),
        Lifecycle::Idle | Lifecycle::Stopping { .. } | Lifecycle::Stopped => Ok(Activity::AtRest),
        Lifecycle::Closed => bail!("it is closed; open it anew"),
    }
}

/// The sequencer of a node in this process.
#[derive(Clone, Debug)]
pub(crate) struct InProcess {
    pub(crate) name: String,
    pub(crate) node: Node,
}

impl Sequencer for InProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn activity(&self) -> BoxFuture<'_, Result<Activity>> {
        async {
            ensure!(self.node.l1_clock().is_some(), "it lives by the machine's clock; open it with clock = l1");
            let status = self.node.engine().status().borrow().clone();
            if status.starting { Ok(Activity::Running) } else { at(status.lifecycle) }
        }
        .boxed()
    }

    fn drain(&self, within: Duration) -> BoxFuture<'_, Result<Option<DrainReport>>> {
        async move {
            let request = StopRequest::of(Drain::Graceful).within(within);
            Ok(self.node.engine().stop(request).await?.drain)
        }
        .boxed()
    }

    fn start(&self) -> BoxFuture<'_, Result<()>> {
        async {
            self.node.engine().start(StartRequest::default()).await?;
            Ok(())
        }
        .boxed()
    }

    fn follow(&self, head: L1Head) -> BoxFuture<'_, Result<()>> {
        async move {
            let now = self.node.clock().now();
            ensure!(now >= head.timestamp.into(), "its clock says {now}, and L1 {}", head.timestamp);
            Ok(())
        }
        .boxed()
    }
}

/// The sequencer of a node that is a process of its own.
#[derive(Clone, Debug)]
pub(crate) struct OwnProcess {
    pub(crate) name: String,
    pub(crate) admin: AdminDoor,
}

impl Sequencer for OwnProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn activity(&self) -> BoxFuture<'_, Result<Activity>> {
        async {
            let actual = self.admin.call::<NodeStatus>("admin_status", json!([])).await?.actual;
            if actual.starting { Ok(Activity::Running) } else { at(actual.lifecycle) }
        }
        .boxed()
    }

    fn drain(&self, within: Duration) -> BoxFuture<'_, Result<Option<DrainReport>>> {
        async move {
            let params = json!({ "mode": "graceful", "deadlineMs": within.as_millis() as u64, "by": "a warp" });
            let answer: StopAnswer = self.admin.call("admin_stop", json!([params])).await?;
            Ok(answer.drain)
        }
        .boxed()
    }

    fn start(&self) -> BoxFuture<'_, Result<()>> {
        async {
            let params = json!({ "by": "a warp" });
            let _: StartAnswer = self.admin.call("admin_start", json!([params])).await?;
            Ok(())
        }
        .boxed()
    }

    fn follow(&self, head: L1Head) -> BoxFuture<'_, Result<()>> {
        async move {
            let block = json!([{ "l1Block": head.number, "timeoutMs": PATIENCE.as_millis() as u64 }]);
            let status = self.admin.call::<NodeStatus>("admin_waitFor", block).await?;
            let now = Duration::from_millis(status.now_ms);
            ensure!(now.as_secs() >= head.timestamp.0, "its clock says {now:?}, and L1 {}", head.timestamp);
            Ok(())
        }
        .boxed()
    }
}
