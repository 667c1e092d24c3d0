//! The border between nodes: what one tells the others, what it hears of them, and what it asks them for.
//!
//! A node sends [`Message`]s, each signed by whom it speaks for, and takes what it hears from [`Inbox`]es that it owns: a
//! dropped inbox is never called again, so a run that ended hears nothing. Nothing here judges a message beyond its
//! encoding; whether to believe it is the receiver's to decide.
//!
//! Behind the trait stands [`InProcessNetwork`], whose links have latency, loss and partitions as they are set. A wire
//! transport takes its place by carrying the same bytes: it hands what it hears to an [`Intake`].

mod alone;
mod error;
mod in_process;
mod inbox;
mod intake;
mod message;
mod requests;
mod traffic;

use std::fmt;
use std::sync::Arc;

use alloy::primitives::B256;
use fermata_execution::Block;
use fermata_primitives::UnixTime;
use futures::future::BoxFuture;

pub use alone::Alone;
pub use error::{MessageError, NetworkError, SignatureError};
pub use in_process::{Hub, InProcessNetwork, LinkSettings, Share};
pub use inbox::{Inbox, Incoming, Received};
pub use intake::Intake;
pub use message::{
    Attestation, BlockAnswer, BlockQuery, Framed, MAX_BLOCK_BYTES, MAX_HASHES, Message, MessageKind, ProposedBlock,
    ProposedCheckpoint, Signable, Signed, WireForm,
};
pub use requests::{BlockRequest, BlockRequests};
pub use traffic::{Dropped, Traffic, Volume};

/// Which node: a name that is unique in its network.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The node of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom a message is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// Every other node.
    Everyone,
    /// This one alone: the one a proposal came from, for an attestation of it.
    Node(NodeId),
}

/// How a message left.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Dispatch {
    /// Nodes it is on its way to. It may be lost on the way: nobody confirms it.
    pub on_the_way: usize,
    /// Nodes it was not sent to, because too much is on the way to them already.
    pub full: Vec<NodeId>,
}

/// A node's connection to the others.
///
/// Deadlines are moments of the node's clock, as those of a slot are. A clock that jumps past one ends the wait for it.
///
/// # Cancel safety
/// Every future may be dropped, which is how a wait is interrupted: a message is then sent as a whole or not at all, and
/// an answer that comes later is dropped.
pub trait Network: Send + Sync + fmt::Debug + 'static {
    /// Which node this is to the others.
    fn id(&self) -> &NodeId;

    /// The other nodes there are, in the order of their names.
    fn peers(&self) -> Vec<NodeId>;

    /// Sends `message`. What cannot arrive by `deadline` is dropped on the way: it would be of no use.
    ///
    /// # Errors
    /// [`NetworkError::Late`] where the deadline is past, [`NetworkError::NotConnected`] where there is no such node,
    /// [`NetworkError::Unsendable`] where the message is larger than one may be. Nothing was sent.
    fn send(
        &self,
        to: Recipient,
        message: Message,
        deadline: UnixTime,
    ) -> BoxFuture<'_, Result<Dispatch, NetworkError>>;

    /// Block proposals, from now on.
    fn block_proposals(&self) -> Inbox<Signed<ProposedBlock>>;

    /// Checkpoint proposals, from now on.
    fn checkpoint_proposals(&self) -> Inbox<Signed<ProposedCheckpoint>>;

    /// Attestations, from now on.
    fn attestations(&self) -> Inbox<Signed<Attestation>>;

    /// Asks a node for blocks by their hashes, at most [`MAX_HASHES`], until `deadline`. What comes back are blocks that
    /// were asked for, in any order; those the node has not, or that had no room in its answer, are left out. Their
    /// transactions are not checked: executing them does.
    ///
    /// # Errors
    /// Those of [`Network::send`]; [`NetworkError::NoAnswer`] at the deadline; [`NetworkError::BadAnswer`].
    fn request_blocks(
        &self,
        from: NodeId,
        hashes: Vec<B256>,
        deadline: UnixTime,
    ) -> BoxFuture<'_, Result<Vec<Block>, NetworkError>>;

    /// The other nodes' requests for blocks, from now on. One at a time serves them: the newest takes the place of the
    /// one before, which then ends.
    fn block_requests(&self) -> BlockRequests;

    /// What has gone in and out since the node joined, and what was dropped, by reason.
    fn traffic(&self) -> Traffic;
}
