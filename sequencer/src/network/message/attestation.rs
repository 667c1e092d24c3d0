//! A member's word for a checkpoint.

use alloy::primitives::{B256, I256};
use alloy::rlp::{self, Decodable, Encodable};
use fermata_primitives::Slot;
use fermata_rollup::{CheckpointHeader, payload_digest};
use fermata_validator_signer::{Domain, DutyKind};

use super::MessageKind;
use super::codec::{Framed, WireForm, read_list, write_list};
use super::signed::Signable;

/// What a committee member attests. It carries the whole header, so that its slot is signed too and two of one member for one
/// slot are evidence by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attestation {
    /// Hash of the checkpoint's last block.
    pub archive: B256,
    /// The checkpoint's header.
    pub header: CheckpointHeader,
}

impl Framed for Attestation {
    const KIND: MessageKind = MessageKind::Attestation;
}

impl WireForm for Attestation {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.archive.encode(out);
            self.header.write(out);
        });
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        read_list(bytes, |bytes| {
            Ok(Self { archive: Decodable::decode(bytes)?, header: CheckpointHeader::read(bytes)? })
        })
    }
}

impl Signable for Attestation {
    fn slot(&self) -> Slot {
        self.header.slot
    }

    fn duty_kind(&self) -> DutyKind {
        DutyKind::Attestation
    }

    /// What the contract recovers members from. It begins with the contract's own domain for attestations; the rollup is not
    /// in it, but archive and header, which no other rollup has.
    fn digest(&self, _domain: &Domain) -> B256 {
        payload_digest(self.archive, I256::ZERO, self.header.hash())
    }
}
