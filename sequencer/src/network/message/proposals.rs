//! What a proposer proposes: what a validator needs to execute it again.

use alloy::primitives::B256;
use alloy::rlp::{self, Decodable, Encodable};
use fermata_execution::Block;
use fermata_primitives::{CheckpointNumber, Slot};
use fermata_rollup::CheckpointHeader;
use fermata_validator_signer::{Domain, DutyKind};

use super::codec::{Framed, WireForm, read_list, write_list};
use super::signed::{Signable, proposal_digest};
use super::{Attestation, MessageKind};

/// A block of a slot, as its proposer tells it before the slot's checkpoint. Its parent stands in its header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposedBlock {
    /// The slot it is built for.
    pub slot: Slot,
    /// Its place in the slot's checkpoint, from 0.
    pub index: u16,
    /// The block.
    pub block: Block,
}

impl Framed for ProposedBlock {
    const KIND: MessageKind = MessageKind::BlockProposal;
}

impl WireForm for ProposedBlock {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.slot.0.encode(out);
            self.index.encode(out);
            self.block.write(out);
        });
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        read_list(bytes, |bytes| {
            let (slot, index) = (Slot(Decodable::decode(bytes)?), Decodable::decode(bytes)?);
            Ok(Self { slot, index, block: Block::read(bytes)? })
        })
    }
}

impl Signable for ProposedBlock {
    fn slot(&self) -> Slot {
        self.slot
    }

    fn duty_kind(&self) -> DutyKind {
        DutyKind::BlockProposal { index: self.index }
    }

    fn digest(&self, domain: &Domain) -> B256 {
        proposal_digest(self, domain)
    }
}

/// The checkpoint of a slot, as its proposer proposes it: its header, and the last of its blocks, which is not proposed
/// before. Its slot stands in its header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposedCheckpoint {
    /// Its number.
    pub number: CheckpointNumber,
    /// Its header.
    pub header: CheckpointHeader,
    /// Hashes of its blocks before the last, in order: who has missed one knows what to ask for.
    pub earlier: Vec<B256>,
    /// Its last block.
    pub last_block: Block,
}

impl ProposedCheckpoint {
    /// What the contract will store: the hash of the last block.
    #[must_use]
    pub const fn archive(&self) -> B256 {
        self.last_block.hash()
    }

    /// What a member that finds it valid attests.
    #[must_use]
    pub const fn attestation(&self) -> Attestation {
        Attestation { archive: self.archive(), header: self.header }
    }
}

impl Framed for ProposedCheckpoint {
    const KIND: MessageKind = MessageKind::CheckpointProposal;
}

impl WireForm for ProposedCheckpoint {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.number.0.encode(out);
            self.header.write(out);
            self.earlier.encode(out);
            self.last_block.write(out);
        });
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        read_list(bytes, |bytes| {
            Ok(Self {
                number: CheckpointNumber(Decodable::decode(bytes)?),
                header: CheckpointHeader::read(bytes)?,
                earlier: Decodable::decode(bytes)?,
                last_block: Block::read(bytes)?,
            })
        })
    }
}

impl Signable for ProposedCheckpoint {
    fn slot(&self) -> Slot {
        self.header.slot
    }

    fn duty_kind(&self) -> DutyKind {
        DutyKind::CheckpointProposal
    }

    fn digest(&self, domain: &Domain) -> B256 {
        proposal_digest(self, domain)
    }
}
