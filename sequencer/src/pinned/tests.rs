use alloy::consensus::Header;
use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, UnixTime};

use super::*;
use crate::network::{Signed, WireForm as _};
use crate::own_keys::tests::{Bench, DOMAIN};

const SLOT: Slot = Slot(7);
const FAR: UnixTime = UnixTime::from_millis(u64::MAX / 2);

/// Blocks one on the other, the first on the block zero.
fn blocks(count: u64) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for number in 1..=count {
        let parent_hash = blocks.last().map_or(B256::ZERO, Block::hash);
        let beneficiary = Address::repeat_byte(5);
        blocks.push(Block::new(Header { number, parent_hash, beneficiary, ..Header::default() }, Vec::new()));
    }
    blocks
}

fn proposed(index: u16, block: &Block) -> ProposedBlock {
    ProposedBlock { slot: SLOT, index, block: block.clone() }
}

fn checkpoint_of(blocks: &[Block]) -> ProposedCheckpoint {
    let (last, earlier) = blocks.split_last().expect("a block at least");
    let header = CheckpointHeader { slot: SLOT, ..CheckpointHeader::default() };
    let earlier = earlier.iter().map(Block::hash).collect();
    ProposedCheckpoint { number: CheckpointNumber(3), header, earlier, last_block: last.clone() }
}

async fn sign<T: Signable>(bench: &Bench, content: T) {
    let signed = Signed::sign(content, bench.key.address(), FAR, &bench.signer, &DOMAIN).await;
    drop(signed.expect("its duty is new"));
}

#[test]
fn a_checkpoint_belongs_to_the_blocks_that_were_signed_and_to_no_others() {
    let all = blocks(3);
    let rows = [
        (0, None, Ok(None)),
        (2, None, Ok(Some(false))),
        (2, Some(&all[..2]), Ok(Some(true))),
        (1, Some(&all[..1]), Ok(Some(true))),
        (0, Some(&all[..1]), Err(())),
        (2, Some(&all[..1]), Err(())),
        (2, Some(&all[..3]), Err(())),
        (2, Some(&all[1..3]), Err(())),
    ];
    for (signed, checkpoint, expected) in rows {
        let found = Pinned::new(all[..signed].to_vec(), checkpoint.map(checkpoint_of));
        let found = found.map(|pinned| pinned.map(|pinned| pinned.is_complete()));
        assert_eq!(found.map_err(|_| ()), expected, "{signed} blocks, a checkpoint of {checkpoint:?}");
    }
}

#[tokio::test]
async fn what_was_signed_for_a_slot_is_found_again_and_of_another_slot_or_key_nothing() {
    let bench = Bench::new();
    bench.signer.start().expect("it starts");
    let (ours, all) = (bench.key.address(), blocks(2));
    let read = async |proposer, slot| Pinned::of_slot(&bench.signer, proposer, slot).await.expect("it is readable");
    assert_eq!(read(ours, SLOT).await, None);
    sign(&bench, proposed(0, &all[0])).await;
    sign(&bench, proposed(1, &all[1])).await;
    let without = read(ours, SLOT).await.expect("blocks were signed");
    assert_eq!((without.blocks(), without.is_complete()), (&all[..], false));
    assert_eq!((without.parent(), without.coinbase()), (B256::ZERO, Address::repeat_byte(5)));
    sign(&bench, checkpoint_of(&all)).await;
    bench.signer.stop().await;
    let whole = read(ours, SLOT).await.expect("a checkpoint was signed");
    assert_eq!((whole.blocks(), whole.is_complete()), (&all[..], true));
    assert_eq!(read(ours, SLOT.next()).await, None);
    assert_eq!(read(bench.stranger.address(), SLOT).await, None);
    bench.signer.close().await;
    let closed = Pinned::of_slot(&bench.signer, ours, SLOT).await;
    assert!(matches!(closed, Err(crate::error::SequencerError::Signer(_))), "{closed:?}");
}

#[tokio::test]
async fn what_cannot_be_read_or_stands_under_another_duty_is_told_as_that() {
    let block = &blocks(1)[0];
    let frame = proposed(0, block).to_frame().expect("it is small");
    let newer = [&[frame[0] + 1], &frame[1..]].concat();
    let elsewhere = proposed(1, block).to_frame().expect("it is small");
    let checkpoint = checkpoint_of(&blocks(1)).to_frame().expect("it is small");
    for kept in [&newer[..], &frame[..9], &checkpoint, &[]] {
        let found = read_back(kept).await;
        assert!(matches!(found, Err(NotResumed::Unreadable { .. })), "{found:?}");
    }
    let found = read_back(&elsewhere).await;
    assert!(matches!(found, Err(NotResumed::Misplaced(DutyKind::BlockProposal { index: 0 }))), "{found:?}");
    assert!(read_back(&frame).await.is_ok_and(|found| found.is_some()));
}

/// What is made of these bytes, where they are kept beside the duty of the slot's first block.
async fn read_back(kept: &[u8]) -> Result<Option<Pinned>, NotResumed> {
    let bench = Bench::new();
    bench.signer.start().expect("it starts");
    let duty = proposed(0, &blocks(1)[0]).duty(bench.key.address());
    bench.signer.sign_with_payload_by(duty, B256::repeat_byte(1), kept, FAR).await.expect("its duty is new");
    let found = Pinned::of_slot(&bench.signer, duty.validator, SLOT).await;
    bench.signer.close().await;
    match found {
        Ok(found) => Ok(found),
        Err(crate::error::SequencerError::NotResumed(reason)) => Err(reason),
        Err(other) => panic!("the store is open: {other}"),
    }
}

#[test]
fn a_header_that_the_contract_would_not_take_now_is_not_proposed_again() {
    let all = blocks(1);
    let header = checkpoint_of(&all).header;
    let of = |checkpoint| Pinned::new(all.clone(), checkpoint).expect("they fit").expect("there is a block");
    let other = CheckpointHeader { in_hash: B256::repeat_byte(1), ..header };
    of(None).check_header(&other).expect("none was signed");
    let signed = of(Some(checkpoint_of(&all)));
    signed.check_header(&header).expect("it is the same");
    assert!(matches!(signed.check_header(&other), Err(NotResumed::OtherCheckpoint("in hash"))));
}
