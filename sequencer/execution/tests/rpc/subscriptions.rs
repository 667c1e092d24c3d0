//! `eth_subscribe` over WebSocket.

use alloy::network::TransactionBuilder;
use alloy::providers::Provider;
use alloy::pubsub::Subscription;
use alloy::rpc::types::{Filter, TransactionRequest};
use jsonrpsee::core::client::{ClientT, Subscription as PlainSubscription, SubscriptionClientT, SubscriptionKind};
use jsonrpsee::rpc_params;
use jsonrpsee::types::SubscriptionId;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::contracts::{TOPIC, creation, recorder};
use crate::support::{DEADLINE, Node, key, order, refusal, sign, transfer};

async fn next<T: serde::de::DeserializeOwned>(subscription: &mut Subscription<T>) -> T {
    timeout(DEADLINE, subscription.recv()).await.expect("told in time").expect("the subscription stands")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_new_head_is_told_in_order() {
    let node = Node::start().await;
    let provider = node.websocket().await;
    let mut heads = provider.subscribe_blocks().await.unwrap();
    for _ in 0..3 {
        let block = node.mine().await;
        let told = next(&mut heads).await;
        assert_eq!((told.hash, told.number), (block.hash(), block.header().number));
        assert_eq!(told.inner, *block.header());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_told_and_taken_back_when_their_block_leaves_the_chain() {
    let node = Node::start().await;
    let (provider, wallet) = (node.websocket().await, node.wallet(0));
    order(&wallet, TransactionRequest::default().with_deploy_code(creation(&recorder()))).await;
    let deployed = node.mine().await;
    let contract = key(0).address().create(0);
    let filter = Filter::new().address(contract).event_signature(TOPIC);
    let mut logs = provider.subscribe_logs(&filter).await.unwrap();
    let call = TransactionRequest::default().with_to(contract).with_input([7; 32]);
    order(&wallet, call).await;
    let block = node.mine().await;
    let told = next(&mut logs).await;
    assert_eq!((told.block_hash, told.removed), (Some(block.hash()), false));
    node.set_head(&deployed).await;
    let taken_back = next(&mut logs).await;
    assert_eq!((taken_back.block_hash, taken_back.removed), (Some(block.hash()), true));
    assert_eq!(node.execution.mempool().len(), 1, "its transaction waits again");
    let again = node.build_on(deployed.hash(), 9).await;
    node.set_head(&again).await;
    let told = next(&mut logs).await;
    assert_eq!((told.block_hash, told.removed), (Some(again.hash()), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_told_as_the_pool_takes_them() {
    let node = Node::start().await;
    let provider = node.websocket().await;
    let mut hashes = provider.subscribe_pending_transactions().await.unwrap();
    let mut full = provider.subscribe_full_pending_transactions().await.unwrap();
    let sent = node.provider().send_raw_transaction(&sign(0, transfer(0))).await.unwrap();
    assert_eq!(next(&mut hashes).await, *sent.tx_hash());
    assert_eq!(*next(&mut full).await.inner.tx_hash(), *sent.tx_hash());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_over_websocket_learns_of_its_receipt() {
    let node = Node::start().await;
    let provider = node.websocket().await;
    let sent = provider.send_raw_transaction(&sign(0, transfer(0))).await.unwrap();
    node.mine().await;
    assert!(sent.get_receipt().await.unwrap().status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_when_it_is_told_to_and_only_once() {
    let node = Node::start().await;
    let client = node.plain_websocket().await;
    let heads: PlainSubscription<Value> =
        client.subscribe("eth_subscribe", rpc_params!["newHeads"], "eth_unsubscribe").await.unwrap();
    let SubscriptionKind::Subscription(SubscriptionId::Str(id)) = heads.kind().clone() else { panic!("{heads:?}") };
    assert!(id.starts_with("0x"), "{id}");
    assert!(client.request::<bool, _>("eth_unsubscribe", rpc_params![&id]).await.unwrap());
    assert!(!client.request::<bool, _>("eth_unsubscribe", rpc_params![&id]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_subscribed_to_is_refused() {
    let node = Node::start().await;
    let provider = node.websocket().await;
    for params in [json!(["syncing"]), json!(["newHeads2"]), json!(["logs", true])] {
        let refused = refusal(provider.raw_request::<_, String>("eth_subscribe".into(), params).await);
        assert_eq!(refused.code, -32_602, "{}", refused.message);
    }
}
