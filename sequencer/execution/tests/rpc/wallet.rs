//! What a wallet does.

use alloy::consensus::{BlockHeader, Transaction as _};
use alloy::network::{ReceiptResponse, TransactionBuilder, TransactionResponse};
use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionRequest};

use crate::contracts::{TOPIC, creation, recorder};
use crate::support::{CHAIN_ID, GAS_LIMIT, Node, key, send, sign, transfer};

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_with_all_fillers_sends_ether_and_gets_its_receipt() {
    let node = Node::start().await;
    let wallet = node.wallet(0);
    let to = Address::repeat_byte(0x77);
    let before = wallet.get_balance(key(0).address()).await.unwrap();
    let request = TransactionRequest::default().with_to(to).with_value(U256::from(5));
    let sent = wallet.send_transaction(request).await.unwrap();
    assert_eq!(wallet.get_transaction_receipt(*sent.tx_hash()).await.unwrap(), None, "no receipt while it waits");
    let block = node.mine().await;
    let receipt = sent.get_receipt().await.unwrap();
    assert!(receipt.status());
    assert_eq!((receipt.gas_used, receipt.block_hash), (21_000, Some(block.hash())));
    assert_eq!(wallet.get_balance(to).await.unwrap(), U256::from(5));
    let paid = U256::from(receipt.effective_gas_price) * U256::from(21_000);
    assert_eq!(wallet.get_balance(key(0).address()).await.unwrap(), before - paid - U256::from(5));
    assert_eq!(wallet.get_transaction_count(key(0).address()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_deployed_called_and_its_log_is_found() {
    let node = Node::start().await;
    let wallet = node.wallet(0);
    let deploy = TransactionRequest::default().with_deploy_code(creation(&recorder()));
    let sent = wallet.send_transaction(deploy).await.unwrap();
    node.mine().await;
    let deployed = sent.get_receipt().await.unwrap();
    let contract = deployed.contract_address().expect("a contract was created");
    assert_eq!(contract, key(0).address().create(0));
    assert_eq!(wallet.get_code_at(contract).await.unwrap(), recorder());

    let word = B256::repeat_byte(0x99);
    let call = TransactionRequest::default().with_to(contract).with_input(word.0);
    assert_eq!(wallet.call(call.clone()).await.unwrap().as_ref(), word.as_slice(), "eth_call returns the word");
    assert_eq!(wallet.get_storage_at(contract, U256::ZERO).await.unwrap(), U256::ZERO, "eth_call changes nothing");
    let sent = wallet.send_transaction(call).await.unwrap();
    let block = node.mine().await;
    let receipt = sent.get_receipt().await.unwrap();
    assert_eq!(wallet.get_storage_at(contract, U256::ZERO).await.unwrap(), U256::from_be_bytes(word.0));

    let filters = [
        Filter::new().address(contract).event_signature(TOPIC),
        Filter::new().from_block(0).to_block(99),
        Filter::new().at_block_hash(block.hash()),
    ];
    for filter in filters {
        let logs = wallet.get_logs(&filter).await.unwrap();
        assert_eq!(logs, receipt.logs());
        assert_eq!(
            (logs[0].data().data.as_ref(), logs[0].transaction_hash),
            (word.as_slice(), Some(receipt.transaction_hash))
        );
    }
    let other = Filter::new().event_signature(B256::repeat_byte(1)).from_block(0);
    assert!(wallet.get_logs(&other).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_without_a_gap_counts_as_pending() {
    let node = Node::start().await;
    let provider = node.provider();
    let account = key(1).address();
    for nonce in [0, 1, 3] {
        send(&provider, &sign(1, transfer(nonce))).await;
    }
    assert_eq!(provider.get_transaction_count(account).await.unwrap(), 0);
    assert_eq!(provider.get_transaction_count(account).pending().await.unwrap(), 2);
    node.mine().await;
    assert_eq!(provider.get_transaction_count(account).await.unwrap(), 2);
    assert_eq!(
        provider.get_transaction_count(account).pending().await.unwrap(),
        2,
        "nonce 3 still has a gap before it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_found_while_it_waits_and_in_its_block() {
    let node = Node::start().await;
    let provider = node.provider();
    let sent = provider.send_raw_transaction(&sign(2, transfer(0))).await.unwrap();
    let hash = *sent.tx_hash();
    let waiting = provider.get_transaction_by_hash(hash).await.unwrap().expect("it waits");
    assert_eq!((waiting.block_hash, waiting.from(), waiting.nonce()), (None, key(2).address(), 0));
    let block = node.mine().await;
    let mined = provider.get_transaction_by_hash(hash).await.unwrap().expect("it is mined");
    assert_eq!((mined.block_hash, mined.block_number, mined.transaction_index), (Some(block.hash()), Some(1), Some(0)));
    assert_eq!(mined.inner.inner(), waiting.inner.inner());
    let by_place: Option<alloy::rpc::types::Transaction> =
        provider.raw_request("eth_getTransactionByBlockNumberAndIndex".into(), ("0x1", "0x0")).await.unwrap();
    assert_eq!(by_place, Some(mined));
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_that_are_suggested_get_a_transaction_into_the_next_block() {
    let node = Node::start().await;
    let wallet = node.wallet(0);
    let (gas_price, tip) =
        (wallet.get_gas_price().await.unwrap(), wallet.get_max_priority_fee_per_gas().await.unwrap());
    let history = wallet.get_fee_history(10, Default::default(), &[20.0]).await.unwrap();
    assert_eq!(history.base_fee_per_gas.len(), 2, "genesis and the next block");
    assert!(history.base_fee_per_gas[1] < history.base_fee_per_gas[0], "an empty block lowers the base fee");
    assert_eq!(gas_price, history.base_fee_per_gas[0] + tip, "estimating at the head must be possible with it");
    let legacy = TransactionRequest::default().with_to(Address::ZERO).with_value(U256::ONE).with_gas_price(gas_price);
    let sent = wallet.send_transaction(legacy).await.unwrap();
    let block = node.mine().await;
    assert_eq!(block.header().base_fee_per_gas().map(u128::from), Some(history.base_fee_per_gas[1]));
    assert_eq!(sent.get_receipt().await.unwrap().effective_gas_price, gas_price);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_library_asks_first_is_answered() {
    let node = Node::start().await;
    let provider = node.provider();
    assert_eq!(provider.get_chain_id().await.unwrap(), CHAIN_ID);
    assert_eq!(provider.get_net_version().await.unwrap(), CHAIN_ID);
    assert!(provider.get_client_version().await.unwrap().starts_with("Fermata/v"));
    assert!(provider.get_accounts().await.unwrap().is_empty());
    let syncing: bool = provider.raw_request("eth_syncing".into(), ()).await.unwrap();
    let listening: bool = provider.raw_request("net_listening".into(), ()).await.unwrap();
    assert!(!syncing && !listening);
    assert_eq!(provider.get_sha3(b"fermata").await.unwrap(), alloy::primitives::keccak256(b"fermata"));
    assert_eq!(provider.get_block_number().await.unwrap(), 0);
    let genesis = provider.get_block_by_number(0.into()).await.unwrap().expect("genesis");
    assert_eq!(genesis.header.gas_limit, GAS_LIMIT);
}
