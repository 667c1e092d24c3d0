//! What a proposer's block holds.

use std::time::Duration;

use alloy::consensus::Transaction;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use fermata_execution::{BlockAttributes, Execution, ExecutionError, RecoveredTx};

use crate::support::{BENEFICIARY, GWEI, TestChain, hash_of, sign, transaction, transfer, wallet};

const FRIEND: Address = Address::repeat_byte(0xf1);

#[tokio::test]
async fn the_mempools_transactions_go_into_the_block_and_pay_the_beneficiary() {
    let chain = TestChain::new().await;
    for raw in [transfer(0, 1, FRIEND), transfer(0, 0, FRIEND), transfer(1, 0, FRIEND)] {
        chain.submit(&raw).await;
    }
    let block = chain.seal(None).await;
    assert_eq!(chain.statuses(&block), [true; 3]);
    assert_eq!(chain.balance(&block, FRIEND), U256::from(3 * GWEI));
    assert_eq!(block.header().gas_used, 63_000);
    assert_eq!(chain.balance(&block, BENEFICIARY), U256::from(63_000 * GWEI), "the base fee is burnt");
}

#[tokio::test]
async fn a_sealed_job_gives_the_same_block_again_though_the_mempool_has_changed() {
    let chain = TestChain::new().await;
    chain.submit(&transfer(0, 0, FRIEND)).await;
    let attributes = chain.attributes(None).await;
    let parent = chain.head().await.hash;
    let first = chain.seal_with(parent, attributes.clone()).await;
    chain.submit(&transfer(1, 0, FRIEND)).await;
    assert_eq!(chain.seal_with(parent, attributes.clone()).await, first);

    let job = chain.execution.begin(parent, attributes.clone()).await.unwrap();
    chain.execution.cancel(job).await.unwrap();
    assert!(matches!(chain.execution.seal(job).await, Err(ExecutionError::UnknownJob(_))));
    assert_eq!(chain.seal_with(parent, attributes).await.transactions().len(), 2, "a job begun anew builds anew");
}

#[tokio::test]
async fn a_block_stays_within_its_payload_bytes() {
    let chain = TestChain::new().await;
    let (small, large) = (transfer(0, 0, FRIEND), transaction(0, TxKind::Call(FRIEND), 1, vec![1; 500]));
    let large = sign(large, &wallet(1));
    chain.submit(&large).await;
    chain.submit(&small).await;
    let attributes = BlockAttributes { max_payload_bytes: large.len() - 1, ..chain.attributes(None).await };
    let block = chain.seal_with(chain.head().await.hash, attributes).await;
    assert_eq!(block.transactions(), [small]);
    assert_eq!(chain.execution.mempool().len(), 2, "what does not fit waits for a later block");
}

#[tokio::test]
async fn a_block_stays_within_its_gas() {
    let chain = TestChain::new().await;
    for sender in 0..4 {
        chain.submit(&transfer(sender, 0, FRIEND)).await;
    }
    // Each asks for 300 000 and uses 21 000.
    let attributes = BlockAttributes { gas_limit: 321_000, ..chain.attributes(None).await };
    let block = chain.seal_with(chain.head().await.hash, attributes).await;
    assert_eq!((block.transactions().len(), block.header().gas_used), (2, 42_000));
}

#[tokio::test]
async fn nothing_is_taken_from_the_mempool_once_the_deadline_has_come() {
    let chain = TestChain::new().await;
    chain.submit(&transfer(0, 0, FRIEND)).await;
    let deadline = fermata_primitives::Clock::now(&*chain.clock) + Duration::from_secs(5);
    let attributes = BlockAttributes { deadline: Some(deadline), ..chain.attributes(None).await };
    let job = chain.execution.begin(chain.head().await.hash, attributes).await.unwrap();
    chain.clock.set(deadline);
    let block = chain.execution.seal(job).await.unwrap();
    assert!(block.transactions().is_empty());
    assert_eq!(chain.execution.mempool().len(), 1);
}

#[tokio::test]
async fn a_transaction_its_sender_can_no_longer_pay_is_dropped_and_the_others_go_on() {
    let chain = TestChain::new().await;
    let account = chain.execution.reader().account(chain.head().await.hash, wallet(0).address()).unwrap().unwrap();
    // A block of somebody else empties the account before the waiting transaction is mined.
    let waiting = transfer(0, 1, FRIEND);
    chain.submit(&waiting).await;
    chain.submit(&transfer(1, 0, FRIEND)).await;
    let fee = U256::from(21_000 * 3 * GWEI);
    let mut all = transaction(0, TxKind::Call(FRIEND), 0, Bytes::new());
    all.gas_limit = 21_000;
    all.value = account.balance - fee;
    chain.advance(vec![sign(all, &wallet(0))]).await;
    let block = chain.seal(None).await;
    assert_eq!(block.transactions(), [transfer(1, 0, FRIEND)]);
    assert!(chain.execution.mempool().get(hash_of(&waiting)).is_none(), "it left the pool");
}

#[tokio::test]
async fn building_on_a_block_that_is_not_the_head_yet_takes_nothing_twice_and_drops_nothing() {
    let chain = TestChain::new().await;
    for nonce in 0..3 {
        chain.submit(&transfer(0, nonce, FRIEND)).await;
    }
    let mut attributes = chain.attributes(None).await;
    attributes.max_payload_bytes = transfer(0, 0, FRIEND).len() + 10;
    let first = chain.seal_with(chain.head().await.hash, attributes.clone()).await;
    let second = chain.seal_with(first.hash(), attributes.clone()).await;
    let nonces = |block: &fermata_execution::Block| -> Vec<u64> {
        let decode = |raw: &Bytes| RecoveredTx::decode(raw.clone()).unwrap().envelope().nonce();
        block.transactions().iter().map(decode).collect()
    };
    assert_eq!((nonces(&first), nonces(&second)), (vec![0], vec![1]));
    assert_eq!(chain.execution.mempool().len(), 3, "none is mined before the heads say so");
    chain.set_head(second.id()).await;
    assert_eq!(chain.execution.mempool().len(), 1);
}

#[tokio::test]
async fn a_given_list_that_cannot_be_executed_names_the_transaction_and_stores_nothing() {
    let chain = TestChain::new().await;
    let list = vec![transfer(0, 0, FRIEND), transfer(0, 5, FRIEND)];
    let job = chain.execution.begin(chain.head().await.hash, chain.attributes(Some(list.clone())).await).await.unwrap();
    let error = chain.execution.seal(job).await.unwrap_err();
    let ExecutionError::InvalidTransaction { index, hash, reason } = &error else { panic!("{error}") };
    assert_eq!((*index, *hash), (1, hash_of(&list[1])));
    assert!(reason.contains("nonce"), "{reason}");
}

#[tokio::test]
async fn attributes_no_block_can_have_are_refused_at_once() {
    let chain = TestChain::new().await;
    let (head, good) = (chain.head().await.hash, chain.attributes(None).await);
    let early = BlockAttributes { timestamp: crate::support::GENESIS_TIME - 1, ..good.clone() };
    let narrow = BlockAttributes { gas_limit: 4_999, ..good.clone() };
    for bad in [early, narrow] {
        assert!(matches!(chain.execution.begin(head, bad).await, Err(ExecutionError::BadAttributes(_))));
    }
    let nowhere = alloy::primitives::B256::repeat_byte(1);
    assert!(matches!(chain.execution.begin(nowhere, good).await, Err(ExecutionError::UnknownBlock(_))));
}

#[tokio::test]
async fn the_base_fee_follows_eip_1559_from_the_parent() {
    let chain = TestChain::new().await;
    let genesis = chain.genesis.genesis_block().unwrap();
    let empty = chain.advance(vec![]).await;
    // An empty block lowers it by an eighth.
    assert_eq!(genesis.header().base_fee_per_gas, Some(1_000_000_000));
    assert_eq!(empty.header().base_fee_per_gas, Some(875_000_000));
}

#[tokio::test]
async fn contracts_read_the_hashes_of_past_blocks_from_the_history_contract() {
    use alloy::eips::eip2935::HISTORY_STORAGE_ADDRESS;
    let chain = TestChain::new().await;
    let (first, second) = (chain.advance(vec![]).await, chain.advance(vec![]).await);
    let slot = U256::from(first.header().number % 8191);
    let stored = chain.execution.reader().storage(second.hash(), HISTORY_STORAGE_ADDRESS, slot).unwrap();
    assert_eq!(stored, U256::from_be_bytes(first.hash().0));
}
