//! Waits for what a node does, with a deadline in slots.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use fermata_primitives::Slot;
use fermata_sequencer::events::{PublishedCheckpoint, SequencerEvent};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

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
    ///
    /// # Panics
    /// Where so much happened since it was last asked that some of it is lost: nobody can say what that was.
    pub fn catch_up(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.seen.push_back(event),
                Err(TryRecvError::Lagged(lost)) => panic!("{lost} events were lost; {}", self.timeline()),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
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

    /// Fails the test where anything that has happened since it is watched is a failure, seen before or not.
    ///
    /// # Panics
    /// With the timeline, where there was a failure, or where events are lost that may have been some.
    pub fn assert_no_failures(&mut self) {
        self.catch_up();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use fermata_primitives::L1FollowingClock;

    use super::*;

    /// A watch on events that come one after the other, of which so many are kept.
    fn watched(kept: usize) -> (broadcast::Sender<SequencerEvent>, Watch) {
        let (sender, events) = broadcast::channel(kept);
        let patience = Patience { clock: Arc::new(L1FollowingClock::new()), slot: Duration::from_secs(3) };
        (sender, Watch { events, seen: VecDeque::new(), patience })
    }

    fn missed(slot: u64) -> SequencerEvent {
        SequencerEvent::SlotMissed { slot: Slot(slot), reason: "the test".to_owned() }
    }

    #[test]
    #[should_panic(expected = "what happened")]
    fn a_failure_that_nobody_has_waited_for_is_a_failure() {
        let (events, mut watch) = watched(4);
        events.send(missed(1)).expect("it is watched");
        watch.assert_no_failures();
    }

    #[test]
    #[should_panic(expected = "1 events were lost")]
    fn what_came_faster_than_it_was_taken_in_may_have_been_a_failure() {
        let (events, mut watch) = watched(4);
        for slot in 0..5 {
            events.send(missed(slot)).expect("it is watched");
        }
        watch.catch_up();
    }
}
