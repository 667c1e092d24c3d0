//! What anvil does that one would not expect, and that this crate is built around. Each test states a behaviour of the
//! pinned version; one that fails after an upgrade says which part to look at again.

mod common;

use std::time::Duration;

use alloy::consensus::{SidecarBuilder, SignableTransaction, SimpleCoder, TxEip4844, TxEip4844WithSidecar};
use alloy::eips::eip7594::BlobTransactionSidecarVariant;
use alloy::eips::{BlockId, BlockNumberOrTag, Encodable2718};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::signers::SignerSync;
use alloy::transports::TransportResult;
use common::{GENESIS, anvil, anvil_with_clock, funded_key, signed_payment, system_clock};
use fermata_anvil::{Anvil, AnvilConfig, Cheats, Hardfork};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn ask(provider: &DynProvider, method: &'static str, params: Value) -> TransportResult<Value> {
    provider.raw_request(method.into(), params).await
}

async fn timestamp(provider: &DynProvider, tag: BlockNumberOrTag) -> u64 {
    provider.get_block(BlockId::Number(tag)).await.expect("an answer").expect("a block").header.timestamp
}

async fn head(provider: &DynProvider) -> u64 {
    timestamp(provider, BlockNumberOrTag::Latest).await
}

fn code(refused: TransportResult<Value>) -> i64 {
    refused.expect_err("a refusal").as_error_resp().expect("an answer").code
}

async fn send(provider: &DynProvider, nonce: u64, tip: u64) -> TransportResult<Value> {
    let (_, raw) = signed_payment(&funded_key(1), nonce, U256::from(tip));
    ask(provider, "eth_sendRawTransaction", json!([raw])).await
}

#[tokio::test]
async fn a_timestamp_before_the_head_is_refused() {
    let (_anvil, provider) = anvil().await;
    for method in ["evm_setNextBlockTimestamp", "evm_mine"] {
        assert_eq!(code(ask(&provider, method, json!([GENESIS.0 - 1])).await), -32_602);
    }
}

#[tokio::test]
async fn the_heads_own_timestamp_is_accepted_once_more() {
    let (_anvil, provider) = anvil().await;
    ask(&provider, "evm_mine_detailed", json!([{ "timestamp": GENESIS.0 }])).await.expect("accepted");
    assert_eq!(head(&provider).await, GENESIS.0, "two blocks with one timestamp: no L1 has that");
}

#[tokio::test]
async fn set_time_goes_back_and_so_does_the_next_block() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    l1_clock.warp_to(GENESIS.plus_secs(10_000)).await.expect("warped");
    ask(&provider, "anvil_setTime", json!([GENESIS.0 + 5_000])).await.expect("accepted");
    ask(&provider, "evm_mine", json!([])).await.expect("mined");
    assert!(head(&provider).await < GENESIS.0 + 10_000, "the block is earlier than its parent");
}

#[tokio::test]
async fn of_two_next_timestamps_the_first_is_lost_without_a_word() {
    let (_anvil, provider) = anvil().await;
    for target in [GENESIS.0 + 500, GENESIS.0 + 700] {
        ask(&provider, "evm_setNextBlockTimestamp", json!([target])).await.expect("accepted");
    }
    ask(&provider, "evm_mine", json!([])).await.expect("mined");
    assert_eq!(head(&provider).await, GENESIS.0 + 700);
}

#[tokio::test]
async fn increase_time_answers_with_the_whole_offset_not_with_its_own_part() {
    let (_anvil, provider) = anvil().await;
    let first = ask(&provider, "evm_increaseTime", json!([100])).await.expect("accepted").as_i64().expect("a number");
    let second = ask(&provider, "evm_increaseTime", json!([100])).await.expect("accepted").as_i64().expect("a number");
    assert_ne!(first, 100, "the offset from the wall clock to a genesis in the past is part of it");
    assert_eq!(second - first, 100);
}

#[tokio::test]
async fn a_timestamp_and_its_block_go_in_one_request_that_tells_what_was_mined() {
    let (_anvil, provider) = anvil().await;
    let target = format!("{:#x}", GENESIS.0 + 77);
    let mined = ask(&provider, "evm_mine_detailed", json!([{ "timestamp": target }])).await.expect("mined");
    assert_eq!(mined.as_array().expect("blocks").len(), 1);
    assert_eq!(mined[0]["timestamp"], json!(target));
}

#[tokio::test]
async fn interval_mining_counts_from_when_it_is_switched_on_not_from_the_chains_grid() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let clock = system_clock();
    let warped = GENESIS.0 + 10_000;
    l1_clock.warp_to(GENESIS.plus_secs(10_000)).await.expect("warped");
    // On a grid of two seconds from the warp, switch it on at an odd second.
    while (timestamp(&provider, BlockNumberOrTag::Pending).await - warped).is_multiple_of(2) {
        clock.sleep(Duration::from_millis(20)).await;
    }
    ask(&provider, "evm_setIntervalMining", json!([2])).await.expect("switched on");
    while head(&provider).await == warped {
        clock.sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((head(&provider).await - warped) % 2, 1, "its first block is off the grid, and so are all after it");
}

#[tokio::test]
async fn with_one_slot_in_an_epoch_safe_and_finalized_follow_the_head() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    for _ in 0..10 {
        l1_clock.mine().await.expect("a block");
    }
    for (tag, number) in [(BlockNumberOrTag::Safe, 9), (BlockNumberOrTag::Finalized, 8)] {
        let block = provider.get_block(BlockId::Number(tag)).await.expect("an answer").expect("a block");
        assert_eq!(block.header.number, number, "{tag}");
    }
}

#[tokio::test]
async fn anvils_own_reorg_gives_its_block_a_timestamp_that_does_not_increase() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    l1_clock.warp_to(GENESIS.plus_secs(10)).await.expect("mined");
    l1_clock.warp_to(GENESIS.plus_secs(20)).await.expect("mined");
    ask(&provider, "anvil_reorg", json!([1, []])).await.expect("a reorg");
    assert_eq!(head(&provider).await, GENESIS.0 + 10, "its parent's");
}

#[tokio::test]
async fn anvils_own_reorg_drops_transactions_their_receipts_and_their_nonces() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let sent = send(&provider, 0, 1).await.expect("taken");
    l1_clock.warp_to(GENESIS.plus_secs(10)).await.expect("mined");
    assert!(!ask(&provider, "eth_getTransactionReceipt", json!([sent])).await.expect("an answer").is_null());
    ask(&provider, "anvil_reorg", json!([1, []])).await.expect("a reorg");
    assert!(ask(&provider, "eth_getTransactionReceipt", json!([sent])).await.expect("an answer").is_null());
    let pool = ask(&provider, "txpool_status", json!([])).await.expect("an answer");
    assert_eq!((&pool["pending"], &pool["queued"]), (&json!("0x0"), &json!("0x0")));
    assert_eq!(provider.get_transaction_count(funded_key(1).address()).await.expect("a nonce"), 0);
}

#[tokio::test]
async fn a_reorg_deeper_than_the_chain_is_refused() {
    let (_anvil, provider) = anvil().await;
    assert_eq!(code(ask(&provider, "anvil_reorg", json!([1, []])).await), -32_602);
    assert_eq!(code(ask(&provider, "anvil_rollback", json!([1])).await), -32_602);
}

#[tokio::test]
async fn the_pool_takes_a_replacement_that_no_other_node_would() {
    let (_anvil, provider) = anvil().await;
    let gwei = 1_000_000_000;
    send(&provider, 0, gwei).await.expect("taken");
    send(&provider, 0, gwei).await.expect_err("the same fee is refused");
    send(&provider, 0, gwei + gwei / 2)
        .await
        .expect("half a gwei more, 4.5 % of the whole, is accepted; geth wants 10 %");
}

#[tokio::test]
async fn it_is_no_beacon_node() {
    let (anvil, _) = anvil().await;
    assert_eq!(http_status(anvil.port(), "/eth/v1/beacon/genesis").await, 200);
    assert_eq!(http_status(anvil.port(), "/eth/v1/beacon/blob_sidecars/head").await, 410);
    for missing in ["/eth/v1/config/spec", "/eth/v1/node/version", "/eth/v1/beacon/headers/head"] {
        assert_eq!(http_status(anvil.port(), missing).await, 404, "{missing}");
    }
}

#[tokio::test]
async fn it_has_no_engine_api() {
    let (_anvil, provider) = anvil().await;
    assert_eq!(code(ask(&provider, "engine_exchangeCapabilities", json!([[]])).await), -32_601);
}

#[tokio::test]
async fn node_info_tells_the_wrong_time_of_a_fresh_chain() {
    let (_anvil, provider) = anvil().await;
    let info = ask(&provider, "anvil_nodeInfo", json!([])).await.expect("an answer");
    assert_eq!(info["currentBlockTimestamp"], json!(1));
    assert_eq!(head(&provider).await, GENESIS.0, "the block tells the right one");
}

#[tokio::test]
async fn the_fork_is_the_one_that_is_asked_for_and_osaka_caps_a_transactions_gas() {
    for (hardfork, name) in [(Hardfork::Osaka, "Osaka"), (Hardfork::Prague, "Prague")] {
        let anvil =
            Anvil::start(&AnvilConfig { hardfork, ..AnvilConfig::default() }, system_clock()).await.expect("anvil");
        let provider = anvil.provider().expect("a provider");
        let info = ask(&provider, "anvil_nodeInfo", json!([])).await.expect("an answer");
        assert_eq!(info["hardFork"], json!(name));
        let large = json!([{ "from": funded_key(0).address(), "to": Address::ZERO, "gas": "0x1000001" }]);
        let taken = ask(&provider, "eth_sendTransaction", large).await;
        assert_eq!(taken.is_ok(), hardfork == Hardfork::Prague, "{taken:?}");
    }
}

#[tokio::test]
async fn osaka_takes_blobs_with_cell_proofs_but_still_those_with_old_proofs_that_a_real_l1_refuses() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let cheats = Cheats::new(provider.clone());
    let (blob, transactions) = blob_transactions();
    for (hash, raw) in transactions {
        ask(&provider, "eth_sendRawTransaction", json!([raw])).await.expect("taken");
        l1_clock.mine().await.expect("a block");
        assert!(provider.get_transaction_receipt(hash).await.expect("an answer").expect("a receipt").status());
        let blobs = cheats.blobs_of(hash).await.expect("an answer");
        assert_eq!(blobs.len(), 1);
        assert!(blobs[0].as_slice() == blob, "another blob came back");
    }
    assert!(cheats.blobs_of(B256::ZERO).await.expect("an answer").is_empty());
}

/// A blob, and a transaction with it for each version of its sidecar.
fn blob_transactions() -> (Vec<u8>, [(B256, Bytes); 2]) {
    let builder = SidecarBuilder::<SimpleCoder>::from_slice(b"a checkpoint");
    let old = builder.clone().build_4844().expect("a sidecar");
    let new = builder.build_7594().expect("a sidecar");
    (old.blobs[0].to_vec(), [blob_transaction(0, old.into()), blob_transaction(1, new.into())])
}

fn blob_transaction(nonce: u64, sidecar: BlobTransactionSidecarVariant) -> (B256, Bytes) {
    let transaction = TxEip4844 {
        chain_id: 31_337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        max_fee_per_blob_gas: 10_000_000_000,
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        ..TxEip4844::default()
    };
    let transaction = TxEip4844WithSidecar { tx: transaction, sidecar };
    let signature = funded_key(2).sign_hash_sync(&transaction.signature_hash()).expect("a signature");
    let signed = transaction.into_signed(signature);
    (*signed.hash(), signed.encoded_2718().into())
}

/// The status of `GET path`.
async fn http_status(port: u16, path: &str) -> u16 {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
}
