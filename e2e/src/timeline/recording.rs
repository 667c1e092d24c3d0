//! Takes down what L1 and the nodes do, as they do it.

mod process;

use std::pin::pin;

use anyhow::Result;
use fermata_anvil::L1Head;
use fermata_primitives::CheckpointNumber;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::feed::{News, Told};
use fermata_sequencer::node::Node;
use fermata_sequencer::status::StatusSource as _;
use futures::StreamExt as _;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{Happening, NodeView, Timeline};

/// Takes down what happens. Dropped, it takes down no more.
#[derive(Debug)]
pub(crate) struct Recorder {
    timeline: Timeline,
    tasks: TaskTracker,
    ended: CancellationToken,
    _ends: DropGuard,
}

/// One node is being recorded. Dropped, it is a node of the net no more.
#[derive(Debug)]
pub(crate) struct Recording {
    timeline: Timeline,
    node: String,
    _ends: DropGuard,
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.timeline.leave(&self.node);
    }
}

impl Recorder {
    /// Records L1 from now on.
    pub(crate) fn begin(mut heads: watch::Receiver<L1Head>) -> Self {
        let timeline = Timeline::new(*heads.borrow_and_update());
        let (tasks, ended) = (TaskTracker::new(), CancellationToken::new());
        let l1 = timeline.clone();
        let following = async move {
            while heads.changed().await.is_ok() {
                let head = *heads.borrow_and_update();
                l1.add(None, Happening::L1Block(head));
            }
        };
        tasks.spawn(ended.clone().run_until_cancelled_owned(following));
        let ends = ended.clone().drop_guard();
        Self { timeline, tasks, ended, _ends: ends }
    }

    /// What was recorded.
    pub(crate) const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Records a node of this process from now on.
    ///
    /// # Errors
    /// Its L2 heads cannot be read.
    pub(crate) async fn record(&self, name: &str, node: &Node) -> Result<Recording> {
        let (news, events) = (node.status_source().news(), node.events());
        let lifecycle = node.engine().status().borrow().lifecycle;
        let checkpoint = node.workshop().chain.tip().borrow().map_or(CheckpointNumber(0), |tip| tip.number);
        let block = node.workshop().chain.heads().await?.unsafe_head.number;
        self.timeline.join(name, NodeView { lifecycle, checkpoint, block });
        let ended = self.ended.child_token();
        let at = Place { timeline: self.timeline.clone(), node: name.to_owned() };
        self.tasks.spawn(ended.clone().run_until_cancelled_owned(at.clone().events(events)));
        self.tasks.spawn(ended.clone().run_until_cancelled_owned(async move {
            let mut news = pin!(news);
            while let Some(told) = news.next().await {
                at.state_or_head(told);
            }
        }));
        Ok(Recording { timeline: self.timeline.clone(), node: name.to_owned(), _ends: ended.drop_guard() })
    }
}

/// Where what happens is written down.
#[derive(Clone)]
struct Place {
    timeline: Timeline,
    node: String,
}

impl Place {
    fn add(&self, what: Happening) {
        self.timeline.add(Some(&self.node), what);
    }

    async fn events(self, mut events: broadcast::Receiver<SequencerEvent>) {
        loop {
            match events.recv().await {
                Ok(event) => self.add(Happening::Event(Box::new(event))),
                Err(RecvError::Lagged(count)) => self.add(Happening::Missed { count }),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Events come by themselves, with single blocks.
    fn state_or_head(&self, told: Told) {
        match told {
            Told::News(News::Checkpoint(_)) => {}
            Told::News(news) => happening(news).into_iter().for_each(|what| self.add(what)),
            Told::Missed(_, count) => self.add(Happening::Missed { count }),
        }
    }
}

/// News as a line of the timeline. L1's blocks come from their maker.
fn happening(news: News) -> Option<Happening> {
    match news {
        News::State(state) => Some(Happening::State(state.lifecycle)),
        News::Block { number, dropped, .. } => Some(Happening::Head { number, dropped }),
        News::Checkpoint(event) => Some(Happening::Event(Box::new(event))),
        News::L1 { .. } => None,
    }
}
