//! What a checkpoint is, given its blocks and L1: the same for who proposes it and for who checks it.

use alloy::primitives::{Address, B256, keccak256};
use fermata_execution::Block;
use fermata_primitives::Slot;
use fermata_rollup::{
    BlobCommitments, CheckpointHeader, Committee, GasFees, MAX_BLOBS_PER_CHECKPOINT, PayloadBlock, PayloadEncoder,
    pack_blobs,
};

use crate::error::{Result, SequencerError, Source};
use crate::l1::{CheckpointInputs, RollupView};
use crate::refusal::Refusal;

/// Most blocks a checkpoint may have, whatever its proposer's timetable has room for.
pub(crate) const MAX_BLOCKS: usize = 64;

/// What a checkpoint is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) slot: Slot,
    pub(crate) base: B256,
    pub(crate) coinbase: Address,
    pub(crate) blocks: &'a [Block],
    pub(crate) blobs_hash: B256,
    pub(crate) l1: CheckpointInputs,
}

/// The header of the checkpoint that these parts make.
pub(crate) fn header(view: &RollupView, parts: &Parts<'_>) -> CheckpointHeader {
    let Parts { slot, base, coinbase, blocks, blobs_hash, l1 } = *parts;
    let hashes: Vec<u8> = blocks.iter().flat_map(|block| block.hash().0).collect();
    let gas_used = blocks.iter().map(|block| block.header().gas_used).sum();
    CheckpointHeader {
        last_archive: base,
        block_headers_hash: keccak256(hashes),
        blobs_hash,
        in_hash: l1.in_hash,
        out_hash: B256::ZERO,
        slot,
        timestamp: view.times().start_of(slot),
        coinbase,
        fee_recipient: coinbase.into_word(),
        gas_fees: GasFees { da: 0, l2: l1.mana_min_fee },
        total_mana_used: if view.constants().takes_transactions() { gas_used } else { 0 },
    }
}

/// The first field in which two headers differ.
pub(crate) fn difference(one: &CheckpointHeader, other: &CheckpointHeader) -> Option<&'static str> {
    let fields = [
        ("last archive", one.last_archive == other.last_archive),
        ("block headers hash", one.block_headers_hash == other.block_headers_hash),
        ("blobs hash", one.blobs_hash == other.blobs_hash),
        ("in hash", one.in_hash == other.in_hash),
        ("out hash", one.out_hash == other.out_hash),
        ("slot", one.slot == other.slot),
        ("timestamp", one.timestamp == other.timestamp),
        ("coinbase", one.coinbase == other.coinbase),
        ("fee recipient", one.fee_recipient == other.fee_recipient),
        ("gas fees", one.gas_fees == other.gas_fees),
        ("total mana used", one.total_mana_used == other.total_mana_used),
    ];
    fields.into_iter().find(|(_, same)| !same).map(|(field, _)| field)
}

/// What `PREVRANDAO` answers in the block at this place of the slot's checkpoint.
pub(crate) fn prev_randao(committee: &Committee, slot: Slot, index: usize) -> B256 {
    let place = [slot.0.to_be_bytes(), (index as u64).to_be_bytes()].concat();
    keccak256([committee.seed.to_be_bytes::<32>().as_slice(), &place].concat())
}

/// Checks what a block must say, given its slot and its place, beside what executing it shows.
///
/// # Errors
/// [`Refusal::WrongBlock`] names the field.
pub(crate) fn check_block(
    view: &RollupView,
    committee: &Committee,
    slot: Slot,
    (index, block): (usize, &Block),
) -> std::result::Result<(), Refusal> {
    let header = block.header();
    let fields = [
        ("timestamp", header.timestamp == view.times().start_of(slot).0),
        ("randomness", header.mix_hash == prev_randao(committee, slot, index)),
        ("gas limit", header.gas_limit <= view.constants().mana_limit || !view.constants().takes_transactions()),
        ("list of transactions", block.transactions().is_empty() || view.constants().takes_transactions()),
    ];
    match fields.into_iter().find(|(_, right)| !right) {
        Some((field, _)) => Err(Refusal::WrongBlock { block: block.hash(), field }),
        None => Ok(()),
    }
}

/// The block as blobs carry it.
pub(crate) fn payload_block(block: &Block) -> PayloadBlock {
    PayloadBlock { header: block.encoded_header().into(), transactions: block.transactions().to_vec() }
}

/// Hash of the blobs that these blocks make. It takes tens of milliseconds of a core a blob.
///
/// # Errors
/// They are more than blobs hold.
pub(crate) async fn blobs_hash(blocks: &[Block]) -> Result<B256> {
    let mut payload = PayloadEncoder::new(MAX_BLOBS_PER_CHECKPOINT)?;
    for block in blocks {
        payload.push(&payload_block(block))?;
    }
    let committed = tokio::task::spawn_blocking(move || -> Result<B256> {
        Ok(BlobCommitments::of_blobs(&pack_blobs(&payload.finish()?)?)?.hash())
    });
    committed.await.map_err(|error| SequencerError::Task { what: "blob commitments", source: Source::from(error) })?
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use fermata_primitives::{Epoch, L1Timestamp};

    use super::*;

    #[test]
    fn a_header_that_differs_is_refused_by_the_field_that_differs() {
        let header = CheckpointHeader::default();
        assert_eq!(difference(&header, &header.clone()), None);
        let others = [
            ("last archive", CheckpointHeader { last_archive: B256::repeat_byte(1), ..header }),
            ("block headers hash", CheckpointHeader { block_headers_hash: B256::repeat_byte(1), ..header }),
            ("blobs hash", CheckpointHeader { blobs_hash: B256::repeat_byte(1), ..header }),
            ("in hash", CheckpointHeader { in_hash: B256::repeat_byte(1), ..header }),
            ("out hash", CheckpointHeader { out_hash: B256::repeat_byte(1), ..header }),
            ("slot", CheckpointHeader { slot: Slot(1), ..header }),
            ("timestamp", CheckpointHeader { timestamp: L1Timestamp(1), ..header }),
            ("coinbase", CheckpointHeader { coinbase: Address::repeat_byte(1), ..header }),
            ("fee recipient", CheckpointHeader { fee_recipient: B256::repeat_byte(1), ..header }),
            ("gas fees", CheckpointHeader { gas_fees: GasFees { da: 1, l2: 0 }, ..header }),
            ("total mana used", CheckpointHeader { total_mana_used: 1, ..header }),
        ];
        for (field, other) in others {
            assert_eq!(difference(&header, &other), Some(field));
            assert_ne!(header.hash(), other.hash(), "{field}");
        }
    }

    #[test]
    fn each_place_of_each_slot_has_randomness_of_its_own() {
        let committee = Committee { epoch: Epoch(1), seed: U256::from(7), members: Vec::new() };
        let of = |slot, place| prev_randao(&committee, Slot(slot), place);
        assert_ne!(of(1, 0), of(1, 1));
        assert_ne!(of(1, 0), of(2, 0));
        assert_eq!(of(1, 0), of(1, 0));
    }
}
