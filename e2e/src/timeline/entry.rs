//! One line of a timeline.

use std::fmt;
use std::time::Duration;

use fermata_anvil::L1Head;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::Lifecycle;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// L1 has a block more, or another head.
    L1Block(L1Head),
    /// A node's lifecycle is in another state.
    State(Lifecycle),
    /// A node's L2 head moved.
    Head {
        /// Number of the block that is the head now.
        number: u64,
        /// How many blocks have left the chain.
        dropped: usize,
    },
    /// A node told of it. A node that is a process of its own does not tell of single blocks.
    Event(Box<SequencerEvent>),
    /// The harness did something.
    Note(String),
    /// So much of what a node told came too fast to be recorded.
    Missed {
        /// How much.
        count: u64,
    },
}

/// Something that happened, when and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When, on the monotonic clock of this process.
    pub at: Duration,
    /// At which node; `None` is L1, or the harness.
    pub node: Option<String>,
    /// What.
    pub what: Happening,
}

impl Entry {
    /// The event that was told, where this is one.
    #[must_use]
    pub fn event(&self) -> Option<&SequencerEvent> {
        let Happening::Event(event) = &self.what else { return None };
        Some(event)
    }

    /// Whether a healthy net never sees it.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match &self.what {
            Happening::Event(event) => event.is_failure(),
            Happening::Missed { .. } => true,
            Happening::L1Block(_) | Happening::State(_) | Happening::Head { .. } | Happening::Note(_) => false,
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::L1Block(head) => write!(f, "L1 block {} at {}", head.number, head.timestamp),
            Self::State(lifecycle) => write!(f, "is {lifecycle:?}"),
            Self::Head { number, dropped: 0 } => write!(f, "head is block {number}"),
            Self::Head { number, dropped } => {
                write!(f, "head went to block {number}, without {dropped} that were there")
            }
            Self::Event(event) => write!(f, "{}: {event:?}", event.name()),
            Self::Note(note) => write!(f, "{note}"),
            Self::Missed { count } => write!(f, "{count} things it told were missed"),
        }
    }
}
