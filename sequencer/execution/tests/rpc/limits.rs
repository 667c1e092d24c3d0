//! What is too much is refused by name.

use alloy::network::TransactionBuilder;
use alloy::primitives::{B256, U64};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::{Filter, Log, TransactionRequest};
use alloy::transports::TransportResult;
use alloy::transports::http::reqwest::Client;
use fermata_execution::mempool::MempoolConfig;
use fermata_execution::rpc::RpcLimits;
use serde_json::{Value, json};

use crate::contracts::{creation, recorder};
use crate::support::{Node, key, order, refusal, sign, transfer};

async fn node(limits: RpcLimits) -> Node {
    Node::start_with(limits, MempoolConfig::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_query_is_bounded_in_blocks_and_in_results() {
    let node = node(RpcLimits { max_log_blocks: 3, max_logs: 2, ..RpcLimits::default() }).await;
    let wallet = node.wallet(0);
    let deploy = TransactionRequest::default().with_deploy_code(creation(&recorder()));
    order(&wallet, deploy).await;
    node.mine().await;
    let call = TransactionRequest::default().with_to(key(0).address().create(0)).with_input([7; 32]);
    for _ in 0..3 {
        order(&wallet, call.clone()).await;
    }
    node.mine().await;
    node.mine().await;
    let provider = node.provider();
    let logs = |from: u64, to: u64| logs_between(&provider, from, to);
    let refused = refusal(logs(0, 3).await);
    assert_eq!(refused.code, -32_005);
    assert!(refused.message.starts_with("exceed maximum block range: 4 blocks"), "{}", refused.message);
    let refused = refusal(logs(1, 3).await);
    assert_eq!(refused.code, -32_005);
    assert!(refused.message.starts_with("query returned more than 2 results"), "{}", refused.message);
    let refused = refusal(logs(3, 2).await);
    assert_eq!(refused.code, -32_602);
    assert!(logs(3, 5).await.unwrap().is_empty(), "a range beyond the chain ends with it");
}

async fn logs_between(provider: &impl Provider, from: u64, to: u64) -> TransportResult<Vec<Log>> {
    provider.get_logs(&Filter::new().from_block(from).to_block(to)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_long_is_refused_as_a_whole() {
    let node = node(RpcLimits { max_batch: 2, ..RpcLimits::default() }).await;
    let call = |nonce| {
        json!({ "jsonrpc": "2.0", "id": nonce, "method": "eth_sendRawTransaction",
        "params": [sign(0, transfer(nonce))] })
    };
    let batch = json!([call(0), call(1), call(2)]).to_string();
    let request = Client::new().post(node.http()).header("content-type", "application/json").body(batch);
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(answer["error"]["code"], -32_010, "{answer}");
    assert_eq!(answer["error"]["data"], "Exceeded max limit of 2");
    assert!(node.execution.mempool().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_unread() {
    let node = node(RpcLimits { max_request_bytes: 1_000, ..RpcLimits::default() }).await;
    let provider = node.provider();
    let large = vec![0u8; 2_000];
    let refused = provider.raw_request::<_, B256>("web3_sha3".into(), (alloy::primitives::Bytes::from(large),)).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("Exceeded max limit of 1000"), "{refused}");
    assert_eq!(provider.get_block_number().await.unwrap(), 0, "the server goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_turned_away() {
    let node = node(RpcLimits { max_connections: 1, ..RpcLimits::default() }).await;
    let first = node.websocket().await;
    let url = format!("ws://{}", node.server.local_addr());
    assert!(ProviderBuilder::new().connect(&url).await.is_err());
    let number: U64 = first.raw_request("eth_blockNumber".into(), ()).await.unwrap();
    assert_eq!(number, U64::ZERO);
}
