//! Batches of calls.

use alloy::primitives::{B256, Bytes, U64};
use futures::future::join_all;

use crate::support::{Node, key, refusal, send, sign, transfer};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_one_senders_transactions_is_taken_in_order() {
    let node = Node::start().await;
    let client = node.client();
    let raws: Vec<Bytes> = (0..40).map(|nonce| sign(0, transfer(nonce))).collect();
    let mut batch = client.new_batch();
    let sent: Vec<_> =
        raws.iter().map(|raw| batch.add_call::<_, B256>("eth_sendRawTransaction", &(raw,)).unwrap()).collect();
    let pending = batch.add_call::<_, U64>("eth_getTransactionCount", &(key(0).address(), "pending")).unwrap();
    batch.send().await.unwrap();
    let hashes: Vec<B256> = join_all(sent).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(hashes, raws.iter().map(alloy::primitives::keccak256).collect::<Vec<_>>());
    assert_eq!(pending.await.unwrap(), U64::from(40), "a call behind them sees them all");
    let block = node.mine().await;
    assert_eq!(block.transactions(), raws);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_transaction_in_a_batch_is_refused_alone() {
    let node = Node::start().await;
    let client = node.client();
    let raws = [sign(0, transfer(0)), Bytes::from_static(&[1, 2, 3]), sign(0, transfer(1)), sign(0, transfer(1))];
    let mut batch = client.new_batch();
    let sent: Vec<_> =
        raws.iter().map(|raw| batch.add_call::<_, B256>("eth_sendRawTransaction", &(raw,)).unwrap()).collect();
    let unreadable = batch.add_call::<_, B256>("eth_sendRawTransaction", &("0xzz",)).unwrap();
    batch.send().await.unwrap();
    let mut answers = join_all(sent).await.into_iter();
    assert!(answers.next().unwrap().is_ok());
    assert_eq!(refusal(answers.next().unwrap()).code, -32_602);
    assert!(answers.next().unwrap().is_ok());
    assert!(refusal(answers.next().unwrap()).message.starts_with("already known"));
    assert_eq!(refusal(unreadable.await).code, -32_602);
    assert_eq!(node.execution.mempool().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_sent_at_once_over_many_connections_all_arrive() {
    let node = Node::start().await;
    let sends = (0..4u8).map(|index| {
        let provider = node.provider();
        async move {
            for nonce in 0..25 {
                send(&provider, &sign(index, transfer(nonce))).await;
            }
        }
    });
    join_all(sends).await;
    assert_eq!(node.mine().await.transactions().len(), 100);
}
