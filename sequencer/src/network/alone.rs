//! The network of a node that has no others.

use alloy::primitives::B256;
use fermata_execution::Block;
use fermata_primitives::UnixTime;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{
    Attestation, BlockRequests, Dispatch, Inbox, Intake, Message, Network, NetworkError, NodeId, ProposedBlock,
    ProposedCheckpoint, Recipient, Signed, Traffic,
};

/// A network without other nodes: nothing is heard, and what is sent goes nowhere.
#[derive(Debug)]
pub struct Alone {
    id: NodeId,
    intake: Intake,
}

impl Alone {
    /// A node of this name, alone.
    #[must_use]
    pub fn new(id: NodeId) -> Self {
        Self { id, intake: Intake::default() }
    }
}

impl Network for Alone {
    fn id(&self) -> &NodeId {
        &self.id
    }

    fn peers(&self) -> Vec<NodeId> {
        Vec::new()
    }

    fn send(&self, to: Recipient, _: Message, _: UnixTime) -> BoxFuture<'_, Result<Dispatch, NetworkError>> {
        async move {
            match to {
                Recipient::Everyone => Ok(Dispatch::default()),
                Recipient::Node(node) => Err(NetworkError::NotConnected(node)),
            }
        }
        .boxed()
    }

    fn block_proposals(&self) -> Inbox<Signed<ProposedBlock>> {
        self.intake.block_proposals()
    }

    fn checkpoint_proposals(&self) -> Inbox<Signed<ProposedCheckpoint>> {
        self.intake.checkpoint_proposals()
    }

    fn attestations(&self) -> Inbox<Signed<Attestation>> {
        self.intake.attestations()
    }

    fn request_blocks(
        &self,
        from: NodeId,
        _: Vec<B256>,
        _: UnixTime,
    ) -> BoxFuture<'_, Result<Vec<Block>, NetworkError>> {
        async { Err(NetworkError::NotConnected(from)) }.boxed()
    }

    fn block_requests(&self) -> BlockRequests {
        self.intake.block_requests()
    }

    fn traffic(&self) -> Traffic {
        self.intake.traffic()
    }
}
