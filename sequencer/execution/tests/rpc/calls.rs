//! Calls and estimates that do not go well.

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::decode_revert_reason;
use serde_json::json;

use crate::contracts::{creation, recorder, refuser};
use crate::support::{Node, key, refusal};

async fn deploy(node: &Node, runtime: Bytes) -> Address {
    let deploy = TransactionRequest::default().with_deploy_code(creation(&runtime));
    let sent = node.wallet(0).send_transaction(deploy).await.unwrap();
    node.mine().await;
    sent.get_receipt().await.unwrap().contract_address.expect("a contract was created")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_is_told_with_its_reason_and_data() {
    let node = Node::start().await;
    let contract = deploy(&node, refuser()).await;
    let request = TransactionRequest::default().with_from(key(0).address()).with_to(contract);
    let provider = node.provider();
    for refused in
        [refusal(provider.call(request.clone()).await), refusal(provider.estimate_gas(request.clone()).await)]
    {
        assert_eq!(refused.code, 3);
        assert_eq!(refused.message, "execution reverted: revert: closed today");
        let data = refused.as_revert_data().expect("revert data");
        assert_eq!(decode_revert_reason(&data).as_deref(), Some("revert: closed today"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_enough_gas_or_ether_says_so() {
    let node = Node::start().await;
    let contract = deploy(&node, recorder()).await;
    let provider = node.provider();
    let request = TransactionRequest::default().with_from(key(0).address()).with_to(contract).with_input([1; 32]);
    let refused = refusal(provider.call(request.clone().with_gas_limit(25_000)).await);
    assert_eq!(refused.code, -32_000);
    assert!(refused.message.starts_with("out of gas"), "{}", refused.message);
    let poor = request.with_from(Address::repeat_byte(9)).with_value(U256::ONE);
    let refused = refusal(provider.estimate_gas(poor).await);
    assert_eq!(refused.code, -32_000);
    assert!(refused.message.starts_with("insufficient funds"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_is_enough_and_not_far_too_much() {
    let node = Node::start().await;
    let contract = deploy(&node, recorder()).await;
    let request = TransactionRequest::default().with_from(key(0).address()).with_to(contract).with_input([1; 32]);
    let estimate = node.provider().estimate_gas(request.clone()).await.unwrap();
    let sent = node.wallet(0).send_transaction(request.with_gas_limit(estimate)).await.unwrap();
    node.mine().await;
    let receipt = sent.get_receipt().await.unwrap();
    assert!(receipt.status() && receipt.gas_used <= estimate && estimate < receipt.gas_used * 11 / 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides_are_refused_and_not_ignored() {
    let node = Node::start().await;
    let provider = node.provider();
    let overrides = json!({ Address::ZERO.to_string(): { "balance": "0x1" } });
    let call = |overrides| {
        provider.raw_request::<_, Bytes>("eth_call".into(), json!([{ "to": Address::ZERO }, "latest", overrides]))
    };
    let refused = refusal(call(overrides).await);
    assert_eq!(refused.code, -32_602);
    assert!(refused.message.contains("overrides"), "{}", refused.message);
    assert_eq!(call(json!({})).await.unwrap(), Bytes::new(), "an empty object overrides nothing");
}
