//! Anvil's cheat codes do what they say.

mod common;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use common::{GENESIS, anvil, anvil_with_clock, funded_key, signed_payment};
use fermata_anvil::{AnvilError, Cheats};
use serde_json::{Value, json};

#[tokio::test]
async fn balance_code_and_storage_are_as_they_were_set() {
    let (_anvil, provider) = anvil().await;
    let cheats = Cheats::new(provider.clone());
    let account = Address::repeat_byte(0x42);
    cheats.set_balance(account, U256::from(123)).await.expect("set");
    cheats.set_code(account, Bytes::from_static(&[0x60, 0x00])).await.expect("set");
    cheats.set_storage(account, U256::from(7), B256::repeat_byte(9)).await.expect("set");
    assert_eq!(provider.get_balance(account).await.expect("an answer"), U256::from(123));
    assert_eq!(provider.get_code_at(account).await.expect("an answer"), Bytes::from_static(&[0x60, 0x00]));
    let stored = provider.get_storage_at(account, U256::from(7)).await.expect("an answer");
    assert_eq!(B256::from(stored), B256::repeat_byte(9));
}

#[tokio::test]
async fn a_dropped_transaction_is_not_mined_and_one_that_is_not_there_is_reported() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let cheats = Cheats::new(provider.clone());
    let (hash, raw) = signed_payment(&funded_key(1), 0, U256::from(1));
    provider.raw_request::<_, B256>("eth_sendRawTransaction".into(), (raw,)).await.expect("taken");
    assert!(cheats.drop_transaction(hash).await.expect("an answer"));
    assert!(!cheats.drop_transaction(hash).await.expect("an answer"));
    l1_clock.mine().await.expect("a block");
    assert!(provider.get_transaction_receipt(hash).await.expect("an answer").is_none());
}

#[tokio::test]
async fn the_next_block_has_the_base_fee_that_was_set() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    Cheats::new(provider.clone()).set_next_base_fee(77_000_000_000).await.expect("set");
    let head = l1_clock.mine().await.expect("a block");
    let block = provider.get_block(head.number.into()).await.expect("an answer").expect("a block");
    assert_eq!(block.header.base_fee_per_gas, Some(77_000_000_000));
}

#[tokio::test]
async fn an_impersonated_account_sends_without_a_key_until_it_is_no_longer() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let cheats = Cheats::new(provider.clone());
    let account = Address::repeat_byte(0x42);
    cheats.set_balance(account, U256::from(10).pow(U256::from(18))).await.expect("set");
    let request = json!([{ "from": account, "to": Address::ZERO, "gas": "0x5208" }]);
    let send = || provider.raw_request::<_, Value>("eth_sendTransaction".into(), request.clone());
    send().await.expect_err("there is no key");
    cheats.impersonate(account).await.expect("impersonated");
    send().await.expect("taken");
    l1_clock.mine().await.expect("a block");
    assert_eq!(provider.get_transaction_count(account).await.expect("an answer"), 1);
    cheats.stop_impersonating(account).await.expect("stopped");
    send().await.expect_err("there is no key again");
}

#[tokio::test]
async fn a_used_up_snapshot_is_a_failed_cheat() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let cheats = Cheats::new(provider);
    let snapshot = cheats.snapshot().await.expect("a snapshot");
    l1_clock.warp_to(GENESIS.plus_secs(9)).await.expect("warped");
    cheats.revert(snapshot).await.expect("back");
    let again = cheats.revert(snapshot).await;
    assert!(matches!(again, Err(AnvilError::CheatFailed { .. })), "{again:?}");
}
