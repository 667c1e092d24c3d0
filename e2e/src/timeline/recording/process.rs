//! Takes down what a node in a process of its own tells over its admin RPC.

use std::path::Path;
use std::pin::pin;

use anyhow::{Context as _, Result};
use fermata_primitives::CheckpointNumber;
use fermata_sequencer::data_dir::{find_endpoint, find_token};
use fermata_sequencer::feed::{News, Notice, Topic};
use fermata_sequencer::lifecycle::Lifecycle;
use fermata_sequencer::status::NodeStatus;
use futures::{Stream, StreamExt as _};
use jsonrpsee::core::client::SubscriptionClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{HeaderMap, WsClient, WsClientBuilder};
use serde_json::json;

use super::{Place, Recorder, Recording, happening};
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
    async fn notices<E>(&self, notices: impl Stream<Item = Result<Notice, E>>) {
        let mut notices = pin!(notices);
        let (mut told, mut lifecycle) = ([0; Topic::ALL.len()], None);
        while let Some(notice) = notices.next().await {
            // What cannot be read may be a failure.
            let Ok(notice) = notice else {
                self.add(Happening::Missed { count: 1 });
                continue;
            };
            let last = std::mem::replace(&mut told[notice.news.topic() as usize], notice.seq);
            let missed = notice.seq.saturating_sub(last + 1);
            if last > 0 && missed > 0 {
                self.add(Happening::Missed { count: missed });
            }
            if let News::State(state) = &notice.news {
                lifecycle = Some(state.lifecycle);
            }
            if let Some(what) = happening(notice.news) {
                self.add(what);
            }
        }
        // Nobody knows what became of one that was not closed.
        if lifecycle != Some(Lifecycle::Closed) {
            self.add(Happening::Missed { count: 1 });
        }
        self.add(Happening::Note("its process tells no more".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use fermata_anvil::L1Head;
    use fermata_primitives::L1Timestamp;
    use fermata_sequencer::status::ActualState;
    use futures::stream;

    use super::*;
    use crate::timeline::{Mark, Timeline};

    /// What is recorded of a process that tells this.
    async fn recorded(notices: Vec<Result<Notice, &str>>) -> Vec<Happening> {
        let timeline = Timeline::new(L1Head { number: 0, timestamp: L1Timestamp(0), hash: B256::ZERO });
        let place = Place { timeline: timeline.clone(), node: "a".to_owned() };
        place.notices(stream::iter(notices)).await;
        let record = timeline.read();
        record.since(Mark::default()).iter().map(|entry| entry.what.clone()).collect()
    }

    fn state<'a>(seq: u64, lifecycle: Lifecycle) -> Result<Notice, &'a str> {
        let news = News::State(ActualState { lifecycle, since_ms: 0, starting: false });
        Ok(Notice { seq, at_ms: 0, news })
    }

    #[tokio::test]
    async fn a_process_that_breaks_off_has_told_less_than_there_was_and_one_that_was_closed_has_not() {
        let is_failure = |what: &Happening| matches!(what, Happening::Missed { .. });
        let (running, closed) = (|| state(1, Lifecycle::Running), || state(2, Lifecycle::Closed));
        for (notices, missed) in [
            (vec![running(), closed()], 0),
            (vec![running()], 1),
            (vec![], 1),
            (vec![running(), Err("what is no notice"), closed()], 1),
            (vec![running(), state(4, Lifecycle::Stopped), Err("again"), state(6, Lifecycle::Closed)], 3),
        ] {
            let told = format!("{notices:?}");
            let recorded = recorded(notices).await;
            assert_eq!(recorded.iter().filter(|what| is_failure(what)).count(), missed, "{told}: {recorded:?}");
        }
    }
}
