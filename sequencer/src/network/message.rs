//! What nodes tell one another, as bytes.
//!
//! A frame is a version byte, a kind byte and the RLP of the content, which ends with the frame. Its size is checked before
//! anything of it is decoded.

mod attestation;
mod blocks;
mod codec;
mod proposals;
mod signed;
#[cfg(test)]
mod tests;

use std::fmt;

use alloy::primitives::Bytes;
use fermata_rollup::{MAX_BLOBS_PER_CHECKPOINT, capacity_of};

use super::MessageError;

pub use attestation::Attestation;
pub use blocks::{BlockAnswer, BlockQuery, MAX_HASHES};
pub use codec::{Framed, WireForm};
pub use proposals::{ProposedBlock, ProposedCheckpoint};
pub use signed::{Signable, Signed};

/// The version of all encodings.
const VERSION: u8 = 1;

/// Bytes of a block's RLP, at most: what a checkpoint's blobs hold, and its header.
pub const MAX_BLOCK_BYTES: usize = capacity_of(MAX_BLOBS_PER_CHECKPOINT) + 1_024;
/// Room for what stands beside a block in a proposal.
const PROPOSAL_OVERHEAD_BYTES: usize = 1_024;
/// Bytes of an attestation; it takes less than half of them.
const MAX_ATTESTATION_BYTES: usize = 1_024;
/// Bytes of a query: version, kind, the list's header, and the hashes with a byte each.
const MAX_QUERY_BYTES: usize = 2 + 3 + MAX_HASHES * 33;
/// Bytes of an answer: a few of the largest blocks, many ordinary ones.
const MAX_ANSWER_BYTES: usize = 4 * MAX_BLOCK_BYTES;

/// The kinds of frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MessageKind {
    /// A proposer's block.
    BlockProposal,
    /// A proposer's checkpoint.
    CheckpointProposal,
    /// A member's word for a checkpoint.
    Attestation,
    /// A request for blocks.
    BlockQuery,
    /// The answer to one.
    BlockAnswer,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::BlockProposal, Self::CheckpointProposal, Self::Attestation, Self::BlockQuery, Self::BlockAnswer];

    /// Bytes of a frame of this kind, at most.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::BlockProposal | Self::CheckpointProposal => MAX_BLOCK_BYTES + PROPOSAL_OVERHEAD_BYTES,
            Self::Attestation => MAX_ATTESTATION_BYTES,
            Self::BlockQuery => MAX_QUERY_BYTES,
            Self::BlockAnswer => MAX_ANSWER_BYTES,
        }
    }

    /// Number of the kind on the wire; never reused for another.
    const fn code(self) -> u8 {
        match self {
            Self::BlockProposal => 1,
            Self::CheckpointProposal => 2,
            Self::Attestation => 3,
            Self::BlockQuery => 4,
            Self::BlockAnswer => 5,
        }
    }

    fn from_code(code: u8) -> Result<Self, MessageError> {
        let known = Self::ALL.into_iter().find(|kind| kind.code() == code);
        known.ok_or(MessageError::UnknownKind(code))
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlockProposal => "block proposal",
            Self::CheckpointProposal => "checkpoint proposal",
            Self::Attestation => "attestation",
            Self::BlockQuery => "block query",
            Self::BlockAnswer => "block answer",
        })
    }
}

/// What a node tells others unasked. Its signature has not been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A proposer's block.
    BlockProposal(Box<Signed<ProposedBlock>>),
    /// A proposer's checkpoint, with its last block.
    CheckpointProposal(Box<Signed<ProposedCheckpoint>>),
    /// A member's word for a checkpoint.
    Attestation(Box<Signed<Attestation>>),
}

impl Message {
    /// The message as a frame.
    ///
    /// # Errors
    /// [`MessageError::TooLarge`] where it is larger than its kind may be.
    pub fn encode(&self) -> Result<Bytes, MessageError> {
        match self {
            Self::BlockProposal(proposal) => proposal.to_frame(),
            Self::CheckpointProposal(proposal) => proposal.to_frame(),
            Self::Attestation(attestation) => attestation.to_frame(),
        }
    }

    /// Reads what [`Message::encode`] wrote, whatever the bytes are.
    ///
    /// # Errors
    /// Each way in which bytes are no message has its own; [`MessageError::OutOfPlace`] for requests and answers.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let (kind, content) = open(bytes)?;
        match kind {
            MessageKind::BlockProposal => Ok(Signed::<ProposedBlock>::from_content(content)?.into()),
            MessageKind::CheckpointProposal => Ok(Signed::<ProposedCheckpoint>::from_content(content)?.into()),
            MessageKind::Attestation => Ok(Signed::<Attestation>::from_content(content)?.into()),
            MessageKind::BlockQuery | MessageKind::BlockAnswer => Err(MessageError::OutOfPlace(kind)),
        }
    }
}

impl From<Signed<ProposedBlock>> for Message {
    fn from(proposal: Signed<ProposedBlock>) -> Self {
        Self::BlockProposal(Box::new(proposal))
    }
}

impl From<Signed<ProposedCheckpoint>> for Message {
    fn from(proposal: Signed<ProposedCheckpoint>) -> Self {
        Self::CheckpointProposal(Box::new(proposal))
    }
}

impl From<Signed<Attestation>> for Message {
    fn from(attestation: Signed<Attestation>) -> Self {
        Self::Attestation(Box::new(attestation))
    }
}

/// Takes version and kind off a frame, and refuses one that is too large for its kind.
fn open(bytes: &[u8]) -> Result<(MessageKind, &[u8]), MessageError> {
    let (&version, rest) = bytes.split_first().ok_or(MessageError::Truncated)?;
    if version != VERSION {
        return Err(MessageError::UnknownVersion { found: version, known: VERSION });
    }
    let (&code, content) = rest.split_first().ok_or(MessageError::Truncated)?;
    let kind = MessageKind::from_code(code)?;
    check_size(kind, bytes.len())?;
    Ok((kind, content))
}

const fn check_size(kind: MessageKind, bytes: usize) -> Result<(), MessageError> {
    let limit = kind.max_bytes();
    if bytes > limit { Err(MessageError::TooLarge { kind, bytes, limit }) } else { Ok(()) }
}
