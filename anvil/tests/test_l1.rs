//! The L1 of a test: an anvil of the pool, and a rollup from a cached state.

mod common;

use std::sync::Arc;
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider};
use common::{funded_key, signed_payment, system_clock};
use fermata_anvil::{
    AnvilConfig, AnvilError, AnvilPool, Cheats, DeployConfig, DevChain, DevChainConfig, L1Clock, LeasedAnvil, TestL1,
};
use fermata_primitives::{Clock, L1FollowingClock, L1Timestamp, UnixTime};
use fermata_rollup::contracts::IRollup;
use serde_json::{Value, json};

/// Two validators and short epochs: its state is made quickly.
fn small() -> DevChainConfig {
    let deploy = DeployConfig { epoch_slots: 2, committee_size: 2, ..DeployConfig::default() };
    DevChainConfig { deploy, validators: 2, ..DevChainConfig::default() }
}

/// The pool keeps but some idle anvils: tests that want a certain one back, and those that bring others, come one at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn ask(provider: &DynProvider, method: &'static str, params: Value) -> Value {
    provider.raw_request(method.into(), params).await.expect("an answer")
}

async fn block(provider: &DynProvider, tag: &str) -> Value {
    ask(provider, "eth_getBlockByNumber", json!([tag, false])).await
}

async fn lease() -> (LeasedAnvil, DynProvider) {
    let config = AnvilConfig { genesis_timestamp: Some(common::GENESIS), ..AnvilConfig::default() };
    let anvil = AnvilPool::of_this_process().lease(&config).await.expect("an anvil");
    let provider = anvil.provider().expect("a provider");
    (anvil, provider)
}

/// Waits until the anvil of that process serves again.
async fn lease_of(pid: Option<u32>) -> (LeasedAnvil, DynProvider) {
    let mut others = Vec::new();
    loop {
        let (anvil, provider) = lease().await;
        if anvil.pid() == pid {
            return (anvil, provider);
        }
        assert!(others.len() < 8, "the anvil did not come back");
        others.push(anvil);
    }
}

#[tokio::test]
async fn the_rollup_stands_its_validators_are_in_and_it_is_the_same_each_time() {
    let _alone = ALONE.lock().await;
    let clock = system_clock();
    let mut heads = Vec::new();
    for _ in 0..3 {
        let started = clock.monotonic();
        let l1 = TestL1::start(&small(), clock.clone()).await.expect("an L1");
        println!("ready after {:?}", clock.monotonic() - started);
        let rollup = IRollup::new(l1.deployment.addresses.rollup, &l1.provider);
        assert_eq!(rollup.getActiveAttesterCount().call().await.expect("a count"), U256::from(2));
        let genesis = rollup.getGenesisTime().call().await.expect("a time");
        assert_eq!(genesis, U256::from(l1.deployment.times.genesis().0));
        l1.l1_clock.mine().await.expect("a block");
        heads.push(l1.l1_clock.head());
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
}

#[tokio::test]
async fn a_restored_chain_has_a_committee_and_opens_a_frame_when_a_node_can_be_there() {
    let _alone = ALONE.lock().await;
    let clock = Arc::new(L1FollowingClock::new());
    let config = small();
    let chain = DevChain::restore(config.clone(), clock.clone()).await.expect("a chain");
    let opens = UnixTime::from(chain.frame_opens(chain.first_slot));
    assert!(opens.since(clock.now()) <= config.node_start, "it is {} and the frame opens at {opens}", clock.now());
    let rollup = IRollup::new(chain.deployment.addresses.rollup, &chain.provider);
    let epoch = rollup.getCurrentEpoch().call().await.expect("an epoch");
    assert_eq!(rollup.getEpochCommittee(epoch).call().await.expect("a committee").len(), 2);
    let finalized = rollup.getActiveAttesterCount().block(BlockId::finalized()).call().await.expect("a state");
    assert_eq!(finalized, U256::from(2));

    let mut heads = chain.l1_clock.heads();
    heads.changed().await.expect("a block");
    let (head, now) = (heads.borrow_and_update().timestamp, clock.now());
    assert_eq!(head, chain.frame_opens(chain.first_slot), "the first block of the interval");
    assert!(now.since(head.into()) < Duration::from_secs(1), "the block of {head} came at {now}");
}

#[tokio::test]
async fn whatever_one_has_changed_the_next_one_finds_an_anvil_as_new() {
    let _alone = ALONE.lock().await;
    let (anvil, provider) = lease().await;
    let (pid, genesis) = (anvil.pid(), block(&provider, "latest").await);
    let (cheats, l1_clock) =
        (Cheats::new(provider.clone()), L1Clock::own(provider.clone(), system_clock()).await.expect("a clock"));
    let somebody = Address::repeat_byte(0x55);
    cheats.set_balance(somebody, U256::from(7)).await.expect("rich");
    cheats.set_storage(somebody, U256::ZERO, B256::repeat_byte(1)).await.expect("stored");
    ask(&provider, "anvil_setCoinbase", json!([somebody])).await;
    l1_clock.set_base_fee(55_000_000_000).await.expect("set");
    l1_clock.mine().await.expect("a block");
    l1_clock.warp_to(L1Timestamp(1_950_000_000)).await.expect("warped");
    l1_clock.set_blob_fee(9_000_000_000).await.expect("set");
    l1_clock.mine().await.expect("a block");
    let (_, raw) = signed_payment(&funded_key(4), 0, U256::from(90_000_000_000u64));
    ask(&provider, "eth_sendRawTransaction", json!([raw])).await;
    for (method, params) in [
        ("evm_setBlockGasLimit", json!(["0x1000000"])),
        ("anvil_setBlockTimestampInterval", json!([17])),
        ("anvil_autoImpersonateAccount", json!([true])),
        ("anvil_setChainId", json!([5])),
        ("evm_setIntervalMining", json!([3_600])),
    ] {
        ask(&provider, method, params).await;
    }
    drop(anvil);

    let (_anvil, provider) = lease_of(pid).await;
    assert_eq!(block(&provider, "latest").await, genesis);
    assert_eq!(provider.get_balance(somebody).await.expect("a balance"), U256::ZERO);
    assert_eq!(provider.get_storage_at(somebody, U256::ZERO).await.expect("a word"), U256::ZERO);
    assert_eq!(provider.get_chain_id().await.expect("an id"), 31_337);
    assert_eq!(provider.get_transaction_count(funded_key(4).address()).pending().await.expect("a nonce"), 0);
    let unsigned = json!([{ "from": somebody, "to": somebody }]);
    provider.raw_request::<_, Value>("eth_sendTransaction".into(), unsigned).await.expect_err("nobody is impersonated");
    ask(&provider, "evm_mine", json!([])).await;
    ask(&provider, "evm_mine", json!([])).await;
    let (first, second) = (block(&provider, "0x1").await, block(&provider, "0x2").await);
    assert_eq!(first["gasLimit"], genesis["gasLimit"]);
    assert_eq!(first["miner"], genesis["miner"]);
    let time =
        |block: &Value| U256::from_str_radix(&block["timestamp"].as_str().expect("a time")[2..], 16).expect("hex");
    assert!(time(&second) - time(&first) < U256::from(17), "its blocks have no interval");
}

#[tokio::test]
async fn who_still_has_the_address_of_a_lease_that_is_over_reaches_nobody() {
    let _alone = ALONE.lock().await;
    let (anvil, provider) = lease().await;
    provider.get_block_number().await.expect("an answer");
    let (pid, url) = (anvil.pid(), anvil.url());
    drop(anvil);
    let (again, _) = lease_of(pid).await;
    assert_ne!(again.url(), url);
    // A client that asks over a connection as it ends may wait for ever: that is nobody, too.
    let reached = tokio::time::timeout(Duration::from_secs(20), provider.get_block_number()).await;
    assert!(!matches!(reached, Ok(Ok(_))), "the connection is closed and no new one leads anywhere: {reached:?}");
}

#[tokio::test]
async fn a_killed_anvil_does_not_come_back_and_a_frozen_one_does() {
    let _alone = ALONE.lock().await;
    let (killed, _) = lease().await;
    let (frozen, provider) = lease().await;
    let (dead, cold) = (killed.pid(), frozen.pid());
    let pid = rustix::process::Pid::from_raw(dead.expect("a pid").cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    frozen.freeze().expect("frozen");
    let waiting = tokio::time::timeout(Duration::from_millis(100), provider.get_block_number()).await;
    assert!(waiting.is_err(), "it is frozen, and yet: {waiting:?}");
    drop((killed, frozen));
    let (_again, provider) = lease_of(cold).await;
    provider.get_block_number().await.expect("it has thawed");
    let (other, _) = lease().await;
    assert_ne!(other.pid(), dead);
}

#[test]
fn an_anvil_outlives_the_runtime_of_the_test_that_began_with_it() {
    let _alone = ALONE.blocking_lock();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pid = runtime().block_on(async { lease().await.0.pid() });
    runtime().block_on(async {
        let (_anvil, provider) = lease_of(pid).await;
        provider.get_block_number().await.expect("it answers");
    });
}

#[tokio::test]
async fn a_configuration_that_cannot_be_is_refused_before_anything_starts() {
    let _alone = ALONE.lock().await;
    let config = DevChainConfig { validators: 1, ..small() };
    let error = TestL1::start(&config, system_clock()).await.expect_err("one for two seats");
    assert!(matches!(error, AnvilError::InvalidConfig { key: "validators", .. }), "{error}");
}
