//! What a subscriber is told, in order and numbered, so that a gap can be seen.

use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::B256;
use fermata_primitives::{SharedClock, Slot};
use futures::stream::{BoxStream, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::events::SequencerEvent;
use crate::status::ActualState;

/// What a subscription is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// The lifecycle.
    State,
    /// The L2 head.
    Block,
    /// Checkpoints: prepared, proposed, published, failed; and the newest on L1.
    Checkpoint,
    /// The L1 head.
    L1,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 4] = [Self::State, Self::Block, Self::Checkpoint, Self::L1];
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "topic", content = "what")]
pub enum News {
    /// The lifecycle is in another state.
    State(ActualState),
    /// The L2 head moved.
    Block {
        /// Number of the block that is the head now.
        number: u64,
        /// Its hash.
        hash: B256,
        /// How many blocks have left the chain.
        dropped: usize,
    },
    /// A checkpoint of ours went a step, or L1 has another newest one.
    Checkpoint(SequencerEvent),
    /// L1 has another head.
    L1 {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
        /// Its timestamp, in seconds.
        timestamp: u64,
        /// The L2 slot of that moment.
        slot: Slot,
    },
}

impl News {
    /// What it is about.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Self::State(_) => Topic::State,
            Self::Block { .. } => Topic::Block,
            Self::Checkpoint(_) => Topic::Checkpoint,
            Self::L1 { .. } => Topic::L1,
        }
    }
}

/// What a source of news gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// Something happened.
    News(News),
    /// So many things about that topic went by untold.
    Missed(Topic, u64),
}

/// A piece of news with its number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Counted from 1 within its topic, without gaps: a subscriber who sees one has missed something.
    pub seq: u64,
    /// When it was told, in milliseconds since the Unix epoch on the node's clock.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub news: News,
}

/// The news of one node. A listener who is slow loses the oldest, and sees it by the numbers.
#[derive(Clone, Debug)]
pub struct Feed {
    notices: broadcast::Sender<Arc<Notice>>,
    told: Arc<Mutex<[u64; Topic::ALL.len()]>>,
    clock: SharedClock,
}

/// Notices kept for a listener who is behind.
const KEPT: usize = 256;

impl Feed {
    /// A feed that has told nothing yet.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { notices: broadcast::Sender::new(KEPT), told: Arc::default(), clock }
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.notices.subscribe()
    }

    /// Tells everyone who listens.
    pub fn tell(&self, told: Told) {
        let mut counts = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told {
            Told::Missed(topic, missed) => counts[topic as usize] += missed,
            Told::News(news) => {
                let seq = &mut counts[news.topic() as usize];
                *seq += 1;
                let notice = Notice { seq: *seq, at_ms: self.clock.now().as_millis(), news };
                // Nobody listens: that is not an error.
                let _ = self.notices.send(Arc::new(notice));
            }
        }
    }

    /// Tells what `news` gives until `ended` is cancelled or there is no more.
    pub async fn follow(self, mut news: BoxStream<'static, Told>, ended: CancellationToken) {
        while let Some(Some(told)) = ended.run_until_cancelled(news.next()).await {
            self.tell(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use fermata_primitives::SystemClock;
    use tokio::sync::broadcast::error::RecvError;

    use super::*;

    fn l1(number: u64) -> Told {
        Told::News(News::L1 { number, hash: B256::ZERO, timestamp: number * 12, slot: Slot(0) })
    }

    fn block(number: u64) -> Told {
        Told::News(News::Block { number, hash: B256::ZERO, dropped: 0 })
    }

    #[tokio::test]
    async fn each_topic_is_numbered_without_gaps() {
        let feed = Feed::new(Arc::new(SystemClock));
        let mut listener = feed.listen();
        for told in [l1(1), block(1), l1(2), block(2), Told::Missed(Topic::L1, 3), l1(6)] {
            feed.tell(told);
        }
        let mut heard = Vec::new();
        while let Ok(notice) = listener.try_recv() {
            heard.push((notice.news.topic(), notice.seq));
        }
        use Topic::{Block, L1};
        assert_eq!(heard, [(L1, 1), (Block, 1), (L1, 2), (Block, 2), (L1, 6)]);
    }

    #[tokio::test]
    async fn a_slow_listener_loses_the_oldest_and_sees_it_by_the_number() {
        let feed = Feed::new(Arc::new(SystemClock));
        let mut listener = feed.listen();
        let told = KEPT as u64 + 10;
        (1..=told).for_each(|number| feed.tell(l1(number)));
        assert!(matches!(listener.recv().await, Err(RecvError::Lagged(10))));
        assert_eq!(listener.recv().await.expect("kept").seq, 11);
    }

    #[test]
    fn a_notice_reads_as_the_docs_say() {
        let notice = Notice { seq: 7, at_ms: 9, news: News::Block { number: 4, hash: B256::ZERO, dropped: 1 } };
        let told = serde_json::to_value(&notice).expect("plain data");
        assert_eq!((&told["seq"], &told["topic"], &told["what"]["number"]), (&7.into(), &"block".into(), &4.into()));
        assert_eq!(serde_json::from_value::<Notice>(told).expect("reads back"), notice);
    }
}
