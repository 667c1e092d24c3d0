//! Top-ups through the real Multicall3 on a real anvil.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::time::Duration;

use alloy::primitives::U256;
use alloy::providers::Provider;
use common::anvil::TestAnvil;
use common::{PATIENCE, signer};
use fermata_primitives::{Clock, SystemClock};
use fermata_publisher::{
    FundingConfig, MULTICALL3_ADDRESS, PublisherConfig, PublisherKeys, PublisherManager, ToppedUp,
};

fn milliether(count: u64) -> U256 {
    U256::from(count) * U256::from(10).pow(U256::from(15))
}

/// What each publisher was given, once all were given something.
async fn given(manager: &PublisherManager) -> Vec<ToppedUp> {
    let all_are = async {
        loop {
            let status = manager.status().await.unwrap();
            let given: Vec<_> = status.accounts.iter().map(|account| account.topped_up).collect();
            if given.iter().all(|given| given.times > 0) {
                return given;
            }
            SystemClock.sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_are).await.expect("not all were topped up")
}

#[tokio::test]
async fn those_that_run_low_share_one_call_of_the_real_multicall_and_hold_the_target_then() {
    let (anvil, dir) = (TestAnvil::start(1).await, tempfile::tempdir().unwrap());
    anvil.set_multicall().await;
    let funding = FundingConfig::new(milliether(100), milliether(200), milliether(1_000));
    let config = PublisherConfig { funding: Some(funding), ..TestAnvil::config(dir.path()) };
    let keys = PublisherKeys { publishers: vec![signer(1), signer(2), signer(3)], funder: Some(signer(0)) };
    let manager = anvil.open_with(config, keys);
    manager.start().await.unwrap();
    anvil.until_pooled(1).await;
    anvil.mine().await;
    let expected = ToppedUp { times: 1, wei: milliether(200) };
    assert_eq!(given(&manager).await, [expected; 3]);
    for publisher in 1..=3 {
        let balance = anvil.provider.get_balance(signer(publisher).address()).await.unwrap();
        assert_eq!(balance, milliether(200), "publisher {publisher}");
    }
    let hashes = anvil.latest_hashes().await;
    let receipt = anvil.provider.get_transaction_receipt(hashes[0]).await.unwrap().unwrap();
    assert_eq!((hashes.len(), receipt.to), (1, Some(MULTICALL3_ADDRESS)));
    assert_eq!(anvil.provider.get_balance(MULTICALL3_ADDRESS).await.unwrap(), U256::ZERO, "nothing stays behind");
}
