//! What can be waited for.
//!
//! A *level* holds or does not: a checkpoint that is there already is found at once. A *happening* is looked for from the
//! moment the wait was made, or since a mark.

use std::collections::BTreeMap;
use std::fmt;

use fermata_anvil::L1Head;
use fermata_primitives::{CheckpointNumber, Slot, SlotTimes};
use fermata_sequencer::events::{SequencerEvent, StepBack};
use fermata_sequencer::lifecycle::Lifecycle;

use crate::timeline::{Entry, Mark, NodeView, Record};

/// What a condition looks at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub(super) record: &'a Record,
    pub(super) times: &'a SlotTimes,
    pub(super) since: Mark,
}

impl<'a> Seen<'a> {
    /// The nodes that are open, by name.
    #[must_use]
    pub const fn nodes(&self) -> &'a BTreeMap<String, NodeView> {
        self.record.nodes()
    }

    /// The L1 head.
    #[must_use]
    pub const fn l1(&self) -> L1Head {
        self.record.l1()
    }

    /// The slot that L1's head is in.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.times.slot_at(self.l1().timestamp)
    }

    /// What happened since the wait was made, or since the mark it was given.
    #[must_use]
    pub fn entries(&self) -> &'a [Entry] {
        self.record.since(self.since)
    }

    /// The least of what each node has, where they all have at least `wanted`.
    fn least<L: Ord>(&self, wanted: &L, of: impl Fn(&NodeView) -> L) -> Option<L> {
        self.nodes().values().map(of).min().filter(|least| least >= wanted)
    }
}

/// Something to wait for.
pub trait Condition: Send + Sync {
    /// What the wait gives.
    type Found: Send;

    /// In words, to go on after "no".
    fn what(&self) -> String;

    /// What is waited for, where it is there. Asked again whenever something has happened.
    fn find(&self, seen: &Seen<'_>) -> Option<Self::Found>;
}

/// Which nodes a condition is about.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) enum OnNodes {
    /// Each that is open; there must be one.
    #[default]
    All,
    /// Whichever is first.
    Any,
    /// That one.
    One(String),
}

impl fmt::Display for OnNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => write!(f, "on all nodes"),
            Self::Any => write!(f, "on any node"),
            Self::One(name) => write!(f, "on node {name}"),
        }
    }
}

/// Every node has seen that checkpoint, or a later one, on L1. Gives the newest that all have seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint(pub u64);

impl Condition for Checkpoint {
    type Found = CheckpointNumber;

    fn what(&self) -> String {
        format!("checkpoint {} {}", self.0, OnNodes::All)
    }

    fn find(&self, seen: &Seen<'_>) -> Option<CheckpointNumber> {
        seen.least(&CheckpointNumber(self.0), |node| node.checkpoint)
    }
}

/// Every node's L2 head has that number, or a higher one. Gives the lowest head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block(pub u64);

impl Condition for Block {
    type Found = u64;

    fn what(&self) -> String {
        format!("block {} {}", self.0, OnNodes::All)
    }

    fn find(&self, seen: &Seen<'_>) -> Option<u64> {
        seen.least(&self.0, |node| node.block)
    }
}

/// L1's head is in that slot, or in a later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotBegins(pub Slot);

impl Condition for SlotBegins {
    type Found = L1Head;

    fn what(&self) -> String {
        format!("L1 block in slot {}", self.0)
    }

    fn find(&self, seen: &Seen<'_>) -> Option<L1Head> {
        Some(seen.l1()).filter(|_| seen.slot() >= self.0)
    }
}

/// L1 has the block of that number, or a later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct L1Block(pub u64);

impl Condition for L1Block {
    type Found = L1Head;

    fn what(&self) -> String {
        format!("L1 block {}", self.0)
    }

    fn find(&self, seen: &Seen<'_>) -> Option<L1Head> {
        Some(seen.l1()).filter(|head| head.number >= self.0)
    }
}

/// Sequencers are in a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InState {
    lifecycle: Lifecycle,
    on: OnNodes,
}

impl InState {
    /// Those of all nodes.
    #[must_use]
    pub const fn all(lifecycle: Lifecycle) -> Self {
        Self { lifecycle, on: OnNodes::All }
    }

    /// The one of that node.
    #[must_use]
    pub fn at(node: &str, lifecycle: Lifecycle) -> Self {
        Self { lifecycle, on: OnNodes::One(node.to_owned()) }
    }
}

impl Condition for InState {
    type Found = ();

    fn what(&self) -> String {
        format!("lifecycle {:?} {}", self.lifecycle, self.on)
    }

    fn find(&self, seen: &Seen<'_>) -> Option<()> {
        let (nodes, is_there) = (seen.nodes(), |node: &NodeView| node.lifecycle == self.lifecycle);
        let holds = match &self.on {
            OnNodes::All => !nodes.is_empty() && nodes.values().all(is_there),
            OnNodes::Any => nodes.values().any(is_there),
            OnNodes::One(name) => nodes.get(name).is_some_and(is_there),
        };
        holds.then_some(())
    }
}

/// An event happens: on any node, on one, or on each that is open.
#[derive(Debug)]
pub struct Happens<F> {
    what: String,
    wanted: F,
    on: OnNodes,
}

impl<T, F: Fn(&SequencerEvent) -> Option<T>> Happens<F> {
    /// The first event on any node that `wanted` makes something of; `what` names it where it does not come.
    pub fn new(what: impl Into<String>, wanted: F) -> Self {
        Self { what: what.into(), wanted, on: OnNodes::Any }
    }

    /// On each node that is open; the wait gives what it is on the first of them, by name.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.on = OnNodes::All;
        self
    }

    /// On that node.
    #[must_use]
    pub fn at(mut self, node: &str) -> Self {
        self.on = OnNodes::One(node.to_owned());
        self
    }

    fn first(&self, seen: &Seen<'_>, is_there: impl Fn(&Entry) -> bool) -> Option<T> {
        seen.entries().iter().filter(|entry| is_there(entry)).filter_map(Entry::event).find_map(&self.wanted)
    }

    fn at_node(&self, seen: &Seen<'_>, node: &str) -> Option<T> {
        self.first(seen, |entry| entry.node.as_deref() == Some(node))
    }
}

impl<T: Send, F: Fn(&SequencerEvent) -> Option<T> + Send + Sync> Condition for Happens<F> {
    type Found = T;

    fn what(&self) -> String {
        format!("{} {}", self.what, self.on)
    }

    fn find(&self, seen: &Seen<'_>) -> Option<T> {
        match &self.on {
            OnNodes::Any => self.first(seen, |_| true),
            OnNodes::One(node) => self.at_node(seen, node),
            OnNodes::All => {
                let found: Option<Vec<T>> = seen.nodes().keys().map(|node| self.at_node(seen, node)).collect();
                found?.into_iter().next()
            }
        }
    }
}

/// Every node has seen that the contract dropped checkpoints which were not proven in time. Gives the checkpoint the chain
/// went back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pruned;

impl Condition for Pruned {
    type Found = CheckpointNumber;

    fn what(&self) -> String {
        format!("prune {}", OnNodes::All)
    }

    fn find(&self, seen: &Seen<'_>) -> Option<CheckpointNumber> {
        let pruned = |event: &SequencerEvent| {
            let SequencerEvent::L1WentBack { cause: StepBack::Pruned, to, .. } = event else { return None };
            Some(*to)
        };
        Happens::new("prune", pruned).everywhere().find(seen)
    }
}

#[cfg(test)]
mod tests;
