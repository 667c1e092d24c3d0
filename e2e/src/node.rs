//! A node in this process, with its servers.

use std::sync::Arc;

use anyhow::Result;
use fermata_sequencer::config::NodeConfig;
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::node::{Node, Surroundings};
use fermata_sequencer::service::Service;
use fermata_sequencer::verbs::{DrainReport, StartRequest, StopRequest};

use crate::SharedSequencer;
use crate::timeline::{Recorder, Recording};
use crate::warp::InProcess;

/// A node and its servers. Dropped, it is interrupted and closed in the background.
#[derive(Debug)]
pub struct NetNode {
    name: String,
    service: Service,
    _recording: Recording,
}

impl NetNode {
    pub(crate) async fn open(
        name: &str,
        config: NodeConfig,
        surroundings: Surroundings,
        recorder: &Recorder,
    ) -> Result<Self> {
        let metrics = fermata_sequencer::metrics::recorder_of_this_process();
        let service = Service::open_in(config, surroundings, metrics).await?;
        let recording = recorder.record(name, service.node()).await?;
        Ok(Self { name: name.to_owned(), service, _recording: recording })
    }

    /// Its name in the net.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        self.service.node()
    }

    /// Its sequencer, for a warp.
    #[must_use]
    pub fn sequencer(&self) -> SharedSequencer {
        Arc::new(InProcess { name: self.name.clone(), node: self.node().clone() })
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
