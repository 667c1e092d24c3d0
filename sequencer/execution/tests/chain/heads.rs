//! The chain moves, forwards and back, and no transaction is lost.

use alloy::primitives::{Address, B256};
use fermata_execution::{BlockId, Execution, ExecutionError, Heads, HeadsMoved};

use crate::support::{TestChain, delegating, hash_of, transfer, wallet};

const FRIEND: Address = Address::repeat_byte(0xf1);

#[tokio::test]
async fn going_back_returns_the_transactions_to_the_mempool_and_the_state_to_what_it_was() {
    let chain = TestChain::new().await;
    let start = chain.head().await;
    let (first, second) = (transfer(0, 0, FRIEND), transfer(0, 1, FRIEND));
    let blocks = [chain.advance(vec![first.clone()]).await, chain.advance(vec![second.clone()]).await];
    assert!(chain.execution.mempool().is_empty());

    chain.set_head(start).await;
    let reader = chain.execution.reader();
    assert_eq!(reader.account(start.hash, FRIEND).unwrap(), None);
    assert_eq!(chain.execution.mempool().len(), 2);
    assert_eq!(reader.transaction_place(hash_of(&first)).unwrap(), None, "it is on no chain");
    assert_eq!(reader.hash_at(1).unwrap(), None);

    let rebuilt = chain.seal(None).await;
    assert_eq!(rebuilt.transactions(), [first.clone(), second], "in nonce order");

    chain.set_head(blocks[1].id()).await;
    assert!(chain.execution.mempool().is_empty(), "forward again, both are mined");
    assert_eq!(reader.transaction_place(hash_of(&first)).unwrap(), Some((blocks[0].hash(), 0)));
}

#[tokio::test]
async fn a_sibling_takes_over_and_only_what_it_lacks_returns() {
    let chain = TestChain::new().await;
    let (kept, lost) = (transfer(0, 0, FRIEND), transfer(1, 0, FRIEND));
    let sibling = chain.seal(Some(vec![kept.clone()])).await;
    let block = chain.advance(vec![kept.clone(), lost.clone()]).await;
    let mut moves = chain.execution.subscribe();

    chain.set_head(sibling.id()).await;
    let mempool = chain.execution.mempool();
    assert_eq!((mempool.len(), mempool.get(hash_of(&lost)).is_some()), (1, true));
    let place = chain.execution.reader().transaction_place(hash_of(&kept)).unwrap();
    assert_eq!(place, Some((sibling.hash(), 0)));
    let HeadsMoved { heads, dropped, added } = moves.recv().await.unwrap();
    assert_eq!((heads.unsafe_head, dropped, added), (sibling.id(), vec![block.id()], vec![sibling.id()]));
}

#[tokio::test]
async fn the_same_heads_again_change_nothing_and_tell_nobody() {
    let chain = TestChain::new().await;
    chain.advance(vec![]).await;
    let heads = chain.execution.heads().await.unwrap();
    let mut moves = chain.execution.subscribe();
    chain.execution.set_heads(heads).await.unwrap();
    assert!(moves.try_recv().is_err());
    assert_eq!(chain.execution.heads().await.unwrap(), heads);
}

#[tokio::test]
async fn heads_that_are_not_one_chain_in_order_are_refused_and_change_nothing() {
    let chain = TestChain::new().await;
    let genesis = chain.head().await;
    let sibling = chain.seal(Some(vec![transfer(3, 0, FRIEND)])).await.id();
    let first = chain.advance(vec![]).await.id();
    let second = chain.advance(vec![]).await.id();
    let before = chain.execution.heads().await.unwrap();
    let heads = |unsafe_head, safe, finalized| Heads { unsafe_head, safe, finalized };
    let wrong_number = BlockId { number: 7, ..first };
    for bad in [
        heads(first, second, genesis),
        heads(second, genesis, first),
        heads(second, sibling, genesis),
        heads(sibling, first, genesis),
        heads(wrong_number, genesis, genesis),
    ] {
        let error = chain.execution.set_heads(bad).await.unwrap_err();
        assert!(matches!(error, ExecutionError::HeadsOutOfOrder { .. }), "{error}");
    }
    let unknown = BlockId { number: 3, hash: B256::repeat_byte(9) };
    let error = chain.execution.set_heads(heads(unknown, genesis, genesis)).await.unwrap_err();
    assert!(matches!(error, ExecutionError::UnknownBlock(hash) if hash == unknown.hash), "{error}");
    assert_eq!(chain.execution.heads().await.unwrap(), before);
    assert_eq!(chain.execution.reader().hash_at(2).unwrap(), Some(second.hash));
}

#[tokio::test]
async fn who_authorised_a_delegation_has_its_nonce_taken_in_the_mempool_too() {
    let chain = TestChain::new().await;
    // Wallet 6 waits with nonces 0 and 1; then somebody else's transaction carries its authorisation with nonce 0.
    let stale = transfer(6, 0, FRIEND);
    chain.submit(&stale).await;
    chain.submit(&transfer(6, 1, FRIEND)).await;
    let start = chain.head().await;
    chain.advance(vec![delegating(5, 6, FRIEND)]).await;
    let mempool = chain.execution.mempool();
    assert!(mempool.get(hash_of(&stale)).is_none(), "its nonce is taken");
    assert_eq!(mempool.pending_nonce(wallet(6).address()), Some(2));
    chain.set_head(start).await;
    assert_eq!(mempool.len(), 2, "the delegating transaction is back");
}

#[tokio::test]
async fn safe_and_finalized_follow_and_are_found_by_their_tags() {
    use alloy::eips::{BlockId as Tag, BlockNumberOrTag};
    let chain = TestChain::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(chain.advance(vec![]).await.id());
    }
    let heads = Heads { unsafe_head: ids[2], safe: ids[1], finalized: ids[0] };
    chain.execution.set_heads(heads).await.unwrap();
    let resolve = |tag: BlockNumberOrTag| chain.execution.reader().resolve(Tag::Number(tag)).unwrap();
    assert_eq!(resolve(BlockNumberOrTag::Latest), Some(ids[2]));
    assert_eq!(resolve(BlockNumberOrTag::Safe), Some(ids[1]));
    assert_eq!(resolve(BlockNumberOrTag::Finalized), Some(ids[0]));
    assert_eq!(resolve(BlockNumberOrTag::Earliest), Some(chain.execution.reader().genesis()));
    assert_eq!(resolve(BlockNumberOrTag::Number(2)), Some(ids[1]));
    assert_eq!(resolve(BlockNumberOrTag::Number(4)), None);
}
