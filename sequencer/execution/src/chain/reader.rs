//! Reading the chain: what the RPC and the sequencer ask.

use std::sync::Arc;

use alloy::consensus::{Header, ReceiptEnvelope, TrieAccount};
use alloy::eips::{BlockId as BlockTag, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::TransactionRequest;
use tokio::sync::broadcast;

use super::{HeadsMoved, MOVES_KEPT};
use crate::evm::{CallOutcome, GasEstimate, call, estimate_gas, next_base_fee};
use crate::mempool::{Mempool, MempoolConfig};
use crate::state::StateView;
use crate::store::{Store, TxPlace};
use crate::{Block, BlockId, ExecutionError, Heads, Result};

/// Reads the chain, the blocks beside it, and the state at each of them. Cheap to clone; its methods read memory-mapped
/// pages and may wait for the disk, [`ChainReader::call`] and [`ChainReader::estimate_gas`] also run the EVM: keep those
/// off the async runtime. Every method errs with `Closed` after close.
#[derive(Clone, Debug)]
pub struct ChainReader {
    store: Arc<Store>,
    chain_id: u64,
    genesis: BlockId,
    mempool: Arc<Mempool>,
    moves: broadcast::Sender<HeadsMoved>,
}

impl ChainReader {
    pub(super) fn new(store: Arc<Store>, chain_id: u64, genesis: BlockId, mempool: MempoolConfig) -> Self {
        let mempool = Arc::new(Mempool::new(mempool));
        Self { store, chain_id, genesis, mempool, moves: broadcast::Sender::new(MOVES_KEPT) }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn announce(&self, moved: HeadsMoved) {
        // Nobody listens: that is no error.
        let _ = self.moves.send(moved);
    }

    /// EIP-155 chain id.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The genesis block.
    #[must_use]
    pub const fn genesis(&self) -> BlockId {
        self.genesis
    }

    /// Transactions that wait for a block.
    #[must_use]
    pub const fn mempool(&self) -> &Arc<Mempool> {
        &self.mempool
    }

    /// Moves of the heads from now on; the store holds them already when they are told.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<HeadsMoved> {
        self.moves.subscribe()
    }

    /// Where the heads are.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn heads(&self) -> Result<Heads> {
        self.store.read()?.heads()
    }

    /// The block a tag, number or hash (EIP-1898) stands for. `pending` is the latest: what it will hold is not known.
    /// `None` where there is no such block, or where it must be on the chain and is not.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn resolve(&self, tag: BlockTag) -> Result<Option<BlockId>> {
        let snapshot = self.store.read()?;
        let number = match tag {
            BlockTag::Hash(wanted) => {
                let hash = wanted.block_hash;
                let Some(header) = snapshot.header(hash)? else { return Ok(None) };
                let beside = snapshot.canonical(header.number)? != Some(hash);
                let refused = beside && wanted.require_canonical == Some(true);
                return Ok((!refused).then_some(BlockId { number: header.number, hash }));
            }
            BlockTag::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => {
                return Ok(Some(snapshot.heads()?.unsafe_head));
            }
            BlockTag::Number(BlockNumberOrTag::Safe) => return Ok(Some(snapshot.heads()?.safe)),
            BlockTag::Number(BlockNumberOrTag::Finalized) => return Ok(Some(snapshot.heads()?.finalized)),
            BlockTag::Number(BlockNumberOrTag::Earliest) => 0,
            BlockTag::Number(BlockNumberOrTag::Number(number)) => number,
        };
        Ok(snapshot.canonical(number)?.map(|hash| BlockId { number, hash }))
    }

    /// The chain's block of this number.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn hash_at(&self, number: u64) -> Result<Option<B256>> {
        self.store.read()?.canonical(number)
    }

    /// Whether the block is on the chain that ends with the unsafe head.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn is_canonical(&self, block: BlockId) -> Result<bool> {
        Ok(self.hash_at(block.number)? == Some(block.hash))
    }

    /// Header of a stored block, on the chain or beside it.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn header(&self, block: B256) -> Result<Option<Header>> {
        self.store.read()?.header(block)
    }

    /// A stored block, on the chain or beside it.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn block(&self, block: B256) -> Result<Option<Block>> {
        self.store.read()?.block(block)
    }

    /// Senders and receipts of a stored block's transactions, in order.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn outcome(&self, block: B256) -> Result<Option<(Vec<Address>, Vec<ReceiptEnvelope>)>> {
        self.store.read()?.outcome(block)
    }

    /// Block hash and index of a transaction of the chain, by its hash.
    ///
    /// # Errors
    /// `Closed`, or a store that failed.
    pub fn transaction_place(&self, transaction: B256) -> Result<Option<(B256, usize)>> {
        let place = self.store.read()?.place(transaction)?;
        Ok(place.map(|TxPlace { block, index }| (block, index as usize)))
    }

    /// The account after the block `at`; `None` where there is none.
    ///
    /// # Errors
    /// `UnknownBlock`, `Closed`, or a store that failed.
    pub fn account(&self, at: B256, address: Address) -> Result<Option<TrieAccount>> {
        self.view(at)?.1.account(address)
    }

    /// The contract code at an address after the block `at`; empty where there is none.
    ///
    /// # Errors
    /// `UnknownBlock`, `Closed`, or a store that failed.
    pub fn code(&self, at: B256, address: Address) -> Result<Bytes> {
        let (_, mut view) = self.view(at)?;
        let Some(account) = view.account(address)? else { return Ok(Bytes::new()) };
        Ok(view.code(account.code_hash)?.into())
    }

    /// The value of a storage slot after the block `at`; zero where there is none.
    ///
    /// # Errors
    /// `UnknownBlock`, `Closed`, or a store that failed.
    pub fn storage(&self, at: B256, address: Address, slot: U256) -> Result<U256> {
        self.view(at)?.1.slot(address, slot)
    }

    /// Base fee of a block built on `parent`, in wei per gas.
    ///
    /// # Errors
    /// `UnknownBlock`, `Closed`, or a store that failed.
    pub fn next_base_fee(&self, parent: B256) -> Result<u64> {
        let header = self.header(parent)?.ok_or(ExecutionError::UnknownBlock(parent))?;
        Ok(next_base_fee(&header))
    }

    /// Runs a request on the state after the block `at`, with that block's environment. Without `gas`, it has the block's
    /// gas limit; without a fee, the base fee is zero.
    ///
    /// # Errors
    /// `BadCall` where no transaction can be made of it; `UnknownBlock`, `Closed`, or a store that failed. A revert is no
    /// error but an outcome.
    pub fn call(&self, at: B256, request: &TransactionRequest) -> Result<CallOutcome> {
        let (header, view) = self.view(at)?;
        call(view, &header, self.chain_id, request)
    }

    /// Finds the gas limit with which a request succeeds on the state after the block `at`: the least one, up to one part
    /// in 64.
    ///
    /// # Errors
    /// As [`ChainReader::call`].
    pub fn estimate_gas(&self, at: B256, request: &TransactionRequest) -> Result<GasEstimate> {
        let (header, view) = self.view(at)?;
        estimate_gas(view, &header, self.chain_id, request)
    }

    /// The state after a stored block.
    pub(super) fn state_after(&self, block: B256) -> Result<StateView> {
        Ok(self.view(block)?.1)
    }

    fn view(&self, at: B256) -> Result<(Header, StateView)> {
        let snapshot = self.store.read()?;
        let header = snapshot.header(at)?.ok_or(ExecutionError::UnknownBlock(at))?;
        let id = BlockId { number: header.number, hash: at };
        let view = StateView::new(snapshot, header.state_root, id)?;
        Ok((header, view))
    }
}
