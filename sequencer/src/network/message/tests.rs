//! What the bytes of a message may be.

use alloy::consensus::Header;
use alloy::primitives::{B256, Bytes};
use fermata_execution::Block;
use fermata_primitives::{CheckpointNumber, L1Timestamp, Slot};
use fermata_rollup::{CheckpointHeader, GasFees, L1Signature};
use proptest::prelude::*;

use super::*;

mod signatures;

/// A block header with the fields of the newest fork that ours have.
fn block_header(number: u64, words: [[u8; 32]; 4]) -> Header {
    Header {
        parent_hash: words[0].into(),
        state_root: words[1].into(),
        transactions_root: words[2].into(),
        receipts_root: words[3].into(),
        number,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    }
}

fn any_block() -> impl Strategy<Value = Block> {
    let transactions = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5);
    (any::<u64>(), any::<[[u8; 32]; 4]>(), transactions).prop_map(|(number, words, transactions)| {
        Block::new(block_header(number, words), transactions.into_iter().map(Bytes::from).collect())
    })
}

fn any_header() -> impl Strategy<Value = CheckpointHeader> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u128>(), any::<u128>());
    (any::<[[u8; 32]; 6]>(), any::<[u8; 20]>(), numbers).prop_map(
        |(words, coinbase, (slot, timestamp, mana, da, l2))| CheckpointHeader {
            last_archive: words[0].into(),
            block_headers_hash: words[1].into(),
            blobs_hash: words[2].into(),
            in_hash: words[3].into(),
            out_hash: words[4].into(),
            slot: Slot(slot),
            timestamp: L1Timestamp(timestamp),
            coinbase: coinbase.into(),
            fee_recipient: words[5].into(),
            gas_fees: GasFees { da, l2 },
            total_mana_used: mana,
        },
    )
}

/// Any 65 bytes: what came in is not said to be anybody's signature.
fn any_signature() -> impl Strategy<Value = L1Signature> {
    any::<(u8, [u8; 32], [u8; 32])>().prop_map(|(v, r, s)| L1Signature { v, r: r.into(), s: s.into() })
}

fn any_proposed_block() -> impl Strategy<Value = ProposedBlock> {
    (any::<u64>(), any::<u16>(), any_block()).prop_map(|(slot, index, block)| ProposedBlock {
        slot: Slot(slot),
        index,
        block,
    })
}

fn any_proposed_checkpoint() -> impl Strategy<Value = ProposedCheckpoint> {
    let earlier = proptest::collection::vec(any::<[u8; 32]>().prop_map(B256::from), 0..4);
    (any::<u64>(), any_header(), earlier, any_block()).prop_map(|(number, header, earlier, last_block)| {
        ProposedCheckpoint { number: CheckpointNumber(number), header, earlier, last_block }
    })
}

fn any_attestation() -> impl Strategy<Value = Attestation> {
    any_proposed_checkpoint().prop_map(|checkpoint| checkpoint.attestation())
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any_proposed_block(), any_signature()).prop_map(|(content, by)| Signed::new(content, by).into()),
        (any_proposed_checkpoint(), any_signature()).prop_map(|(content, by)| Signed::new(content, by).into()),
        (any_attestation(), any_signature()).prop_map(|(content, by)| Signed::new(content, by).into()),
    ]
}

fn proposed_block() -> ProposedBlock {
    let block = Block::new(block_header(9, [[3; 32]; 4]), vec![Bytes::from_static(&[1, 2, 3])]);
    ProposedBlock { slot: Slot(7), index: 2, block }
}

fn proposed_checkpoint() -> ProposedCheckpoint {
    let ProposedBlock { slot, block, .. } = proposed_block();
    let header = CheckpointHeader { slot, ..CheckpointHeader::default() };
    ProposedCheckpoint { number: CheckpointNumber(4), header, earlier: vec![B256::repeat_byte(8)], last_block: block }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_message_reads_back_as_it_was_written(message in any_message()) {
        let bytes = message.encode().expect("small");
        prop_assert_eq!(Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn a_message_cut_short_is_truncated_wherever_the_cut_is(message in any_message(), cut in any::<prop::sample::Index>()) {
        let bytes = message.encode().expect("small");
        prop_assert_eq!(Message::decode(&bytes[..cut.index(bytes.len())]), Err(MessageError::Truncated));
    }

    #[test]
    fn bytes_after_a_message_are_refused(message in any_message(), more in 1..100_usize) {
        let mut bytes = message.encode().expect("small").to_vec();
        bytes.resize(bytes.len() + more, 0);
        prop_assert_eq!(Message::decode(&bytes), Err(MessageError::TrailingBytes(more)));
    }

    #[test]
    fn another_version_is_refused_before_anything_else(found: u8, rest: Vec<u8>) {
        prop_assume!(found != VERSION);
        let bytes = [vec![found], rest].concat();
        prop_assert_eq!(Message::decode(&bytes), Err(MessageError::UnknownVersion { found, known: VERSION }));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(message in any_message(), at in any::<prop::sample::Index>(), xor in 1..=255_u8) {
        let mut bytes = message.encode().expect("small").to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= xor;
        if let Ok(other) = Message::decode(&bytes) {
            prop_assert_ne!(&other, &message);
            prop_assert_eq!(other.encode().expect("small").to_vec(), bytes);
        }
    }

    #[test]
    fn garbage_is_an_error_and_nothing_worse(code in 0..8_u8, content: Vec<u8>) {
        let bytes = [vec![VERSION, code], content].concat();
        prop_assert!(Message::decode(&bytes).is_err());
        let _ = BlockQuery::from_frame(&bytes);
        let _ = BlockAnswer::from_frame(&bytes);
    }

    #[test]
    fn queries_and_answers_read_back_and_stay_out_of_what_is_broadcast(
        hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..=MAX_HASHES), blocks in proptest::collection::vec(any_block(), 0..4),
    ) {
        let query = BlockQuery::new(hashes.into_iter().map(B256::from).collect());
        let frame = query.to_frame().expect("few enough");
        prop_assert_eq!(BlockQuery::from_frame(&frame), Ok(query));
        prop_assert_eq!(Message::decode(&frame), Err(MessageError::OutOfPlace(MessageKind::BlockQuery)));
        prop_assert_eq!(BlockAnswer::from_frame(&frame), Err(MessageError::OutOfPlace(MessageKind::BlockQuery)));
        let answer = BlockAnswer::fitting(blocks);
        let frame = answer.to_frame().expect("small");
        prop_assert_eq!(BlockAnswer::from_frame(&frame), Ok(answer));
        prop_assert_eq!(Message::decode(&frame), Err(MessageError::OutOfPlace(MessageKind::BlockAnswer)));
    }
}

#[test]
fn a_frame_too_large_for_its_kind_is_refused_by_its_size_alone() {
    for kind in MessageKind::ALL {
        let limit = kind.max_bytes();
        let mut garbage = vec![0xff; limit + 1];
        (garbage[0], garbage[1]) = (VERSION, kind.code());
        assert_eq!(open(&garbage), Err(MessageError::TooLarge { kind, bytes: limit + 1, limit }));
        assert!(open(&garbage[..limit]).is_ok());
    }
}

#[test]
fn the_largest_block_fits_into_a_proposal_and_a_larger_one_is_not_sent() {
    let largest = capacity_of(MAX_BLOBS_PER_CHECKPOINT);
    let with_payload = |bytes| {
        let block = Block::new(block_header(1, [[1; 32]; 4]), vec![Bytes::from(vec![7; bytes])]);
        let checkpoint = ProposedCheckpoint { last_block: block, ..proposed_checkpoint() };
        Message::from(Signed::new(checkpoint, L1Signature::EMPTY)).encode()
    };
    assert!(with_payload(largest).is_ok());
    let too_large = with_payload(largest + 2_048).expect_err("beyond the limit");
    assert!(matches!(too_large, MessageError::TooLarge { kind: MessageKind::CheckpointProposal, .. }), "{too_large}");
}

#[test]
fn a_query_of_too_many_hashes_is_not_sent() {
    let query = |hashes| BlockQuery::new(vec![B256::repeat_byte(1); hashes]).to_frame();
    assert!(query(MAX_HASHES).is_ok());
    assert!(matches!(query(MAX_HASHES + 1), Err(MessageError::TooLarge { kind: MessageKind::BlockQuery, .. })));
}

#[test]
fn an_answer_holds_as_many_blocks_as_fit_and_no_block_that_was_not_asked_for() {
    let block = |number| {
        let payload = Bytes::from(vec![7; capacity_of(MAX_BLOBS_PER_CHECKPOINT)]);
        Block::new(block_header(number, [[1; 32]; 4]), vec![payload])
    };
    let blocks: Vec<_> = (0..6).map(block).collect();
    let hashes: Vec<_> = blocks.iter().map(Block::hash).collect();
    let answer = BlockAnswer::fitting(blocks.clone());
    assert_eq!(answer.blocks(), &blocks[..4]);
    assert!(answer.to_frame().is_ok());
    assert_eq!(answer.clone().into_asked(&hashes).as_deref(), Ok(&blocks[..4]));
    assert_eq!(answer.into_asked(&hashes[1..]), Err(MessageError::NotAskedFor(hashes[0])));
}

#[test]
fn an_unknown_kind_is_named() {
    for code in [0, 6, 255] {
        assert_eq!(Message::decode(&[VERSION, code, 0xc0]), Err(MessageError::UnknownKind(code)));
    }
    let empty_list = Message::decode(&[VERSION, MessageKind::Attestation.code(), 0xc0]);
    assert!(matches!(empty_list, Err(MessageError::Malformed(_))), "{empty_list:?}");
}
