//! What is said to be stored is there after a restart, and repeating after a crash changes nothing.

use alloy::primitives::{Address, U256};
use fermata_execution::{Execution, ExecutionError, Genesis, RevmExecution, Verdict};

use crate::support::{CHAIN_ID, GENESIS_TIME, TestChain, hash_of, transfer, wallet};

const FRIEND: Address = Address::repeat_byte(0xf1);

#[tokio::test]
async fn the_same_list_sealed_again_after_a_restart_gives_the_same_block() {
    let chain = TestChain::new().await;
    let parent = chain.head().await.hash;
    let attributes = chain.attributes(Some(vec![transfer(0, 0, FRIEND)])).await;
    let job = chain.execution.begin(parent, attributes.clone()).await.unwrap();
    let block = chain.execution.seal(job).await.unwrap();

    let chain = chain.reopened().await;
    assert!(matches!(chain.execution.seal(job).await, Err(ExecutionError::UnknownJob(id)) if id == job));
    assert_eq!(chain.execution.begin(parent, attributes).await.unwrap(), job, "the job has the same name");
    assert_eq!(chain.execution.seal(job).await.unwrap(), block);
    assert_eq!(chain.execution.insert(block).await.unwrap(), Verdict::Valid);
}

#[tokio::test]
async fn heads_blocks_state_and_indexes_outlive_a_restart() {
    let chain = TestChain::new().await;
    let raw = transfer(0, 0, FRIEND);
    let block = chain.advance(vec![raw.clone()]).await;
    let heads = chain.execution.heads().await.unwrap();

    let chain = chain.reopened().await;
    assert_eq!(chain.execution.heads().await.unwrap(), heads);
    assert_eq!(chain.execution.block(block.hash()).await.unwrap(), Some(block.clone()));
    assert_eq!(chain.balance(&block, FRIEND), U256::from(1_000_000_000u64));
    let reader = chain.execution.reader();
    assert_eq!(reader.transaction_place(hash_of(&raw)).unwrap(), Some((block.hash(), 0)));
    assert_eq!(reader.outcome(block.hash()).unwrap().unwrap().0, [wallet(0).address()]);
    chain.advance(vec![transfer(0, 1, FRIEND)]).await;
}

#[tokio::test]
async fn going_back_after_a_restart_still_returns_transactions() {
    let chain = TestChain::new().await;
    let start = chain.head().await;
    chain.advance(vec![transfer(0, 0, FRIEND)]).await;
    let chain = chain.reopened().await;
    chain.set_head(start).await;
    assert_eq!(chain.execution.mempool().len(), 1);
}

#[tokio::test]
async fn a_store_of_another_chain_is_refused_and_named() {
    let chain = TestChain::new().await;
    chain.advance(vec![]).await;
    chain.execution.close().await.unwrap();
    let mut options = chain.options();
    options.genesis = Genesis::dev(CHAIN_ID, GENESIS_TIME + 1, &[]);
    let error = RevmExecution::open(options).await.unwrap_err();
    assert!(matches!(error, ExecutionError::GenesisMismatch { .. }), "{error}");
    assert!(error.to_string().contains(&chain.dir().display().to_string()), "{error}");
    chain.reopened().await.execution.heads().await.expect("the refused store is as it was");
}

#[tokio::test]
async fn a_second_engine_on_an_open_store_is_refused() {
    let chain = TestChain::new().await;
    let error = RevmExecution::open(chain.options()).await.unwrap_err();
    assert!(matches!(error, ExecutionError::AlreadyOpen { .. }), "{error}");
    chain.advance(vec![]).await;
}

#[tokio::test]
async fn after_close_everything_says_closed_and_the_store_is_free() {
    let chain = TestChain::new().await;
    let head = chain.head().await;
    let attributes = chain.attributes(None).await;
    let job = chain.execution.begin(head.hash, attributes.clone()).await.unwrap();
    chain.execution.close().await.unwrap();
    chain.execution.close().await.expect("a second close does nothing");

    let engine = &chain.execution;
    assert!(matches!(engine.begin(head.hash, attributes).await, Err(ExecutionError::Closed)));
    assert!(matches!(engine.seal(job).await, Err(ExecutionError::Closed)));
    assert!(matches!(engine.cancel(job).await, Err(ExecutionError::Closed)));
    assert!(matches!(engine.heads().await, Err(ExecutionError::Closed)));
    assert!(matches!(engine.block(head.hash).await, Err(ExecutionError::Closed)));
    assert!(matches!(engine.reader().call(head.hash, &Default::default()), Err(ExecutionError::Closed)));
    let again = RevmExecution::open(chain.options()).await.expect("free at once");
    again.close().await.unwrap();
}

#[tokio::test]
async fn a_close_waits_for_work_that_was_asked_for_before_it() {
    let chain = TestChain::new().await;
    let list: Vec<_> = (0..20).map(|nonce| transfer(0, nonce, FRIEND)).collect();
    let job = chain.execution.begin(chain.head().await.hash, chain.attributes(Some(list)).await).await.unwrap();
    let (sealed, closed) = tokio::join!(chain.execution.seal(job), chain.execution.close());
    closed.unwrap();
    let block = sealed.unwrap();
    let chain = chain.reopened().await;
    assert_eq!(chain.execution.block(block.hash()).await.unwrap(), Some(block));
}

#[tokio::test]
async fn a_store_that_lost_its_end_is_refused_and_untouched() {
    let chain = TestChain::new().await;
    chain.advance(vec![transfer(0, 0, FRIEND)]).await;
    chain.execution.close().await.unwrap();
    let file = chain.dir().join("data.mdb");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, &bytes).unwrap();
    let error = RevmExecution::open(chain.options()).await.unwrap_err();
    assert!(matches!(error, ExecutionError::DamagedStore { .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "untouched");
}

#[tokio::test]
async fn a_dropped_future_does_not_undo_what_it_asked_for() {
    let chain = TestChain::new().await;
    let proposer = TestChain::new().await;
    let block = proposer.advance(vec![transfer(0, 0, FRIEND)]).await;
    drop(chain.execution.insert(block.clone()));
    // Work is done in order: once this answers, the dropped one is done.
    assert_eq!(chain.execution.insert(block.clone()).await.unwrap(), Verdict::Valid);
    assert_eq!(chain.execution.block(block.hash()).await.unwrap(), Some(block));
}
