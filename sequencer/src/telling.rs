//! Telling the others what we propose, until they answer.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fermata_primitives::{Backoff, Slot};

use crate::network::{Attestation, Inbox, Message, NodeId, ProposedCheckpoint, Recipient, Signed};
use crate::workshop::Workshop;

/// A proposal is told again after the first of these, and then more and more slowly, down to the second.
const FIRST: Duration = Duration::from_millis(150);
const SLOWEST: Duration = Duration::from_secs(1);

/// A proposal that was told, and where the answers come in.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) telling: Arc<Telling>,
    pub(crate) heard: Inbox<Signed<Attestation>>,
}

impl Told {
    /// Tells every other node. Answers are heard from before it on.
    pub(crate) async fn to_all(workshop: &Workshop, slot: Slot, proposal: Signed<ProposedCheckpoint>) -> Self {
        let heard = workshop.peers.network.attestations();
        let telling = Arc::new(Telling { slot, proposal: proposal.into(), answered: Mutex::default() });
        telling.tell(workshop, Recipient::Everyone).await;
        Self { telling, heard }
    }
}

/// A proposal, and the nodes that have answered.
#[derive(Debug)]
pub(crate) struct Telling {
    slot: Slot,
    proposal: Message,
    answered: Mutex<BTreeSet<NodeId>>,
}

impl Telling {
    /// This node has heard it.
    pub(crate) fn answered(&self, node: &NodeId) {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(node.clone());
    }

    /// Tells those that have not answered again, more and more slowly, for as long as it is awaited: what is sent may be lost.
    pub(crate) async fn go_on(&self, workshop: &Workshop) -> Infallible {
        let mut backoff = Backoff::new(FIRST, SLOWEST);
        loop {
            workshop.clock.sleep(backoff.wait()).await;
            for node in self.unanswered(workshop) {
                self.tell(workshop, Recipient::Node(node)).await;
            }
        }
    }

    async fn tell(&self, workshop: &Workshop, to: Recipient) {
        let deadline = workshop.timetable.attestation_deadline(self.slot);
        workshop.peers.send(to, self.proposal.clone(), deadline).await;
    }

    fn unanswered(&self, workshop: &Workshop) -> Vec<NodeId> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        workshop.peers.network.peers().into_iter().filter(|peer| !answered.contains(peer)).collect()
    }
}
