//! Waits for what a node does, with a deadline in slots.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use fermata_primitives::Slot;
use fermata_sequencer::events::{PublishedCheckpoint, SequencerEvent};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::NetNode;
use crate::pace::Patience;

/// What a node did, in order, since it is watched.
#[derive(Debug)]
pub struct Watch {
    events: broadcast::Receiver<SequencerEvent>,
    seen: VecDeque<SequencerEvent>,
    patience: Patience,
}

/// A wait that has no deadline of its own ends after this many slots without what it waits for.
const SLOTS: u32 = 40;

impl Watch {
    pub(crate) fn new(node: &NetNode, patience: Patience) -> Self {
        Self { events: node.node().events(), seen: VecDeque::new(), patience }
    }

    /// Waits for the checkpoint of that number to land.
    ///
    /// # Errors
    /// It did not within forty slots; the error tells what happened instead.
    pub async fn checkpoint(&mut self, number: u64) -> Result<PublishedCheckpoint> {
        self.until(&format!("checkpoint {number}"), |event| {
            let SequencerEvent::CheckpointPublished { landed, .. } = event else { return None };
            (landed.checkpoint.0 >= number).then(|| landed.as_ref().clone())
        })
        .await
    }

    /// Waits for an event that `wanted` takes.
    ///
    /// # Errors
    /// There was none within forty slots; the error tells what happened instead.
    pub async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&SequencerEvent) -> Option<T>) -> Result<T> {
        let patience = self.patience.clone();
        let waiting = async {
            loop {
                let event = match self.events.recv().await {
                    Ok(event) => event,
                    Err(RecvError::Lagged(lost)) => bail!("{lost} events were lost"),
                    Err(RecvError::Closed) => bail!("the node is gone"),
                };
                let found = wanted(&event);
                self.seen.push_back(event);
                if let Some(found) = found {
                    return Ok(found);
                }
            }
        };
        tokio::select! {
            biased;
            found = waiting => found,
            () = patience.of_slots(SLOTS) => bail!("no {what} within {SLOTS} slots; {}", self.timeline()),
        }
    }

    /// Takes in what has happened already, without waiting.
    pub fn catch_up(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push_back(event);
        }
    }

    /// What was seen so far.
    #[must_use]
    pub const fn seen(&self) -> &VecDeque<SequencerEvent> {
        &self.seen
    }

    /// The failures among what was seen so far.
    #[must_use]
    pub fn failures(&self) -> Vec<&SequencerEvent> {
        self.seen.iter().filter(|event| event.is_failure()).collect()
    }

    /// Fails the test where anything that was seen is a failure.
    ///
    /// # Panics
    /// With the timeline, where there was a failure.
    pub fn assert_no_failures(&self) {
        assert!(self.failures().is_empty(), "{}", self.timeline());
    }

    /// The failures among what was seen so far of slots from `first` on.
    #[must_use]
    pub fn failures_from(&self, first: Slot) -> Vec<&SequencerEvent> {
        self.failures().into_iter().filter(|event| event.slot().is_none_or(|slot| slot >= first)).collect()
    }

    fn timeline(&self) -> String {
        let lines: Vec<_> = self.seen.iter().map(|event| format!("  {event:?}")).collect();
        format!("what happened:\n{}", lines.join("\n"))
    }
}
