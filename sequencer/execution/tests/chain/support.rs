//! A chain in a directory of its own, and wallets to use it with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEip7702, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::eips::eip7702::Authorization;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use fermata_execution::mempool::{AccountView, MempoolConfig};
use fermata_execution::{
    Block, BlockAttributes, BlockId, Execution, Genesis, Heads, Options, RecoveredTx, RevmExecution,
};
use fermata_primitives::{ManualClock, UnixTime};
use tempfile::TempDir;

pub(crate) const CHAIN_ID: u64 = 4_242;
pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const BENEFICIARY: Address = Address::repeat_byte(0xbe);

/// Called with a slot and a value it stores and logs them; called without data it destroys itself for its caller.
pub(crate) const STORER: [u8; 41] =
    hex!("601e80600b6000396000f33615601b576020356000355560203560005260003560206000a1005b33ff");
/// Creation code that destroys the contract before it exists.
pub(crate) const SHORT_LIVED: [u8; 2] = hex!("33ff");
/// Creation code that reverts with the word 42.
pub(crate) const REVERTS: [u8; 10] = hex!("602a60005260206000fd");

/// A chain in a temporary directory.
pub(crate) struct TestChain {
    pub(crate) execution: RevmExecution,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) genesis: Genesis,
    dir: TempDir,
}

/// The n-th wallet; the first ten are prefunded.
pub(crate) fn wallet(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(n + 1)).unwrap()
}

/// A type-2 transaction with 3 gwei of fee cap and 1 gwei of priority fee.
pub(crate) fn transaction(nonce: u64, to: TxKind, value: u64, input: impl Into<Bytes>) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 300_000,
        max_fee_per_gas: 3 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to,
        value: U256::from(value),
        access_list: Default::default(),
        input: input.into(),
    }
}

pub(crate) fn sign(tx: TxEip1559, wallet: &PrivateKeySigner) -> Bytes {
    let signature = wallet.sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// A signed transfer of 1 gwei.
pub(crate) fn transfer(from: u8, nonce: u64, to: Address) -> Bytes {
    sign(transaction(nonce, TxKind::Call(to), 1_000_000_000, Bytes::new()), &wallet(from))
}

/// One wallet sends, another delegates to `target` and is called in the same transaction; both at nonce 0.
pub(crate) fn delegating(sender: u8, authority: u8, target: Address) -> Bytes {
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: target, nonce: 0 };
    let signature = wallet(authority).sign_hash_sync(&authorization.signature_hash()).unwrap();
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 300_000,
        max_fee_per_gas: 3 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: wallet(authority).address(),
        input: store_call(3, 4),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    let signature = wallet(sender).sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// The data with which the storer stores.
pub(crate) fn store_call(slot: u64, value: u64) -> Bytes {
    [U256::from(slot).to_be_bytes::<32>(), U256::from(value).to_be_bytes()].concat().into()
}

pub(crate) fn hash_of(raw: &Bytes) -> B256 {
    alloy::primitives::keccak256(raw)
}

impl TestChain {
    pub(crate) async fn new() -> Self {
        let prefunded: Vec<_> = (0..10).map(|n| wallet(n).address()).collect();
        Self::with(Genesis::dev(CHAIN_ID, GENESIS_TIME, &prefunded)).await
    }

    pub(crate) async fn with(genesis: Genesis) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(UnixTime(Duration::from_secs(GENESIS_TIME))));
        let execution = RevmExecution::open(options(dir.path(), &genesis, &clock)).await.unwrap();
        Self { execution, clock, genesis, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn options(&self) -> Options {
        options(self.dir.path(), &self.genesis, &self.clock)
    }

    /// Closes and opens again, as after a restart.
    pub(crate) async fn reopened(self) -> Self {
        self.execution.close().await.unwrap();
        let execution = RevmExecution::open(self.options()).await.unwrap();
        Self { execution, ..self }
    }

    pub(crate) async fn head(&self) -> BlockId {
        self.execution.heads().await.unwrap().unsafe_head
    }

    /// Attributes for a block one second after the head.
    pub(crate) async fn attributes(&self, transactions: Option<Vec<Bytes>>) -> BlockAttributes {
        let head = self.execution.block(self.head().await.hash).await.unwrap().unwrap();
        BlockAttributes {
            timestamp: head.header().timestamp + 1,
            beneficiary: BENEFICIARY,
            prev_randao: B256::repeat_byte(7),
            gas_limit: 30_000_000,
            max_payload_bytes: 100_000,
            transactions,
            deadline: None,
        }
    }

    /// Builds a block on the head, beside the chain.
    pub(crate) async fn seal(&self, transactions: Option<Vec<Bytes>>) -> Block {
        let attributes = self.attributes(transactions).await;
        self.seal_with(self.head().await.hash, attributes).await
    }

    pub(crate) async fn seal_with(&self, parent: B256, attributes: BlockAttributes) -> Block {
        let job = self.execution.begin(parent, attributes).await.unwrap();
        self.execution.seal(job).await.unwrap()
    }

    /// Moves the unsafe head; safe and finalized stay.
    pub(crate) async fn set_head(&self, head: BlockId) {
        let heads = self.execution.heads().await.unwrap();
        self.execution.set_heads(Heads { unsafe_head: head, ..heads }).await.unwrap();
    }

    /// Builds a block of these transactions and makes it the head.
    pub(crate) async fn advance(&self, transactions: Vec<Bytes>) -> Block {
        let block = self.seal(Some(transactions)).await;
        self.set_head(block.id()).await;
        block
    }

    /// Hands a raw transaction to the mempool, as the RPC does.
    pub(crate) async fn submit(&self, raw: &Bytes) {
        let reader = self.execution.reader();
        let tx = RecoveredTx::decode(raw.clone()).unwrap();
        let head = self.head().await.hash;
        let account = reader.account(head, tx.signer()).unwrap().unwrap_or_default();
        let view = AccountView { nonce: account.nonce, balance: account.balance };
        self.execution.mempool().add(tx, view, reader.next_base_fee(head).unwrap()).unwrap();
    }

    /// Status of each of a block's transactions.
    pub(crate) fn statuses(&self, block: &Block) -> Vec<bool> {
        let (_, receipts) = self.execution.reader().outcome(block.hash()).unwrap().unwrap();
        receipts.iter().map(|receipt| receipt.status()).collect()
    }

    pub(crate) fn balance(&self, block: &Block, address: Address) -> U256 {
        let account = self.execution.reader().account(block.hash(), address).unwrap();
        account.map_or(U256::ZERO, |account| account.balance)
    }
}

fn options(dir: &Path, genesis: &Genesis, clock: &Arc<ManualClock>) -> Options {
    Options { dir: dir.to_owned(), genesis: genesis.clone(), clock: clock.clone(), mempool: MempoolConfig::default() }
}
