//! The settings of a node on a development chain: what `fermata dev` and the test harness share.

use std::path::Path;

use alloy::primitives::{Address, B256};
use fermata_anvil::{DeployConfig, DevChain, DevChainConfig};
use fermata_execution::{ExecutionError, Genesis, GenesisAccount};

use crate::config::Setting;

/// The mnemonic of anvil's prefunded accounts: everybody knows it, so its keys are worth nothing anywhere else.
pub const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// L2 chain id of a development chain.
pub const CHAIN_ID: u64 = 31_338;

/// Ether each prefunded account has on L2.
pub const PREFUNDED_ETHER: u64 = 10_000;

/// How many accounts are prefunded on L2: the first of [`MNEMONIC`].
pub const PREFUNDED: u32 = 10;

/// Which of the accounts that anvil funds sends the proofs, where a node is a prover: the deployer's, which has nothing more
/// to send once the chain stands.
const PROVER_ACCOUNT: u32 = 0;

/// Accounts prefunded on L2, with their private keys.
///
/// # Panics
/// Never: the mnemonic and its path are constants.
#[must_use]
pub fn prefunded_accounts() -> Vec<alloy::signers::local::PrivateKeySigner> {
    fermata_validator_signer::DevMnemonic {
        phrase: MNEMONIC.to_owned().into(),
        path_prefix: "m/44'/60'/0'/0".to_owned(),
        first: 0,
        count: PREFUNDED,
    }
    .signers()
    .expect("the mnemonic is valid")
}

/// Makes the hash that the rollup is deployed with: of a genesis with these accounts.
///
/// # Errors
/// The genesis is none; never with the accounts of [`prefunded_accounts`].
pub fn genesis_archive(prefunded: &[Address]) -> Result<B256, ExecutionError> {
    let ether =
        alloy::primitives::U256::from(PREFUNDED_ETHER) * alloy::primitives::uint!(1_000_000_000_000_000_000_U256);
    let account = |address: &Address| GenesisAccount { address: *address, balance: ether, ..GenesisAccount::default() };
    let genesis = Genesis {
        chain_id: CHAIN_ID,
        gas_limit: GAS_LIMIT,
        timestamp: 0,
        base_fee: GENESIS_BASE_FEE,
        alloc: prefunded.iter().map(account).collect(),
    };
    Ok(genesis.genesis_block()?.hash())
}

const GAS_LIMIT: u64 = 30_000_000;
const GENESIS_BASE_FEE: u64 = 1_000_000_000;

/// A development chain's configuration, for accounts of [`prefunded_accounts`].
///
/// # Errors
/// As [`genesis_archive`].
pub fn chain_config() -> Result<DevChainConfig, ExecutionError> {
    let accounts: Vec<_> = prefunded_accounts().iter().map(alloy::signers::local::PrivateKeySigner::address).collect();
    let deploy = DeployConfig { genesis_archive: genesis_archive(&accounts)?, ..DeployConfig::default() };
    Ok(DevChainConfig { deploy, ..DevChainConfig::default() })
}

/// What a node on `chain` is told: short slots with several blocks, the well-known keys, ports that the system chooses.
#[must_use]
pub fn settings(chain: &DevChain, addresses_file: &Path) -> Vec<Setting> {
    let times = &chain.deployment.times;
    let validators = chain.accounts.validators.len();
    let accounts: Vec<_> =
        prefunded_accounts().iter().map(|key| format!("{}={PREFUNDED_ETHER}", key.address())).collect();
    let publishers = chain.accounts.publishers.len();
    [
        ("l1.rpc_url", chain.anvil.url()),
        ("l1.addresses_file", addresses_file.display().to_string()),
        ("l1.blobs", "anvil".to_owned()),
        ("l1.ethereum_slot_secs", times.ethereum_slot().as_secs().to_string()),
        ("l1.poll_interval_ms", "100".to_owned()),
        ("validator.mnemonic", MNEMONIC.to_owned()),
        ("validator.derivation_path", "m/44'/60'/1'/0".to_owned()),
        ("validator.count", validators.to_string()),
        // Nobody else signs with the keys of a chain that has just begun.
        ("validator.protection.listen_only_slots", "0".to_owned()),
        ("publisher.mnemonic", MNEMONIC.to_owned()),
        ("publisher.first", "1".to_owned()),
        ("publisher.count", publishers.to_string()),
        ("prover.mnemonic", MNEMONIC.to_owned()),
        ("prover.first", PROVER_ACCOUNT.to_string()),
        ("prover.proofs", "mock".to_owned()),
        ("prover.poll_interval_ms", "200".to_owned()),
        ("timetable.block_ms", "500".to_owned()),
        ("timetable.min_block_ms", "100".to_owned()),
        ("timetable.peer_ms", "0".to_owned()),
        ("timetable.assemble_ms", "400".to_owned()),
        ("timetable.prepare_ms", "50".to_owned()),
        ("sequencer.poll_interval_ms", "50".to_owned()),
        ("execution.chain_id", CHAIN_ID.to_string()),
        ("execution.prefunded", accounts.join(",")),
        ("execution.genesis_base_fee_wei", GENESIS_BASE_FEE.to_string()),
        ("execution.gas_limit", GAS_LIMIT.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| Setting::new(key, value, "the development chain"))
    .collect()
}

/// A node's share of what the development chain has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Which of the nodes it is, from 0.
    pub place: u32,
    /// How many nodes there are.
    pub of: u32,
}

impl Seat {
    /// Most nodes of one chain: each has an L1 account of its own, of those that anvil funds.
    pub const MOST: u32 = 8;

    /// What the node here is told beside [`settings`]: its share of `validators`, one after the other, and its L1 account.
    #[must_use]
    pub fn settings(self, validators: u32) -> Vec<Setting> {
        let Self { place, of } = self;
        let first = |place: u32| place * (validators / of) + place.min(validators % of);
        [
            ("validator.first", first(place).to_string()),
            ("validator.count", (first(place + 1) - first(place)).to_string()),
            ("publisher.first", (1 + place).to_string()),
            ("publisher.count", "1".to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| Setting::new(key, value, "the development chain"))
        .collect()
    }
}

/// Values for keys that a command must have and has no use for: where L1 is, and whose keys sign.
#[must_use]
pub fn placeholders() -> Vec<Setting> {
    let nowhere = [
        ("l1.rpc_url", "http://127.0.0.1:8545"),
        ("l1.addresses_file", "addresses.json"),
        ("l1.blobs", "anvil"),
        ("validator.mnemonic", MNEMONIC),
        ("publisher.mnemonic", MNEMONIC),
    ];
    nowhere.into_iter().map(|(key, value)| Setting::new(key, value, "a placeholder")).collect()
}
