//! Where a transport hands over what it has heard: bytes become messages, and find those who listen.

use std::sync::{Arc, Mutex, PoisonError};

use fermata_primitives::UnixTime;
use tokio::sync::mpsc;

use super::inbox::{Inbox, Outlet};
use super::requests::{BlockRequest, BlockRequests};
use super::traffic::{Dropped, Traffic, TrafficCounter};
use super::{Attestation, BlockAnswer, BlockQuery, Message, MessageError, NodeId, ProposedBlock, ProposedCheckpoint};
use super::{Signed, WireForm as _};

/// Proposals an inbox keeps for a receiver that is behind: those of several slots.
const KEPT_PROPOSALS: usize = 64;
/// Attestations an inbox keeps: those of a large committee, for several slots.
const KEPT_ATTESTATIONS: usize = 1_024;
/// Requests that wait for whoever serves them.
const KEPT_REQUESTS: usize = 32;

/// The receiving side of a node. Nothing in it waits: what finds no room is dropped, and counted.
#[derive(Debug)]
pub struct Intake {
    block_proposals: Outlet<Signed<ProposedBlock>>,
    checkpoint_proposals: Outlet<Signed<ProposedCheckpoint>>,
    attestations: Outlet<Signed<Attestation>>,
    requests: Mutex<Option<mpsc::Sender<BlockRequest>>>,
    traffic: Arc<TrafficCounter>,
}

impl Default for Intake {
    fn default() -> Self {
        let traffic = Arc::<TrafficCounter>::default();
        Self {
            block_proposals: Outlet::new(KEPT_PROPOSALS, Arc::clone(&traffic)),
            checkpoint_proposals: Outlet::new(KEPT_PROPOSALS, Arc::clone(&traffic)),
            attestations: Outlet::new(KEPT_ATTESTATIONS, Arc::clone(&traffic)),
            requests: Mutex::default(),
            traffic,
        }
    }
}

impl Intake {
    /// Hands what `from` sent to those who listen for it. Bytes that are no message are dropped and counted.
    pub fn accept(&self, from: NodeId, bytes: &[u8]) {
        self.traffic.received(bytes.len());
        match Message::decode(bytes) {
            Ok(Message::BlockProposal(proposal)) => self.block_proposals.put(from, *proposal),
            Ok(Message::CheckpointProposal(proposal)) => self.checkpoint_proposals.put(from, *proposal),
            Ok(Message::Attestation(attestation)) => self.attestations.put(from, *attestation),
            Err(error) => self.refuse(&from, &error),
        }
    }

    /// Hands a request to whoever serves them; its answer goes to `reply`, which must not wait.
    pub fn accept_request(
        &self,
        from: NodeId,
        bytes: &[u8],
        deadline: UnixTime,
        reply: impl FnOnce(BlockAnswer) + Send + 'static,
    ) {
        self.traffic.received(bytes.len());
        match BlockQuery::from_frame(bytes) {
            Ok(query) => self.serve(BlockRequest::new(from, query.into_hashes(), deadline, reply)),
            Err(error) => self.refuse(&from, &error),
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// The bytes are none; that is counted already.
    pub fn read_answer(&self, from: &NodeId, bytes: &[u8]) -> Result<BlockAnswer, MessageError> {
        self.traffic.received(bytes.len());
        BlockAnswer::from_frame(bytes).inspect_err(|error| self.refuse(from, error))
    }

    /// Block proposals, from now on.
    #[must_use]
    pub fn block_proposals(&self) -> Inbox<Signed<ProposedBlock>> {
        self.block_proposals.subscribe()
    }

    /// Checkpoint proposals, from now on.
    #[must_use]
    pub fn checkpoint_proposals(&self) -> Inbox<Signed<ProposedCheckpoint>> {
        self.checkpoint_proposals.subscribe()
    }

    /// Attestations, from now on.
    #[must_use]
    pub fn attestations(&self) -> Inbox<Signed<Attestation>> {
        self.attestations.subscribe()
    }

    /// Requests for blocks, from now on; they go nowhere else any more.
    #[must_use]
    pub fn block_requests(&self) -> BlockRequests {
        let (requests, served) = mpsc::channel(KEPT_REQUESTS);
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner) = Some(requests);
        BlockRequests(served)
    }

    /// What has gone in and out, and what was dropped.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.read()
    }

    /// Counts a message that was handed to a link.
    pub fn count_sent(&self, bytes: usize) {
        self.traffic.sent(bytes);
    }

    /// Counts a message that was dropped.
    pub fn count_dropped(&self, reason: Dropped) {
        self.traffic.dropped(reason, 1);
    }

    fn serve(&self, request: BlockRequest) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let served = requests.ok_or(Dropped::Unheard).and_then(|requests| {
            requests.try_send(request).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Dropped::Overflow,
                mpsc::error::TrySendError::Closed(_) => Dropped::Unheard,
            })
        });
        if let Err(reason) = served {
            self.count_dropped(reason);
        }
    }

    fn refuse(&self, from: &NodeId, error: &MessageError) {
        self.count_dropped(Dropped::from(error));
        tracing::debug!(%from, %error, "dropped what is no message");
    }
}
