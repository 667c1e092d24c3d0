//! What can go wrong between nodes, by what the caller does next.

use std::time::Duration;

use alloy::primitives::{Address, B256};
use alloy::rlp;

use super::{MessageKind, NodeId};

/// Why something was not sent, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Let it be: it would be of no use.
    #[error("its deadline was {by:?} ago and it was not sent; begin earlier, or check the node's clock")]
    Late {
        /// How long the deadline is past.
        by: Duration,
    },
    /// Choose another node.
    #[error("node {0} is not connected; choose one of the peers")]
    NotConnected(NodeId),
    /// Ask another node.
    #[error("too much is on the way to node {0} already; ask another one")]
    Full(NodeId),
    /// Ask another node.
    #[error("node {0} did not answer by the deadline; ask another one")]
    NoAnswer(NodeId),
    /// Ask another node, and think of this one what you like.
    #[error("node {from} answered with what is no answer; ask another one")]
    BadAnswer {
        /// Who answered.
        from: NodeId,
        /// What is wrong with it.
        #[source]
        source: MessageError,
    },
    /// Send less at once.
    #[error("the message cannot be sent; send less at once")]
    Unsendable(#[source] MessageError),
    /// Choose another name.
    #[error("a node called {0} has joined already; choose another name, or drop that one first")]
    NameTaken(NodeId),
}

/// Why bytes are no message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// Drop it, and upgrade.
    #[error("the message has version {found}, this node knows {known}; upgrade the older of the two nodes")]
    UnknownVersion {
        /// Its version.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// Drop it.
    #[error("there is no message of kind {0}; check that the sender is a Fermata of the same version")]
    UnknownKind(u8),
    /// Drop it: it came by the wrong way.
    #[error("a message of kind {0} does not belong here; requests and answers go apart from what is broadcast")]
    OutOfPlace(MessageKind),
    /// Drop it, or send less at once.
    #[error("a {kind} of {bytes} bytes is too large; at most {limit} are allowed")]
    TooLarge {
        /// What it is.
        kind: MessageKind,
        /// Its size.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// Drop it.
    #[error("the message ends too early; check that the sender is a Fermata of the same version")]
    Truncated,
    /// Drop it.
    #[error("{0} bytes follow the message; check that the sender is a Fermata of the same version")]
    TrailingBytes(usize),
    /// Drop it.
    #[error("the message's content is not what its kind has; check that the sender is a Fermata of the same version")]
    Malformed(#[source] rlp::Error),
    /// Drop the answer.
    #[error("block {0} was not asked for; ask another node")]
    NotAskedFor(B256),
}

impl From<rlp::Error> for MessageError {
    fn from(error: rlp::Error) -> Self {
        if error == rlp::Error::InputTooShort { Self::Truncated } else { Self::Malformed(error) }
    }
}

/// Why a message's signature does not count. Drop the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// The signature is nobody's.
    #[error("the signature is nobody's; check the sender's keys")]
    Forged,
    /// Somebody else should have signed.
    #[error("{found} signed, {expected} should have; check that both nodes follow the same rollup")]
    NotTheProposer {
        /// Whose turn it is.
        expected: Address,
        /// Who signed.
        found: Address,
    },
    /// The signer has no seat.
    #[error("{0} signed and has no seat in the committee; check that both nodes follow the same rollup")]
    NotAMember(Address),
}
