//! The dev chain: a real L1 with the real contracts, and a committee that stands.

mod common;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use common::system_clock;
use fermata_anvil::{DevChain, DevChainConfig};
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
