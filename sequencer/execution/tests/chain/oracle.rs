//! The whole state's root, computed leaf by leaf by another implementation.

use std::collections::BTreeSet;

use alloy::consensus::TrieAccount;
use alloy::consensus::proofs::{state_root_unhashed, storage_root_unhashed};
use alloy::eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy::primitives::{Address, B256, U256};
use fermata_execution::Block;

use crate::support::{TestChain, wallet};

/// Slots that tests write to lie below this.
const SLOTS: u64 = 32;

/// Asserts that the block's state root is that of these accounts, the prefunded ones and the history contract, and
/// that there is nothing else in the state.
pub(crate) fn assert_state_root(chain: &TestChain, block: &Block, touched: &BTreeSet<Address>) {
    let reader = chain.execution.reader();
    let mut addresses = touched.clone();
    addresses.extend((0..10).map(|n| wallet(n).address()));
    addresses.insert(HISTORY_STORAGE_ADDRESS);
    let leaves = addresses.into_iter().filter_map(|address| {
        let account = reader.account(block.hash(), address).unwrap()?;
        let empty =
            account.nonce == 0 && account.balance.is_zero() && account.code_hash == TrieAccount::default().code_hash;
        assert!(!empty, "EIP-161: {address} is no account");
        let slots = (0..SLOTS).filter_map(|slot| {
            let value = reader.storage(block.hash(), address, U256::from(slot)).unwrap();
            (!value.is_zero()).then_some((B256::from(U256::from(slot)), value))
        });
        Some((address, TrieAccount { storage_root: storage_root_unhashed(slots), ..account }))
    });
    let leaves: Vec<_> = leaves.collect();
    assert_eq!(block.header().state_root, state_root_unhashed(leaves), "block {}", block.id());
}
