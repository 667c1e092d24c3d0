//! The first block and the state it begins with.

use std::collections::BTreeMap;

use alloy::consensus::Header;
use alloy::eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy::primitives::{Address, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::evm::{Executed, empty_header};
use crate::state::StateChanges;
use crate::store::ExecutedBlock;
use crate::{Block, ExecutionError, Result};

/// Gas limit of a development chain's genesis block.
const DEV_GAS_LIMIT: u64 = 60_000_000;
/// Base fee of a development chain's genesis block: 1 gwei.
const DEV_BASE_FEE: u64 = 1_000_000_000;
/// 10 000 ether for each prefunded account.
const DEV_BALANCE: U256 = U256::from_limbs([0x19e0_c9ba_b240_0000, 0x21e, 0, 0]);

/// What the chain begins with. Every node of a chain has the same; the genesis block's hash says so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Gas limit of the genesis block.
    pub gas_limit: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Base fee of the genesis block, in wei per gas; the next block's follows from it by EIP-1559.
    pub base_fee: u64,
    /// The accounts there are, each once.
    #[serde(default)]
    pub alloc: Vec<GenesisAccount>,
}

/// An account that exists from the beginning.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Where it is.
    pub address: Address,
    /// Wei it has.
    #[serde(default)]
    pub balance: U256,
    /// Its next nonce.
    #[serde(default)]
    pub nonce: u64,
    /// Its contract code; empty for none.
    #[serde(default)]
    pub code: Bytes,
    /// Storage slots and their values.
    #[serde(default)]
    pub storage: BTreeMap<U256, U256>,
}

impl Genesis {
    /// A development chain with 10 000 ether for each of these accounts. An address that is given twice counts once.
    #[must_use]
    pub fn dev(chain_id: u64, timestamp: u64, prefunded: &[Address]) -> Self {
        let accounts: std::collections::BTreeSet<_> = prefunded.iter().copied().collect();
        let alloc = accounts.into_iter().map(|address| GenesisAccount {
            address,
            balance: DEV_BALANCE,
            ..GenesisAccount::default()
        });
        Self { chain_id, gas_limit: DEV_GAS_LIMIT, timestamp, base_fee: DEV_BASE_FEE, alloc: alloc.collect() }
    }

    /// The genesis block. Depends on nothing but this value, so that whoever deploys the L1 contracts can compute it.
    ///
    /// # Errors
    /// `BadGenesis` where an address is given twice, or gas limit or base fee is zero.
    pub fn genesis_block(&self) -> Result<Block> {
        Ok(self.execute()?.block.block)
    }

    /// The genesis block with its state.
    pub(crate) fn execute(&self) -> Result<Executed> {
        let changes = StateChanges::genesis(&self.accounts()?)?;
        let header = Header {
            state_root: changes.root,
            gas_limit: self.gas_limit,
            timestamp: self.timestamp,
            base_fee_per_gas: Some(self.base_fee),
            ..empty_header()
        };
        let block = ExecutedBlock { block: Block::new(header, vec![]), senders: vec![], receipts: vec![] };
        Ok(Executed { block, changes })
    }

    /// The accounts by address, with the contract of EIP-2935, which Prague's rules rely on.
    fn accounts(&self) -> Result<BTreeMap<Address, GenesisAccount>> {
        if self.gas_limit == 0 || self.base_fee == 0 {
            return Err(ExecutionError::BadGenesis("gas_limit and base_fee must be above zero".into()));
        }
        let mut accounts = BTreeMap::new();
        for account in &self.alloc {
            if accounts.insert(account.address, account.clone()).is_some() {
                let what = format!("{} is given twice; give each account once", account.address);
                return Err(ExecutionError::BadGenesis(what));
            }
        }
        accounts.entry(HISTORY_STORAGE_ADDRESS).or_insert_with(|| GenesisAccount {
            address: HISTORY_STORAGE_ADDRESS,
            nonce: 1,
            code: HISTORY_STORAGE_CODE.clone(),
            ..GenesisAccount::default()
        });
        Ok(accounts)
    }
}

#[cfg(test)]
mod tests {
    use alloy::consensus::TrieAccount;
    use alloy::consensus::proofs::{state_root_unhashed, storage_root_unhashed};
    use alloy::primitives::{B256, keccak256};
    use proptest::prelude::*;

    use super::*;

    fn account() -> impl Strategy<Value = GenesisAccount> {
        let storage = prop::collection::btree_map(0u64..40, 0u64..3, 0..12);
        (0u8..60, 0u64..3, 0u64..3, prop::collection::vec(any::<u8>(), 0..40), storage).prop_map(
            |(address, balance, nonce, code, storage)| GenesisAccount {
                address: Address::repeat_byte(address),
                balance: U256::from(balance),
                nonce,
                code: code.into(),
                storage: storage.into_iter().map(|(slot, value)| (U256::from(slot), U256::from(value))).collect(),
            },
        )
    }

    /// The same state root, computed over all accounts by another implementation.
    fn oracle(genesis: &Genesis) -> B256 {
        let leaves = genesis.accounts().unwrap().into_values().filter(|account| !is_none(account)).map(|account| {
            let slots = account.storage.iter().filter(|(_, value)| !value.is_zero());
            let leaf = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: storage_root_unhashed(slots.map(|(slot, value)| (B256::from(*slot), *value))),
                code_hash: keccak256(&account.code),
            };
            (account.address, leaf)
        });
        state_root_unhashed(leaves)
    }

    fn is_none(account: &GenesisAccount) -> bool {
        account.nonce == 0 && account.balance.is_zero() && account.code.is_empty()
    }

    proptest! {
        #[test]
        fn the_state_root_is_the_one_another_implementation_computes(
            alloc in prop::collection::hash_map(0u8..60, account(), 0..40),
        ) {
            let alloc = alloc.into_iter().map(|(byte, account)| {
                GenesisAccount { address: Address::repeat_byte(byte), ..account }
            });
            let genesis = Genesis { alloc: alloc.collect(), ..Genesis::dev(1, 0, &[]) };
            prop_assert_eq!(genesis.genesis_block().unwrap().header().state_root, oracle(&genesis));
        }
    }

    #[test]
    fn the_order_of_accounts_does_not_matter() {
        let accounts: Vec<_> = (1..20).map(Address::repeat_byte).collect();
        let mut backwards = Genesis::dev(1, 0, &accounts);
        backwards.alloc.reverse();
        assert_eq!(backwards.genesis_block().unwrap(), Genesis::dev(1, 0, &accounts).genesis_block().unwrap());
    }

    #[test]
    fn an_address_given_twice_is_refused() {
        let mut genesis = Genesis::dev(1, 0, &[Address::repeat_byte(1)]);
        genesis.alloc.push(genesis.alloc[0].clone());
        assert!(matches!(genesis.genesis_block(), Err(ExecutionError::BadGenesis(_))));
    }

    #[test]
    fn a_dev_account_has_ten_thousand_ether() {
        let genesis = Genesis::dev(1, 0, &[Address::repeat_byte(1)]);
        assert_eq!(genesis.alloc[0].balance, U256::from(10_000) * U256::from(10).pow(U256::from(18)));
    }

    #[test]
    fn it_survives_json_and_unknown_keys_are_errors() {
        let genesis = Genesis::dev(1, 0, &[Address::repeat_byte(1)]);
        let json = serde_json::to_string(&genesis).unwrap();
        assert_eq!(serde_json::from_str::<Genesis>(&json).unwrap(), genesis);
        assert!(serde_json::from_str::<Genesis>(&json.replace("chain_id", "chainid")).is_err());
    }
}
