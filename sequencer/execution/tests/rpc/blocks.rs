//! Blocks as they are shown, and the ways to name them.

use alloy::consensus::proofs::calculate_transaction_root;
use alloy::eips::{BlockId, BlockNumberOrTag, RpcBlockHash};
use alloy::primitives::{B256, U64};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionReceipt;
use fermata_execution::{Execution, Heads};

use crate::support::{Node, key, refusal, send, sign, transfer};

#[tokio::test(flavor = "multi_thread")]
async fn a_block_shown_in_full_proves_its_own_hash_and_transactions_root() {
    let node = Node::start().await;
    let provider = node.provider();
    for index in 0..3 {
        send(&provider, &sign(index, transfer(0))).await;
    }
    let mined = node.mine().await;
    let full = provider.get_block_by_number(BlockNumberOrTag::Latest).full().await.unwrap().expect("the latest");
    assert_eq!(full.header.inner.hash_slow(), mined.hash());
    assert_eq!(full.header.hash, mined.hash());
    let envelopes: Vec<_> = full.transactions.txns().map(|tx| tx.inner.inner().clone()).collect();
    assert_eq!(calculate_transaction_root(&envelopes), mined.header().transactions_root);
    let hashes = provider.get_block_by_hash(mined.hash()).await.unwrap().expect("the same");
    assert_eq!(hashes.transactions.as_hashes().expect("hashes"), full.transactions.hashes().collect::<Vec<_>>());
    assert_eq!(hashes.header, full.header);
    assert!(full.header.size.is_some_and(|size| size > alloy::primitives::U256::from(mined.payload_bytes())));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_block_are_those_of_its_transactions() {
    let node = Node::start().await;
    let provider = node.provider();
    for index in 0..3 {
        send(&provider, &sign(index, transfer(0))).await;
    }
    let block = node.mine().await;
    let receipts = provider.get_block_receipts(BlockId::latest()).await.unwrap().expect("a block");
    assert_eq!(receipts.len(), 3);
    for (index, receipt) in receipts.iter().enumerate() {
        let single = provider.get_transaction_receipt(receipt.transaction_hash).await.unwrap();
        assert_eq!(single.as_ref(), Some(receipt));
        assert_eq!((receipt.transaction_index, receipt.gas_used), (Some(index as u64), 21_000));
    }
    assert_eq!(receipts[2].inner.cumulative_gas_used(), block.header().gas_used);
    let count: U64 = provider.raw_request("eth_getBlockTransactionCountByNumber".into(), ("latest",)).await.unwrap();
    let by_hash: U64 =
        provider.raw_request("eth_getBlockTransactionCountByHash".into(), (block.hash(),)).await.unwrap();
    assert_eq!((count, by_hash), (U64::from(3), U64::from(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_name_the_heads() {
    let node = Node::start().await;
    let provider = node.provider();
    let [one, two, three] = [node.mine().await, node.mine().await, node.mine().await].map(|block| block.id());
    node.execution.set_heads(Heads { unsafe_head: three, safe: two, finalized: one }).await.unwrap();
    let named = [
        (BlockNumberOrTag::Latest, 3),
        (BlockNumberOrTag::Pending, 3),
        (BlockNumberOrTag::Safe, 2),
        (BlockNumberOrTag::Finalized, 1),
        (BlockNumberOrTag::Earliest, 0),
        (BlockNumberOrTag::Number(2), 2),
    ];
    for (tag, number) in named {
        let block = provider.get_block_by_number(tag).await.unwrap().expect("a block");
        assert_eq!(block.header.number, number, "{tag}");
    }
    assert_eq!(provider.get_block_number().await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_read_at_the_block_that_is_named() {
    let node = Node::start().await;
    let provider = node.provider();
    let account = key(0).address();
    send(&provider, &sign(0, transfer(0))).await;
    let first = node.mine().await;
    send(&provider, &sign(0, transfer(1))).await;
    node.mine().await;
    let at = |id: BlockId| provider.get_transaction_count(account).block_id(id);
    assert_eq!(at(0.into()).await.unwrap(), 0);
    assert_eq!(at(first.hash().into()).await.unwrap(), 1);
    assert_eq!(at(BlockId::latest()).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_beside_the_chain_is_read_by_hash_unless_it_must_be_on_it() {
    let node = Node::start().await;
    let provider = node.provider();
    let genesis = node.execution.heads().await.unwrap().unsafe_head;
    let beside = node.build_on(genesis.hash, 7).await;
    node.mine().await;
    assert!(provider.get_block_by_hash(beside.hash()).await.unwrap().is_some());
    let balance = |require_canonical| {
        let id = BlockId::Hash(RpcBlockHash { block_hash: beside.hash(), require_canonical });
        provider.get_balance(key(0).address()).block_id(id)
    };
    assert!(balance(None).await.is_ok());
    let refused = refusal(balance(Some(true)).await);
    assert_eq!(refused.code, -32_000);
    assert!(refused.message.starts_with("header not found"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_null_and_state_of_it_is_an_error() {
    let node = Node::start().await;
    let provider = node.provider();
    assert_eq!(provider.get_block_by_number(9.into()).await.unwrap(), None);
    assert_eq!(provider.get_block_by_hash(B256::repeat_byte(9)).await.unwrap(), None);
    assert_eq!(provider.get_block_receipts(9.into()).await.unwrap(), None);
    assert_eq!(provider.get_transaction_by_hash(B256::repeat_byte(9)).await.unwrap(), None);
    assert_eq!(provider.get_transaction_receipt(B256::repeat_byte(9)).await.unwrap(), None::<TransactionReceipt>);
    let refused = refusal(provider.get_balance(key(0).address()).block_id(9.into()).await);
    assert!(refused.message.starts_with("header not found"), "{}", refused.message);
}
