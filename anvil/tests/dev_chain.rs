//! The dev chain: a real L1 with the real contracts, and a committee that stands.

mod common;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use common::system_clock;
use fermata_anvil::{AnvilError, DeployConfig, DevChain, DevChainConfig, L1Head};
use fermata_primitives::UnixTime;
use fermata_rollup::contracts::IRollup;

#[tokio::test]
async fn a_committee_stands_and_l1_time_is_wall_time() {
    let clock = system_clock();
    let started = clock.monotonic();
    let chain = DevChain::start(DevChainConfig::default(), clock.clone()).await.expect("a dev chain");
    println!("{:?} of {:?}: {:?}", chain.took.total(), clock.monotonic() - started, chain.took);
    let rollup = IRollup::new(chain.deployment.addresses.rollup, &chain.provider);

    let epoch = rollup.getCurrentEpoch().call().await.expect("an epoch");
    let committee = rollup.getEpochCommittee(epoch).call().await.expect("a committee");
    let mut members: Vec<Address> = committee;
    let mut validators: Vec<Address> = chain.accounts.validators.iter().map(|key| key.address()).collect();
    members.sort();
    validators.sort();
    assert_eq!(members, validators);
    let proposer = rollup.getCurrentProposer().call().await.expect("a proposer");
    assert!(validators.contains(&proposer), "{proposer} is no validator");

    let head = chain.provider.get_block(alloy::eips::BlockId::latest()).await.expect("a block").expect("a head");
    let (now, head) = (clock.now(), UnixTime::from_millis(head.header.timestamp * 1_000));
    assert!(now.since(head).max(head.since(now)).as_millis() < 2_000, "the head is at {head}, and it is {now}");

    let opens = UnixTime::from(chain.frame_opens(chain.first_slot));
    println!("first frame opens in {:?}", opens.since(clock.now()));
    let patience = chain.deployment.times.slot() + DevChainConfig::default().node_start;
    assert!(opens > now && opens.since(now) <= patience, "a frame opens within a slot of the node's start");
    let of_slot = rollup.getTimestampForSlot(U256::from(chain.first_slot.0)).call().await.expect("a time");
    assert_eq!(of_slot, U256::from(chain.deployment.times.start_of(chain.first_slot).0));

    let stopping = clock.monotonic();
    chain.stop().await.expect("stopped");
    println!("stopped in {:?}", clock.monotonic() - stopping);
}

#[tokio::test]
async fn other_lengths_and_sizes_stand_as_well_and_blocks_come_on_the_rollups_grid() {
    let clock = system_clock();
    let deploy = DeployConfig {
        l1_chain_id: 777,
        slot_secs: 6,
        ethereum_slot_secs: 2,
        epoch_slots: 1,
        committee_size: 2,
        validator_set_lag_epochs: 1,
        ..DeployConfig::default()
    };
    let config = DevChainConfig { deploy, validators: 3, ..DevChainConfig::default() };
    let chain = DevChain::start(config, clock.clone()).await.expect("a dev chain");
    let rollup = IRollup::new(chain.deployment.addresses.rollup, &chain.provider);
    assert_eq!(rollup.getActiveAttesterCount().call().await.expect("a count"), U256::from(3));
    let epoch = rollup.getCurrentEpoch().call().await.expect("an epoch");
    assert_eq!(rollup.getEpochCommittee(epoch).call().await.expect("a committee").len(), 2);
    for publisher in &chain.accounts.publishers {
        let balance = chain.provider.get_balance(publisher.address()).await.expect("a balance");
        assert!(balance > U256::ZERO, "{} cannot pay", publisher.address());
    }

    let mut heads = chain.l1_clock.heads();
    for _ in 0..2 {
        heads.changed().await.expect("a block");
        let L1Head { timestamp, .. } = *heads.borrow_and_update();
        assert_eq!((timestamp.0 - chain.deployment.times.genesis().0) % 2, 0, "{timestamp} is off the grid");
        let late = clock.now().since(timestamp.into());
        assert!(late < std::time::Duration::from_secs(2), "the block of {timestamp} came {late:?} late");
    }
}

#[tokio::test]
async fn fewer_validators_than_seats_are_refused_before_anything_starts() {
    let config = DevChainConfig { validators: 3, ..DevChainConfig::default() };
    let error = DevChain::start(config, system_clock()).await.expect_err("three for four seats");
    assert!(matches!(error, AnvilError::InvalidConfig { key: "validators", .. }), "{error}");
}
