//! Takes down what a node in a process of its own tells over its admin RPC.

use std::path::Path;

use anyhow::{Context as _, Result};
use fermata_primitives::CheckpointNumber;
use fermata_sequencer::data_dir::{find_endpoint, find_token};
use fermata_sequencer::feed::{News, Notice, Topic};
use fermata_sequencer::status::NodeStatus;
use jsonrpsee::core::client::{Subscription, SubscriptionClientT as _};
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{HeaderMap, WsClient, WsClientBuilder};
use serde_json::json;

use super::{Place, Recorder, Recording};
use crate::AdminDoor;
use crate::timeline::{Happening, NodeView};

impl Recorder {
    /// Records a node in a process of its own from now on.
    ///
    /// # Errors
    /// Its admin RPC does not answer.
    pub(crate) async fn record_process(&self, name: &str, admin: &AdminDoor) -> Result<Recording> {
        let client = connect(admin.data_dir()).await?;
        let all = rpc_params![[Topic::State, Topic::Block, Topic::Checkpoint]];
        let notices = client.subscribe::<Notice, _>("admin_subscribe", all, "admin_unsubscribe").await?;
        let status: NodeStatus = admin.call("admin_status", json!([])).await?;
        let checkpoint = status.l1.and_then(|l1| l1.checkpoint).unwrap_or(CheckpointNumber(0));
        let view = NodeView { lifecycle: status.actual.lifecycle, checkpoint, block: status.head.unsafe_head.number };
        self.timeline.join(name, view);
        let ended = self.ended.child_token();
        let at = Place { timeline: self.timeline.clone(), node: name.to_owned() };
        let following = async move {
            at.notices(notices).await;
            // The connection ends with its client.
            drop(client);
        };
        self.tasks.spawn(ended.clone().run_until_cancelled_owned(following));
        Ok(Recording { timeline: self.timeline.clone(), node: name.to_owned(), _ends: ended.drop_guard() })
    }
}

async fn connect(data_dir: &Path) -> Result<WsClient> {
    let (endpoint, token) = (find_endpoint(data_dir)?, find_token(data_dir)?);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {}", token.expose()).parse()?);
    let url = endpoint.replacen("http", "ws", 1);
    let connected = WsClientBuilder::default().set_headers(headers).build(&url).await;
    connected.with_context(|| format!("no news from the node at {url}"))
}

impl Place {
    /// Until the process ends. What it told faster than it was read shows in the numbers.
    async fn notices(&self, mut notices: Subscription<Notice>) {
        let mut told = [0; Topic::ALL.len()];
        while let Some(Ok(notice)) = notices.next().await {
            let last = std::mem::replace(&mut told[notice.news.topic() as usize], notice.seq);
            let missed = notice.seq.saturating_sub(last + 1);
            if last > 0 && missed > 0 {
                self.add(Happening::Missed { count: missed });
            }
            match notice.news {
                News::State(state) => self.add(Happening::State(state.lifecycle)),
                News::Block { number, dropped, .. } => self.add(Happening::Head { number, dropped }),
                News::Checkpoint(event) => self.add(Happening::Event(Box::new(event))),
                News::L1 { .. } => {}
            }
        }
        self.add(Happening::Note("its process tells no more".to_owned()));
    }
}
