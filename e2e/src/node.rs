//! A node in this process, with its servers.

use anyhow::Result;
use fermata_sequencer::config::NodeConfig;
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::node::Node;
use fermata_sequencer::service::Service;
use fermata_sequencer::verbs::{DrainReport, StartRequest, StopRequest};

/// A node and its servers. Dropped, it is interrupted and closed in the background.
#[derive(Debug)]
pub struct NetNode {
    service: Service,
}

impl NetNode {
    pub(crate) async fn open(config: NodeConfig) -> Result<Self> {
        Ok(Self { service: Service::open(config, fermata_sequencer::metrics::recorder_of_this_process()).await? })
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        self.service.node()
    }

    /// URL of its L2 RPC.
    #[must_use]
    pub fn l2_url(&self) -> String {
        format!("http://{}", self.service.eth_addr())
    }

    /// Starts it.
    ///
    /// # Errors
    /// The start was refused or failed.
    pub async fn start(&self) -> Result<()> {
        self.node().engine().start(StartRequest::default()).await?;
        Ok(())
    }

    /// Stops it and says what the drain did; `None` where nothing ran.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn stop(&self, drain: Drain) -> Result<Option<DrainReport>> {
        Ok(self.node().engine().stop(StopRequest::of(drain)).await?.drain)
    }

    /// Closes it: its data directory is free when this returns.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn close(self) -> Result<()> {
        self.service.close().await;
        Ok(())
    }
}
