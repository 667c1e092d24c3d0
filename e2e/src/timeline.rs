//! What happened in a net, in one order: L1's blocks, and what each node told of itself.
//!
//! Whoever waits in a test waits for this to grow; where the wait fails, it is what is written to a file.

mod entry;
mod recording;
mod report;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fermata_anvil::L1Head;
use fermata_primitives::{CheckpointNumber, Clock as _, SystemClock};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::Lifecycle;
use tokio::sync::watch;

pub use self::entry::{Entry, Happening};
pub(crate) use self::recording::{Recorder, Recording};
pub(crate) use self::report::L1Transactions;

/// A moment of a timeline: what comes after it can be told from what came before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Mark(usize);

/// What a node was at when it last told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeView {
    /// Its lifecycle.
    pub lifecycle: Lifecycle,
    /// The newest checkpoint it has seen on L1.
    pub checkpoint: CheckpointNumber,
    /// Number of its L2 head.
    pub block: u64,
}

/// All that was recorded.
#[derive(Debug)]
pub(crate) struct Record {
    entries: Vec<Entry>,
    nodes: BTreeMap<String, NodeView>,
    l1: L1Head,
}

/// The record of a net; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    record: Arc<Mutex<Record>>,
    grown: watch::Sender<Mark>,
}

impl Timeline {
    /// A timeline that begins with L1 at `l1`.
    pub(crate) fn new(l1: L1Head) -> Self {
        let record = Record { entries: Vec::new(), nodes: BTreeMap::new(), l1 };
        Self { record: Arc::new(Mutex::new(record)), grown: watch::Sender::new(Mark(0)) }
    }

    /// Says what happened at `node`, or on L1.
    pub(crate) fn add(&self, node: Option<&str>, what: Happening) {
        let mut record = self.read();
        record.take(Entry { at: SystemClock.monotonic(), node: node.map(str::to_owned), what });
        let end = record.end();
        drop(record);
        self.grown.send_replace(end);
    }

    /// A node is there, in this state.
    pub(crate) fn join(&self, node: &str, view: NodeView) {
        self.read().nodes.insert(node.to_owned(), view);
        self.grown.send_modify(|_| ());
    }

    /// A node is there no more.
    pub(crate) fn leave(&self, node: &str) {
        self.read().nodes.remove(node);
        self.grown.send_modify(|_| ());
    }

    /// All that was recorded so far. Nothing can be added while this is held.
    pub(crate) fn read(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever something is added.
    pub(crate) fn grown(&self) -> watch::Receiver<Mark> {
        self.grown.subscribe()
    }
}

impl Record {
    fn take(&mut self, entry: Entry) {
        if let Happening::L1Block(head) = entry.what {
            self.l1 = head;
        }
        if let Some(view) = entry.node.as_ref().and_then(|node| self.nodes.get_mut(node)) {
            view.take(&entry.what);
        }
        self.entries.push(entry);
    }

    /// The moment after all that was recorded so far.
    pub(crate) const fn end(&self) -> Mark {
        Mark(self.entries.len())
    }

    /// What happened from `mark` on.
    pub(crate) fn since(&self, mark: Mark) -> &[Entry] {
        self.entries.get(mark.0..).unwrap_or_default()
    }

    /// The nodes that are open.
    pub(crate) const fn nodes(&self) -> &BTreeMap<String, NodeView> {
        &self.nodes
    }

    /// The L1 head.
    pub(crate) const fn l1(&self) -> L1Head {
        self.l1
    }
}

impl NodeView {
    fn take(&mut self, what: &Happening) {
        match what {
            Happening::State(lifecycle) => self.lifecycle = *lifecycle,
            Happening::Head { number, .. } => self.block = *number,
            Happening::Event(event) => {
                if let SequencerEvent::L1TipMoved { checkpoint, .. } = &**event {
                    self.checkpoint = *checkpoint;
                }
            }
            Happening::L1Block(_) | Happening::Note(_) | Happening::Missed { .. } => {}
        }
    }
}
