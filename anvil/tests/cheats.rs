//! Anvil's cheat codes do what they say.

mod common;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use common::anvil;
use fermata_anvil::Cheats;

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
