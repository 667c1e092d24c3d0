//! The state at a block: what the EVM and the RPC read.

use std::collections::HashMap;
use std::sync::Arc;

use alloy::consensus::{EMPTY_ROOT_HASH, TrieAccount};
use alloy::primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy::rlp::Decodable;
use revm::bytecode::Bytecode;
use revm::database_interface::DBErrorMarker;
use revm::state::AccountInfo;

use super::nodes::{StateTrie, TrieNodes, unreadable};
use crate::store::Snapshot;
use crate::{BlockId, ExecutionError, Result};

/// The `BLOCKHASH` opcode reaches this far back.
const BLOCK_HASH_WINDOW: u64 = 256;

/// The state after a block. Remembers what it has read: a view lives for one block, or one call.
#[derive(Debug)]
pub(crate) struct StateView {
    pub(super) nodes: Arc<TrieNodes>,
    root: B256,
    /// The block whose state this is, from which `BLOCKHASH` walks back.
    at: BlockId,
    read: HashMap<Address, Option<TrieAccount>>,
    hashes: Vec<B256>,
}

impl StateView {
    /// The state with this root, after the block `at`.
    pub(crate) fn new(snapshot: Snapshot, root: B256, at: BlockId) -> Result<Self> {
        Ok(Self::over(TrieNodes::stored(snapshot, root)?, root, at))
    }

    fn over(nodes: TrieNodes, root: B256, at: BlockId) -> Self {
        Self { nodes: Arc::new(nodes), root, at, read: HashMap::new(), hashes: vec![at.hash] }
    }

    /// The account trie, for changing it.
    pub(super) fn accounts(&self) -> Result<StateTrie> {
        self.nodes.trie(self.root)
    }

    /// No account at all.
    pub(crate) fn empty() -> Self {
        Self::over(TrieNodes::default(), EMPTY_ROOT_HASH, BlockId::default())
    }

    /// The account; `None` where there is none.
    pub(crate) fn account(&mut self, address: Address) -> Result<Option<TrieAccount>> {
        if let Some(account) = self.read.get(&address) {
            return Ok(*account);
        }
        let leaf = self.nodes.lookup(self.root, keccak256(address))?;
        let account = leaf.map(|rlp| TrieAccount::decode(&mut rlp.as_slice())).transpose();
        let account = account.map_err(|cause| unreadable(&cause))?;
        self.read.insert(address, account);
        Ok(account)
    }

    /// The value in a storage slot; zero where there is none.
    pub(crate) fn slot(&mut self, address: Address, slot: U256) -> Result<U256> {
        let Some(account) = self.account(address)? else { return Ok(U256::ZERO) };
        let leaf = self.nodes.lookup(account.storage_root, keccak256(slot.to_be_bytes::<32>()))?;
        let value = leaf.map(|rlp| U256::decode(&mut rlp.as_slice())).transpose();
        let value = value.map_err(|cause| unreadable(&cause))?;
        Ok(value.unwrap_or_default())
    }

    /// Contract code by its hash.
    pub(crate) fn code(&self, hash: B256) -> Result<Vec<u8>> {
        if hash == KECCAK256_EMPTY {
            return Ok(Vec::new());
        }
        let code = self.nodes.with_snapshot(|snapshot| Ok(snapshot.code(hash)?.map(<[u8]>::to_vec)))?;
        code.ok_or_else(|| ExecutionError::Missing(format!("the code {hash}")))
    }

    /// Hash of an ancestor, found by walking back from this view's block: the chain may be another.
    fn ancestor(&mut self, number: u64) -> Result<B256> {
        let Some(back) = self.at.number.checked_sub(number).filter(|back| *back < BLOCK_HASH_WINDOW) else {
            return Ok(B256::ZERO);
        };
        while (self.hashes.len() as u64) <= back {
            let last = self.hashes[self.hashes.len() - 1];
            let header = self.nodes.with_snapshot(|snapshot| snapshot.header(last))?;
            let header = header.ok_or_else(|| ExecutionError::Missing(format!("the header {last}")))?;
            self.hashes.push(header.parent_hash);
        }
        Ok(self.hashes[usize::try_from(back).expect("less than the window")])
    }
}

impl DBErrorMarker for ExecutionError {}

impl revm::Database for StateView {
    type Error = ExecutionError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>> {
        Ok(self.account(address)?.map(|account| {
            AccountInfo {
                balance: account.balance,
                nonce: account.nonce,
                code_hash: account.code_hash,
                ..AccountInfo::default()
            }
            .without_code()
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode> {
        let code = self.code(code_hash)?;
        Bytecode::new_raw_checked(code.into())
            .map_err(|cause| ExecutionError::Missing(format!("readable code {code_hash} ({cause})")))
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256> {
        self.slot(address, index)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256> {
        self.ancestor(number)
    }
}
