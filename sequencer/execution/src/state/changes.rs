//! What a block does to the state: new roots, and the nodes and code they need.

use std::collections::BTreeMap;

use alloy::consensus::{EMPTY_ROOT_HASH, TrieAccount};
use alloy::primitives::{Address, B256, U256, keccak256};
use eth_trie::Trie;
use revm::database::{BundleAccount, BundleState};

use super::StateView;
use super::fresh::FreshNodes;
use super::nodes::{StateTrie, trie_error};
use crate::store::Writer;
use crate::{GenesisAccount, Result};

/// Everything the state's next root needs that the store does not have yet.
#[derive(Debug)]
pub(crate) struct StateChanges {
    /// The state root after the changes.
    pub(crate) root: B256,
    nodes: FreshNodes,
    code: Vec<(B256, Vec<u8>)>,
}

impl StateChanges {
    /// Applies what the EVM did to the tries of `view`. Touches the paths of changed leaves, nothing else.
    pub(crate) fn apply(view: &mut StateView, bundle: &BundleState) -> Result<Self> {
        let mut accounts = view.accounts()?;
        view.nodes.reserve(bundle.state.len());
        for (address, account) in &bundle.state {
            apply_account(view, &mut accounts, *address, account)?;
        }
        let root = accounts.root_hash().map_err(|cause| trie_error(&cause))?;
        let code = bundle.contracts.iter().map(|(hash, code)| (*hash, code.original_byte_slice().to_vec()));
        Ok(Self { root, nodes: view.nodes.take_fresh(), code: code.collect() })
    }

    /// The state that holds exactly these accounts.
    pub(crate) fn genesis(accounts: &BTreeMap<Address, GenesisAccount>) -> Result<Self> {
        let view = StateView::empty();
        let mut trie = view.accounts()?;
        let mut code = Vec::new();
        for (address, account) in accounts {
            if account.nonce == 0 && account.balance.is_zero() && account.code.is_empty() {
                continue;
            }
            let leaf = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: change_storage(&view, EMPTY_ROOT_HASH, account.storage.iter())?,
                code_hash: keccak256(&account.code),
            };
            if !account.code.is_empty() {
                code.push((leaf.code_hash, account.code.to_vec()));
            }
            put_account(&mut trie, *address, leaf)?;
        }
        let root = trie.root_hash().map_err(|cause| trie_error(&cause))?;
        Ok(Self { root, nodes: view.nodes.take_fresh(), code })
    }

    /// Writes the nodes and the code.
    pub(crate) fn write(&mut self, writer: &mut Writer<'_>) -> Result<()> {
        self.nodes.write(writer, self.root)?;
        self.code.iter().try_for_each(|(hash, code)| writer.put_code(*hash, code))
    }
}

fn apply_account(
    view: &mut StateView,
    accounts: &mut StateTrie,
    address: Address,
    account: &BundleAccount,
) -> Result<()> {
    // EIP-161: an account without nonce, balance and code is none.
    let Some(info) = account.info.as_ref().filter(|info| !info.is_empty()) else {
        return accounts.remove(keccak256(address).as_slice()).map(|_| ()).map_err(|cause| trie_error(&cause));
    };
    // What was destroyed in this block begins with empty storage, even where it was created again.
    let before = if account.status.was_destroyed() { None } else { view.account(address)? };
    let before = before.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
    let slots = account.storage.iter().map(|(slot, value)| (slot, &value.present_value));
    let storage_root = change_storage(view, before, slots)?;
    let leaf = TrieAccount { nonce: info.nonce, balance: info.balance, storage_root, code_hash: info.code_hash };
    put_account(accounts, address, leaf)
}

fn put_account(accounts: &mut StateTrie, address: Address, leaf: TrieAccount) -> Result<()> {
    let key = keccak256(address);
    accounts.insert(key.as_slice(), &alloy::rlp::encode(leaf)).map_err(|cause| trie_error(&cause))
}

/// The storage root after these slots took these values; zero clears a slot.
fn change_storage<'a>(
    view: &StateView,
    root: B256,
    slots: impl ExactSizeIterator<Item = (&'a U256, &'a U256)>,
) -> Result<B256> {
    if slots.len() == 0 {
        return Ok(root);
    }
    let mut trie = view.nodes.trie(root)?;
    for (slot, value) in slots {
        let key = keccak256(slot.to_be_bytes::<32>());
        let leaf = if value.is_zero() { vec![] } else { alloy::rlp::encode(value) };
        // An empty leaf takes the slot out of the trie.
        trie.insert(key.as_slice(), &leaf).map_err(|cause| trie_error(&cause))?;
    }
    trie.root_hash().map_err(|cause| trie_error(&cause))
}
