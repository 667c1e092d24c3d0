//! What the nodes do, slot by slot, with the moments at which they do it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fermata_e2e::NetNode;
use fermata_primitives::{Clock, Slot, SystemClock, UnixTime};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::phases::Phase;
use futures::stream::{BoxStream, SelectAll, StreamExt as _, select_all, unfold};

/// A slot; moments are on the monotonic clock.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct SlotRecord {
    /// The last block so far was sealed.
    pub(crate) sealed: Option<Duration>,
    /// The committee was asked.
    pub(crate) asked: Option<Duration>,
    /// A quorum had attested.
    pub(crate) quorum: Option<Duration>,
    /// The proposer knew that the checkpoint is on L1.
    pub(crate) landed: Option<Duration>,
}

/// The events of all nodes from its beginning on.
pub(crate) struct Record {
    events: SelectAll<BoxStream<'static, Result<SequencerEvent>>>,
    slots: BTreeMap<Slot, SlotRecord>,
}

impl Record {
    pub(crate) fn of(nodes: &[NetNode]) -> Self {
        let events = |node: &NetNode| {
            unfold(node.node().events(), |mut events| async {
                // The nodes outlive the record: what fails is that events were lost.
                Some((events.recv().await.map_err(Into::into), events))
            })
            .boxed()
        };
        Self { events: select_all(nodes.iter().map(events)), slots: BTreeMap::new() }
    }

    pub(crate) fn of_slot(&self, slot: Slot) -> SlotRecord {
        self.slots.get(&slot).copied().unwrap_or_default()
    }

    /// Records until `at`.
    ///
    /// # Errors
    /// Events were lost.
    pub(crate) async fn until(&mut self, at: UnixTime, clock: &dyn Clock) -> Result<()> {
        while self.takes_one(at, clock).await? {}
        Ok(())
    }

    /// Records until a checkpoint has landed, and at most until `at`. Says whether one has.
    ///
    /// # Errors
    /// Events were lost.
    pub(crate) async fn until_one_lands(&mut self, at: UnixTime, clock: &dyn Clock) -> Result<bool> {
        let has_landed = |slots: &BTreeMap<Slot, SlotRecord>| slots.values().any(|slot| slot.landed.is_some());
        while !has_landed(&self.slots) && self.takes_one(at, clock).await? {}
        Ok(has_landed(&self.slots))
    }

    /// False when there was none by `at`.
    async fn takes_one(&mut self, at: UnixTime, clock: &dyn Clock) -> Result<bool> {
        tokio::select! {
            biased;
            Some(event) = self.events.next() => {
                self.take(&event?);
                Ok(true)
            }
            () = clock.sleep_until(at) => Ok(false),
        }
    }

    fn take(&mut self, event: &SequencerEvent) {
        let now = SystemClock.monotonic();
        let Some(slot) = event.slot().map(|slot| self.slots.entry(slot).or_default()) else { return };
        if let SequencerEvent::BlockBuilt { .. } = event {
            slot.sealed = Some(now);
        } else if let SequencerEvent::PhaseEntered { phase: Phase::Collecting, .. } = event {
            slot.asked = Some(now);
        } else if let SequencerEvent::AttestationsCollected { quorum_ms, .. } = event {
            slot.quorum = slot.asked.map(|asked| asked + Duration::from_millis(*quorum_ms));
        } else if let SequencerEvent::CheckpointPublished { .. } = event {
            slot.landed = Some(now);
        }
    }
}
