//! What was signed for a slot before: nothing else may be signed for it, so a proposer that comes back goes on with it.

use alloy::primitives::{Address, B256};
use fermata_execution::Block;
use fermata_primitives::Slot;
use fermata_rollup::CheckpointHeader;
use fermata_validator_signer::{Duty, DutyKind, ValidatorSigner};

use crate::checkpoint::{MAX_BLOCKS, difference};
use crate::error::Result;
use crate::network::{MessageError, ProposedBlock, ProposedCheckpoint, Signable};
use crate::refusal::Refusal;

/// Why what was signed for a slot before is not gone on with. The slot is lost: nothing else may be signed for it.
#[derive(Debug, thiserror::Error)]
pub enum NotResumed {
    /// The signing store has it in an encoding that this version does not know, or damaged.
    #[error("the {kind} that was signed for the slot before cannot be read")]
    Unreadable {
        /// What it is.
        kind: DutyKind,
        /// What is wrong with its bytes.
        #[source]
        source: MessageError,
    },
    /// It stands on record under another duty than its own.
    #[error("the {0} that was signed for the slot before is of another slot or place")]
    Misplaced(DutyKind),
    /// The checkpoint is not made of the blocks.
    #[error("the checkpoint that was signed for the slot before has other blocks than were signed")]
    OtherBlocks,
    /// L1 went on from another block, or the checkpoint before did not land.
    #[error("what was signed for the slot before is built on {signed}, and the head is {head}")]
    OtherParent {
        /// What its first block is built on.
        signed: B256,
        /// What the slot is built on now.
        head: B256,
    },
    /// A block does not pass where another proposer's would have to.
    #[error("a block that was signed for the slot before is not valid")]
    Invalid(#[source] Box<Refusal>),
    /// L1 asks for another checkpoint header now.
    #[error("the checkpoint that was signed for the slot before has another {0} than the contract would take now")]
    OtherCheckpoint(&'static str),
}

/// The blocks of a slot of ours that were signed before, and its checkpoint, if that was. There is a block at least.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pinned {
    blocks: Vec<Block>,
    checkpoint: Option<Box<ProposedCheckpoint>>,
}

impl Pinned {
    /// What `signer` has kept of what `proposer` signed for `slot`; `None` where that is nothing.
    ///
    /// # Errors
    /// The signing store cannot be read, or [`NotResumed`].
    pub(crate) async fn of_slot(signer: &ValidatorSigner, proposer: Address, slot: Slot) -> Result<Option<Self>> {
        let mut blocks = Vec::new();
        for index in 0..u16::try_from(MAX_BLOCKS).unwrap_or(u16::MAX) {
            let Some(block) = kept::<ProposedBlock>(signer, proposer, slot, DutyKind::BlockProposal { index }).await?
            else {
                break;
            };
            blocks.push(block.block);
        }
        let checkpoint = kept(signer, proposer, slot, DutyKind::CheckpointProposal).await?;
        Ok(Self::new(blocks, checkpoint)?)
    }

    fn new(blocks: Vec<Block>, checkpoint: Option<ProposedCheckpoint>) -> Result<Option<Self>, NotResumed> {
        if let Some(checkpoint) = &checkpoint {
            let named = checkpoint.earlier.iter().copied().chain([checkpoint.archive()]);
            if !named.eq(blocks.iter().map(Block::hash)) {
                return Err(NotResumed::OtherBlocks);
            }
        }
        Ok((!blocks.is_empty()).then_some(Self { blocks, checkpoint: checkpoint.map(Box::new) }))
    }

    /// Its blocks, in order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Whether the checkpoint was signed, so that no block can be added.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.checkpoint.is_some()
    }

    fn first(&self) -> &Block {
        self.blocks.first().expect("it is made with a block at least")
    }

    /// What it is built on.
    #[must_use]
    pub fn parent(&self) -> B256 {
        self.first().header().parent_hash
    }

    /// Who receives its fees: the blocks that follow, and the checkpoint, must have the same.
    #[must_use]
    pub fn coinbase(&self) -> Address {
        self.first().header().beneficiary
    }

    /// Checks the header that the checkpoint would have now against the one that was signed, if one was.
    ///
    /// # Errors
    /// [`NotResumed::OtherCheckpoint`] names the first field that differs.
    pub(crate) fn check_header(&self, header: &CheckpointHeader) -> Result<(), NotResumed> {
        let signed = self.checkpoint.as_ref().map(|checkpoint| &checkpoint.header);
        match signed.and_then(|signed| difference(signed, header)) {
            Some(field) => Err(NotResumed::OtherCheckpoint(field)),
            None => Ok(()),
        }
    }
}

/// What `signer` has kept of what `proposer` signed here for a duty of `kind`.
async fn kept<T: Signable>(
    signer: &ValidatorSigner,
    proposer: Address,
    slot: Slot,
    kind: DutyKind,
) -> Result<Option<T>> {
    let duty = Duty { validator: proposer, slot, kind };
    let Some(frame) = signer.own_payload(duty).await? else { return Ok(None) };
    let content = T::from_frame(&frame).map_err(|source| NotResumed::Unreadable { kind, source })?;
    if content.duty(proposer) == duty { Ok(Some(content)) } else { Err(NotResumed::Misplaced(kind).into()) }
}

#[cfg(test)]
mod tests;
