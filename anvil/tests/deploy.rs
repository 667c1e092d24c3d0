//! Deployment and staking against the real contracts.

mod common;

use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::signers::local::PrivateKeySigner;
use common::{GENESIS, anvil_with_clock, funded_key, system_clock};
use fermata_anvil::{
    Anvil, AnvilConfig, AnvilError, AnvilMining, BlsSecret, DeployConfig, Deployment, EscapeHatchConfig, L1Access,
    L1Clock, Mining, StakeDeposit, ValidatorRegistration, connect, deploy, find_artifacts, registration_digest, stake,
    submit_deposits,
};
use fermata_rollup::contracts::{IGse, IRegistry, IRollup};

alloy::sol! {
    #[sol(rpc)]
    interface IDigest {
        struct Point {
            uint256 x;
            uint256 y;
        }
        function getRegistrationDigest(Point memory _publicKey) external view returns (Point memory);
    }

    #[sol(rpc)]
    interface IConfig {
        function owner() external view returns (address);
        function getEjectionThreshold() external view returns (uint256);
        function getLocalEjectionThreshold() external view returns (uint256);
        function getExitDelay() external view returns (uint256);
        function getProvingCostPerManaInEth() external view returns (uint256);
        function getEthPerFeeAsset() external view returns (uint256);
    }
}

/// Every value another than the default.
fn odd_config() -> DeployConfig {
    let mut config = DeployConfig {
        slot_secs: 24,
        ethereum_slot_secs: 12,
        epoch_slots: 8,
        committee_size: 2,
        validator_set_lag_epochs: 3,
        randao_lag_epochs: 2,
        proof_submission_epochs: 7,
        mana_target: 123_456_789,
        proving_cost_per_mana: 4_321,
        initial_eth_per_fee_asset: 7_654_321,
        activation_threshold: U256::from(1_000),
        ejection_threshold: U256::from(400),
        local_ejection_threshold: U256::from(900),
        exit_delay_secs: 1_234,
        genesis_archive: B256::repeat_byte(0x5a),
        version: Some(77),
        ..DeployConfig::default()
    };
    config.staking_queue.normal_flush_size_min = 3;
    config
}

fn access(provider: &DynProvider, l1_clock: &L1Clock) -> L1Access {
    L1Access {
        provider: provider.clone(),
        deployer: funded_key(0),
        mining: Mining::ByUs(l1_clock.clone()),
        clock: system_clock(),
    }
}

async fn deployed(config: DeployConfig, access: L1Access) -> Deployment {
    deploy(config, &find_artifacts().expect("artifacts"), access).await.expect("a deployment")
}

async fn refused(config: DeployConfig, access: L1Access) -> AnvilError {
    deploy(config, &find_artifacts().expect("artifacts"), access).await.expect_err("it must be refused")
}

fn registration(index: u8, withdrawer: Address) -> ValidatorRegistration {
    let bls_secret = BlsSecret::from_bytes(&B256::repeat_byte(index)).expect("a secret");
    ValidatorRegistration { attester: Address::repeat_byte(index), withdrawer, bls_secret }
}

#[tokio::test]
async fn the_contract_reports_every_configured_value() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let config = odd_config();
    let Deployment { addresses, times, gas_used } = deployed(config.clone(), access(&provider, &l1_clock)).await;
    println!("deployment: {gas_used} gas");
    let rollup = IRollup::new(addresses.rollup, &provider);
    let number = |value: u64| U256::from(value);
    macro_rules! reports {
        ($call:ident, $value:expr) => {
            assert_eq!(rollup.$call().call().await.expect("an answer"), $value, stringify!($call));
        };
    }
    reports!(getSlotDuration, number(config.slot_secs));
    reports!(getEpochDuration, number(config.epoch_slots));
    reports!(getTargetCommitteeSize, number(config.committee_size));
    reports!(getLagInEpochsForValidatorSet, number(config.validator_set_lag_epochs));
    reports!(getLagInEpochsForRandao, number(config.randao_lag_epochs));
    reports!(getProofSubmissionEpochs, number(config.proof_submission_epochs));
    reports!(getManaTarget, number(config.mana_target));
    reports!(getActivationThreshold, config.activation_threshold);
    reports!(getEntryQueueFlushSize, number(3));
    reports!(getVersion, number(77));
    reports!(archive, config.genesis_archive);
    reports!(getGenesisTime, number(times.genesis().0));
    reports!(L1_BLOCK_AT_GENESIS, number(addresses.deployed_at_block));
    reports!(getInbox, addresses.inbox);
    reports!(getGSE, addresses.gse);
    reports!(getFeeAsset, addresses.fee_asset);
    reports!(getStakingAsset, addresses.staking_asset);
    reports!(owner, addresses.governance);
    assert_ne!(rollup.getSlasher().call().await.expect("an answer"), Address::ZERO);

    let more = IConfig::new(addresses.rollup, &provider);
    assert_eq!(more.getEjectionThreshold().call().await.expect("an answer"), config.ejection_threshold);
    assert_eq!(more.getLocalEjectionThreshold().call().await.expect("an answer"), config.local_ejection_threshold);
    assert_eq!(more.getExitDelay().call().await.expect("an answer"), number(config.exit_delay_secs));
    assert_eq!(
        more.getProvingCostPerManaInEth().call().await.expect("an answer"),
        number(config.proving_cost_per_mana)
    );
    assert_eq!(more.getEthPerFeeAsset().call().await.expect("an answer"), number(config.initial_eth_per_fee_asset));

    let registry = IRegistry::new(addresses.registry, &provider);
    assert_eq!(registry.getCanonicalRollup().call().await.expect("an answer"), addresses.rollup);
    assert_eq!(registry.getGovernance().call().await.expect("an answer"), addresses.governance);
    let gse = IGse::new(addresses.gse, &provider);
    assert_eq!(gse.getLatestRollup().call().await.expect("an answer"), addresses.rollup);
    assert_eq!(gse.getGovernance().call().await.expect("an answer"), addresses.governance);
    let gse_owner = IConfig::new(addresses.gse, &provider).owner().call().await.expect("an answer");
    assert_eq!(gse_owner, addresses.governance);
    let multicall3 = provider.get_code_at(addresses.multicall3).await.expect("an answer");
    assert_eq!(multicall3.len(), 0xee0, "the code of Multicall3");
}

#[tokio::test]
async fn a_deployment_works_also_where_the_chain_mines_and_multicall3_is_there_already() {
    let config = AnvilConfig { mining: AnvilMining::EachTransaction, chain_id: 4_242, ..AnvilConfig::default() };
    let anvil = Anvil::start(&config, system_clock()).await.expect("anvil");
    let provider = anvil.provider().expect("a provider");
    let mining = Mining::ByTheChain { wait: Duration::from_secs(10) };
    let access = L1Access { provider: provider.clone(), deployer: funded_key(0), mining, clock: system_clock() };
    let config = DeployConfig { l1_chain_id: 4_242, ..DeployConfig::default() };
    let first = deployed(config.clone(), access.clone()).await;
    let second = deployed(config, access.clone()).await;
    assert_ne!(first.addresses.rollup, second.addresses.rollup);
    assert!(second.gas_used < first.gas_used - 800_000, "Multicall3 is not deployed twice");
    let withdrawer = access.deployer.address();
    stake(access, &second.addresses, &[registration(1, withdrawer)]).await.expect("staked");
}

#[tokio::test]
async fn a_rollup_without_a_committee_is_deployed_without_a_slasher() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let config = DeployConfig { committee_size: 0, ..DeployConfig::default() };
    let deployment = deployed(config, access(&provider, &l1_clock)).await;
    let rollup = IRollup::new(deployment.addresses.rollup, &provider);
    assert_eq!(rollup.getSlasher().call().await.expect("an answer"), Address::ZERO);
    assert_eq!(rollup.getTargetCommitteeSize().call().await.expect("an answer"), U256::ZERO);
}

#[tokio::test]
async fn every_transaction_uses_less_gas_than_it_may_with_some_to_spare() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let access = access(&provider, &l1_clock);
    let escape_hatch = Some(EscapeHatchConfig::default());
    let everything = DeployConfig { proof_submission_epochs: 1, escape_hatch, ..DeployConfig::default() };
    let deployment = deployed(everything, access.clone()).await;
    let validators: Vec<_> = (1..=24).map(|index| registration(index, access.deployer.address())).collect();
    stake(access, &deployment.addresses, &validators).await.expect("staked");
    let mut seen = 0;
    for number in 0..=provider.get_block_number().await.expect("a number") {
        let block = provider.get_block(number.into()).full().await.expect("a block").expect("it is there");
        for transaction in block.transactions.into_transactions() {
            let receipt = provider.get_transaction_receipt(*transaction.inner.tx_hash()).await.expect("an answer");
            let used = receipt.expect("a receipt").gas_used;
            let allowed = alloy::consensus::Transaction::gas_limit(&transaction);
            println!("{used:>9} of {allowed:>9}");
            // A payment uses exactly what it may.
            assert!(used == 21_000 || used * 100 <= allowed * 95, "{used} of {allowed} gas leaves too little to spare");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} transactions");
}

#[tokio::test]
async fn an_l1_that_does_not_answer_another_chain_and_an_empty_account_are_told_apart() {
    let (anvil, provider, l1_clock) = anvil_with_clock().await;
    let good = access(&provider, &l1_clock);

    let other = DeployConfig { l1_chain_id: 1, ..DeployConfig::default() };
    let error = refused(other, good.clone()).await;
    assert!(matches!(error, AnvilError::WrongChain { expected: 1, actual: 31_337 }), "{error}");

    let poor = L1Access { deployer: PrivateKeySigner::random(), ..good.clone() };
    let error = refused(DeployConfig::default(), poor).await;
    assert!(matches!(error, AnvilError::WithoutFunds { balance: U256::ZERO, .. }), "{error}");

    let mut broken = DeployConfig::default();
    broken.slashing.quorum = Some(1);
    let error = refused(broken, good.clone()).await;
    assert!(matches!(error, AnvilError::InvalidConfig { key: "slashing.quorum", .. }), "{error}");

    let nowhere = tempfile::tempdir().expect("a folder");
    let error = deploy(DeployConfig::default(), nowhere.path(), good.clone()).await.expect_err("no artifacts");
    assert!(matches!(error, AnvilError::Artifact { .. }), "{error}");

    let sent = provider.get_transaction_count(good.deployer.address()).pending().await.expect("a nonce");
    assert_eq!(sent, 0, "none of these sent anything");
    anvil.stop().await.expect("stopped");
    let error = refused(DeployConfig::default(), good).await;
    assert!(matches!(error, AnvilError::L1Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_chain_on_which_no_block_comes_is_given_up_by_the_name_of_the_transaction() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let mining = Mining::ByTheChain { wait: Duration::from_millis(100) };
    let error = refused(DeployConfig::default(), L1Access { mining, ..access(&provider, &l1_clock) }).await;
    assert!(matches!(error, AnvilError::NotMined { .. }), "{error}");
}

#[tokio::test]
async fn validators_are_registered_through_the_contracts_and_a_repeated_one_is_refused_by_name() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let access = access(&provider, &l1_clock);
    let addresses = deployed(DeployConfig::default(), access.clone()).await.addresses;
    let withdrawer = access.deployer.address();
    let validators: Vec<_> = (1..=4).map(|index| registration(index, withdrawer)).collect();
    stake(access.clone(), &addresses, &validators).await.expect("staked");
    let rollup = IRollup::new(addresses.rollup, &provider);
    assert_eq!(rollup.getActiveAttesterCount().call().await.expect("an answer"), U256::from(4));
    for validator in &validators {
        let view = rollup.getAttesterView(validator.attester).call().await.expect("an answer");
        assert_eq!(view.status, 1);
        assert_eq!(view.effectiveBalance, DeployConfig::default().activation_threshold);
        assert_eq!(view.config.withdrawer, withdrawer);
        assert_eq!(view.config.publicKey, validator.bls_secret.public_key_g1());
    }
    let again = stake(access, &addresses, &validators[1..2]).await;
    assert!(
        matches!(&again, Err(AnvilError::DepositRefused { attesters }) if *attesters == [validators[1].attester]),
        "{again:?}"
    );
}

#[tokio::test]
async fn the_contract_hashes_keys_to_the_points_that_we_sign() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let addresses = deployed(DeployConfig::default(), access(&provider, &l1_clock)).await.addresses;
    let gse = IDigest::new(addresses.gse, &provider);
    for byte in 1..=20 {
        let key = BlsSecret::from_bytes(&B256::repeat_byte(byte)).expect("a secret").public_key_g1();
        let theirs = gse.getRegistrationDigest(IDigest::Point { x: key.x, y: key.y }).call().await.expect("a point");
        let ours = registration_digest(&key);
        assert_eq!((theirs.x, theirs.y), (ours.x, ours.y), "of key {byte}");
    }
}

#[tokio::test]
async fn a_wrong_proof_of_possession_is_refused_by_name_and_the_others_are_let_in() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let access = access(&provider, &l1_clock);
    let addresses = deployed(DeployConfig::default(), access.clone()).await.addresses;
    let withdrawer = access.deployer.address();
    let mut deposits = [1, 2, 3].map(|index| StakeDeposit::from(&registration(index, withdrawer)));
    deposits[1].proof_of_possession = deposits[2].proof_of_possession.clone();
    let refused = submit_deposits(access, &addresses, &deposits).await;
    assert!(
        matches!(&refused, Err(AnvilError::DepositRefused { attesters }) if *attesters == [deposits[1].attester]),
        "{refused:?}"
    );
    let rollup = IRollup::new(addresses.rollup, &provider);
    assert_eq!(rollup.getActiveAttesterCount().call().await.expect("an answer"), U256::from(2));
}

#[tokio::test]
async fn validators_for_whom_there_is_no_room_are_named_as_waiting() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let access = access(&provider, &l1_clock);
    let addresses = deployed(odd_config(), access.clone()).await.addresses;
    let validators: Vec<_> = (1..=5).map(|index| registration(index, access.deployer.address())).collect();
    let waiting = stake(access, &addresses, &validators).await;
    let last = [validators[3].attester, validators[4].attester];
    assert!(matches!(&waiting, Err(AnvilError::StillQueued { attesters }) if *attesters == last), "{waiting:?}");
}

#[tokio::test]
async fn a_revert_is_reported_with_the_contracts_own_words() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let owner = access(&provider, &l1_clock);
    let addresses = deployed(DeployConfig::default(), owner.clone()).await.addresses;
    let stranger = L1Access { deployer: funded_key(5), ..owner };
    let withdrawer = stranger.deployer.address();
    let error = stake(stranger, &addresses, &[registration(1, withdrawer)]).await.expect_err("it may not mint");
    let AnvilError::Reverted { action, reason, .. } = &error else { panic!("another error: {error}") };
    assert_eq!(*action, "mint the stake");
    assert!(reason.contains("NotMinter"), "{reason}");
}

#[tokio::test]
async fn an_address_without_the_contract_is_named() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let access = access(&provider, &l1_clock);
    let mut addresses = deployed(DeployConfig::default(), access.clone()).await.addresses;
    addresses.rollup = Address::repeat_byte(0xee);
    let error = stake(access, &addresses, &[registration(1, Address::repeat_byte(9))]).await.expect_err("no contract");
    assert!(matches!(error, AnvilError::NoSuchContract { address, .. } if address == addresses.rollup), "{error}");
}

#[tokio::test]
async fn the_rollups_genesis_is_the_block_that_deployed_it() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    let deployment = deployed(DeployConfig::default(), access(&provider, &l1_clock)).await;
    let number = deployment.addresses.deployed_at_block;
    let block = provider.get_block(number.into()).await.expect("a block").expect("it is there");
    assert_eq!(block.header.timestamp, deployment.times.genesis().0);
    assert!(deployment.times.genesis() > GENESIS);
}

#[test]
fn a_provider_is_made_without_asking_anybody() {
    connect("http://127.0.0.1:1").expect("nothing is asked yet");
}
