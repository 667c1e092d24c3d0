//! A validator takes exactly the blocks that re-execution gives, and says what is wrong with the others.

use alloy::consensus::Header;
use alloy::primitives::{Address, B256, Bloom, Bytes, U256};
use fermata_execution::{Block, Execution, Verdict};

use crate::support::{TestChain, transfer};

const FRIEND: Address = Address::repeat_byte(0xf1);

/// A block of one node, and another node that does not have it.
async fn proposed() -> (Block, TestChain) {
    let proposer = TestChain::new().await;
    let list = vec![transfer(0, 0, FRIEND), transfer(1, 0, FRIEND)];
    (proposer.advance(list).await, TestChain::new().await)
}

async fn refused(validator: &TestChain, block: Block) -> String {
    let hash = block.hash();
    let verdict = validator.execution.insert(block).await.unwrap();
    assert_eq!(validator.execution.block(hash).await.unwrap(), None, "nothing was stored");
    let Verdict::Invalid { reason } = verdict else { panic!("{verdict:?}") };
    reason
}

#[tokio::test]
async fn a_block_of_another_node_is_valid_and_may_be_inserted_twice() {
    let (block, validator) = proposed().await;
    for _ in 0..2 {
        assert_eq!(validator.execution.insert(block.clone()).await.unwrap(), Verdict::Valid);
    }
    validator.set_head(block.id()).await;
    assert_eq!(validator.balance(&block, FRIEND), U256::from(2_000_000_000u64));
}

#[tokio::test]
async fn a_block_whose_parent_is_unknown_waits_for_it() {
    let proposer = TestChain::new().await;
    let (parent, child) = (proposer.advance(vec![]).await, proposer.advance(vec![]).await);
    let validator = TestChain::new().await;
    assert_eq!(validator.execution.insert(child.clone()).await.unwrap(), Verdict::MissingParent);
    assert_eq!(validator.execution.insert(parent).await.unwrap(), Verdict::Valid);
    assert_eq!(validator.execution.insert(child).await.unwrap(), Verdict::Valid);
}

#[tokio::test]
async fn every_false_header_field_is_named_with_our_value_and_theirs() {
    let (block, validator) = proposed().await;
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 16] = [
        ("number", |header| header.number += 1),
        ("base_fee_per_gas", |header| header.base_fee_per_gas = Some(1)),
        ("ommers_hash", |header| header.ommers_hash = B256::ZERO),
        ("difficulty", |header| header.difficulty = U256::from(1)),
        ("nonce", |header| header.nonce.0[0] = 1),
        ("extra_data", |header| header.extra_data = Bytes::from_static(b"hello")),
        ("withdrawals_root", |header| header.withdrawals_root = None),
        ("blob_gas_used", |header| header.blob_gas_used = Some(131_072)),
        ("excess_blob_gas", |header| header.excess_blob_gas = Some(1)),
        ("parent_beacon_block_root", |header| header.parent_beacon_block_root = Some(B256::repeat_byte(1))),
        ("requests_hash", |header| header.requests_hash = Some(B256::ZERO)),
        ("transactions_root", |header| header.transactions_root = B256::ZERO),
        ("gas_used", |header| header.gas_used += 1),
        ("logs_bloom", |header| header.logs_bloom = Bloom::repeat_byte(1)),
        ("receipts_root", |header| header.receipts_root = B256::ZERO),
        ("state_root", |header| header.state_root = B256::ZERO),
    ];
    for (field, change) in changes {
        let mut header = block.header().clone();
        change(&mut header);
        let reason = refused(&validator, Block::new(header, block.transactions().to_vec())).await;
        assert!(reason.starts_with(&format!("{field}: ours ")) && reason.contains(", theirs "), "{reason}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_the_headers_is_refused() {
    let (block, validator) = proposed().await;
    let mut swapped = block.transactions().to_vec();
    swapped.swap(0, 1);
    let reason = refused(&validator, Block::new(block.header().clone(), swapped)).await;
    assert!(reason.starts_with("transactions_root"), "{reason}");
}

#[tokio::test]
async fn a_transaction_that_cannot_be_executed_makes_the_block_invalid() {
    let (block, validator) = proposed().await;
    let twice = vec![transfer(0, 0, FRIEND), transfer(0, 0, FRIEND)];
    let reason = refused(&validator, Block::new(block.header().clone(), twice)).await;
    assert!(reason.contains("transaction 1") && reason.contains("nonce"), "{reason}");
    let garbage = vec![Bytes::from_static(&[0xff, 0x01])];
    let reason = refused(&validator, Block::new(block.header().clone(), garbage)).await;
    assert!(reason.contains("transaction 0") && reason.contains("malformed"), "{reason}");
}

#[tokio::test]
async fn a_blob_transaction_is_refused_by_name() {
    use alloy::consensus::{SignableTransaction, TxEip4844, TxEip4844Variant, TxEnvelope};
    use alloy::eips::Encodable2718;
    use alloy::signers::SignerSync;
    let (block, validator) = proposed().await;
    let tx = TxEip4844 {
        chain_id: crate::support::CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 3_000_000_000,
        blob_versioned_hashes: vec![B256::repeat_byte(1)],
        ..TxEip4844::default()
    };
    let tx: TxEip4844Variant = TxEip4844Variant::TxEip4844(tx);
    let signature = crate::support::wallet(0).sign_hash_sync(&tx.signature_hash()).unwrap();
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    let reason = refused(&validator, Block::new(block.header().clone(), vec![raw.into()])).await;
    assert!(reason.contains("blob transactions are not accepted"), "{reason}");
}

#[tokio::test]
async fn a_block_before_its_parent_in_time_is_refused() {
    let (block, validator) = proposed().await;
    let header = Header { timestamp: crate::support::GENESIS_TIME - 1, ..block.header().clone() };
    let reason = refused(&validator, Block::new(header, block.transactions().to_vec())).await;
    assert!(reason.contains("timestamp"), "{reason}");
}
