//! Transactions that are not taken: each by its own name, and nothing changes.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEip4844, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::providers::Provider;
use alloy::signers::SignerSync;

use crate::support::{GAS_LIMIT, Node, key, refusal, send, sign, transfer};

const SERVER_ERROR: i64 = -32_000;
const INVALID_PARAMS: i64 = -32_602;

/// Raw bytes, and the code and first words of the error they are refused with.
type Case = (&'static str, Bytes, i64, &'static str);

fn malformed() -> Vec<Case> {
    let good = sign(1, transfer(0));
    let trailing = Bytes::from([good.as_ref(), &[0]].concat());
    vec![
        ("no bytes", Bytes::new(), INVALID_PARAMS, "malformed transaction"),
        ("unknown type", Bytes::from_static(&[0x7a, 1]), INVALID_PARAMS, "malformed transaction"),
        ("cut off", good.slice(..good.len() - 3), INVALID_PARAMS, "malformed transaction"),
        ("bytes left over", trailing, INVALID_PARAMS, "malformed transaction"),
        ("oversized", Bytes::from(vec![2; 128 * 1024 + 1]), SERVER_ERROR, "oversized data"),
    ]
}

fn blob() -> Bytes {
    let tx = TxEip4844 { blob_versioned_hashes: vec![[1; 32].into()], ..TxEip4844::default() };
    let signature = key(1).sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

fn against_the_rules() -> Vec<Case> {
    let good = transfer(0);
    let cases: [(&str, TxEip1559, &str); 8] = [
        ("wrong chain", TxEip1559 { chain_id: 1, ..good.clone() }, "invalid chain id"),
        ("too little gas", TxEip1559 { gas_limit: 20_000, ..good.clone() }, "intrinsic gas too low"),
        ("too much gas", TxEip1559 { gas_limit: GAS_LIMIT + 1, ..good.clone() }, "exceeds block gas limit"),
        (
            "tip above cap",
            TxEip1559 { max_priority_fee_per_gas: u128::MAX, ..good.clone() },
            "max priority fee per gas higher than max fee per gas",
        ),
        (
            "initcode",
            TxEip1559 { to: TxKind::Create, input: vec![0; 49_153].into(), gas_limit: 10_000_000, ..good.clone() },
            "max initcode size exceeded",
        ),
        (
            "poor",
            TxEip1559 { nonce: 2, value: U256::MAX, ..good.clone() },
            "insufficient funds for gas * price + value",
        ),
        ("used nonce", good.clone(), "nonce too low"),
        ("replacement", TxEip1559 { nonce: 1, value: U256::from(2), ..good }, "replacement transaction underpriced"),
    ];
    cases.into_iter().map(|(name, tx, text)| (name, sign(0, tx), SERVER_ERROR, text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_code_and_words_and_changes_nothing() {
    let node = Node::start().await;
    let provider = node.provider();
    send(&provider, &sign(0, transfer(0))).await;
    node.mine().await;
    let waiting = sign(0, transfer(1));
    send(&provider, &waiting).await;
    let mut cases = malformed();
    cases.extend(against_the_rules());
    cases.push(("blob", blob(), SERVER_ERROR, "blob transactions are not accepted"));
    cases.push(("known", waiting, SERVER_ERROR, "already known"));
    for (name, raw, code, text) in cases {
        let refused = refusal(provider.send_raw_transaction(&raw).await.map(|_| ()));
        assert_eq!(refused.code, code, "{name}: {}", refused.message);
        assert!(refused.message.starts_with(text), "{name}: {}", refused.message);
        assert!(refused.message.len() > text.len() + 5, "{name}: it names cause or remedy: {}", refused.message);
    }
    assert_eq!(node.execution.mempool().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_cannot_be_read_are_invalid_params() {
    let node = Node::start().await;
    let provider = node.provider();
    for (method, params) in [
        ("eth_sendRawTransaction", serde_json::json!(["0xzz"])),
        ("eth_sendRawTransaction", serde_json::json!([])),
        ("eth_getBalance", serde_json::json!(["0x12", "latest"])),
        ("eth_getBlockByNumber", serde_json::json!(["newest", false])),
    ] {
        let refused = refusal(provider.raw_request::<_, serde_json::Value>(method.into(), params).await);
        assert_eq!(refused.code, INVALID_PARAMS, "{method}: {}", refused.message);
    }
    let refused = refusal(provider.raw_request::<_, serde_json::Value>("eth_sign".into(), ()).await);
    assert_eq!(refused.code, -32_601, "the node signs for nobody");
}
