//! What anvil can do that no L1 can: typed and thin. Nothing here makes a block or moves the time; that is the
//! [`crate::L1Clock`]'s.

use std::collections::BTreeMap;
use std::fmt::Debug;

use alloy::eips::eip4844::Blob;
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::providers::{DynProvider, Provider};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::blob_fee::NextFees;
use crate::{AnvilError, Result};

/// The pool, as far as it is looked at: account, nonce, transaction.
#[derive(Debug, Deserialize)]
struct PoolContent {
    /// What could be in the next block.
    pending: Accounts,
    /// What waits for another transaction of its account.
    queued: Accounts,
}

type Accounts = BTreeMap<Address, BTreeMap<String, PoolTransaction>>;

#[derive(Debug, Deserialize)]
struct PoolTransaction {
    hash: B256,
}

/// Anvil's cheat codes.
#[derive(Clone, Debug)]
pub struct Cheats {
    anvil: DynProvider,
}

impl Cheats {
    /// Cheats for the anvil behind `anvil`.
    #[must_use]
    pub const fn new(anvil: DynProvider) -> Self {
        Self { anvil }
    }

    /// Gives `account` a balance in wei.
    ///
    /// # Errors
    /// [`AnvilError::L1Unreachable`] or [`AnvilError::L1Refused`], here and for every cheat below.
    pub async fn set_balance(&self, account: Address, wei: U256) -> Result<()> {
        self.cheat("anvil_setBalance", "set a balance", json!([account, wei])).await
    }

    /// Puts `code` at `account`.
    ///
    /// # Errors
    /// As [`Cheats::set_balance`].
    pub async fn set_code(&self, account: Address, code: Bytes) -> Result<()> {
        self.cheat("anvil_setCode", "set code", json!([account, code])).await
    }

    /// Writes one storage slot of `account`.
    ///
    /// # Errors
    /// As [`Cheats::set_balance`]; [`AnvilError::CheatFailed`] when anvil says that it did not.
    pub async fn set_storage(&self, account: Address, slot: U256, value: B256) -> Result<()> {
        let action = "write storage";
        let done: bool = self.request("anvil_setStorageAt", action, json!([account, slot, value])).await?;
        if done { Ok(()) } else { Err(AnvilError::CheatFailed { action }) }
    }

    /// The blobs of a mined transaction, in its order; empty when it has none or is not known.
    ///
    /// # Errors
    /// As [`Cheats::set_balance`]; [`AnvilError::CheatFailed`] when what comes is no blob.
    pub async fn blobs_of(&self, transaction: B256) -> Result<Vec<Blob>> {
        let (method, action) = ("anvil_getBlobsByTransactionHash", "give blobs");
        // As bytes first: an unoptimised build reads a blob of 128 KiB over the stack, several times.
        let bytes: Option<Vec<Bytes>> = self.request(method, action, json!([transaction])).await?;
        let bytes = bytes.unwrap_or_default();
        let mut blobs = vec![Blob::ZERO; bytes.len()];
        for (blob, bytes) in blobs.iter_mut().zip(&bytes) {
            if bytes.len() != blob.len() {
                return Err(AnvilError::CheatFailed { action });
            }
            blob.copy_from_slice(bytes);
        }
        Ok(blobs)
    }

    /// Takes a transaction out of the pool; true when it was there.
    pub(crate) async fn drop_transaction(&self, transaction: B256) -> Result<bool> {
        let dropped: Option<B256> =
            self.request("anvil_dropTransaction", "drop a transaction", json!([transaction])).await?;
        Ok(dropped.is_some())
    }

    /// The base fee of the next block, in wei.
    pub(crate) async fn set_next_base_fee(&self, wei: U256) -> Result<()> {
        self.cheat("anvil_setNextBlockBaseFeePerGas", "set the base fee", json!([wei])).await
    }

    /// Who is paid for the blocks to come.
    pub(crate) async fn set_coinbase(&self, account: Address) -> Result<()> {
        self.cheat("anvil_setCoinbase", "set the coinbase", json!([account])).await
    }

    /// Takes the newest `depth` blocks back, and gives the fees that the oldest of them had. Anvil goes on with those that
    /// follow from the newest. Part of what the [`crate::L1Clock`] does, which has the turn.
    pub(crate) async fn rollback(&self, depth: u64) -> Result<NextFees> {
        let head: U64 = self.request("eth_blockNumber", "tell its head", json!([])).await?;
        let fees = NextFees::before(self, (head.to::<u64>() + 1).saturating_sub(depth)).await?;
        self.cheat("anvil_rollback", "take blocks back", json!([depth])).await?;
        Ok(fees)
    }

    /// Puts blocks without the pool's transactions in the place of the last `depth`, each `interval` seconds after its
    /// parent. Part of what the [`crate::L1Clock`] does, which has the turn.
    pub(crate) async fn replace_by_empty(&self, depth: u64, interval: u64) -> Result<()> {
        self.cheat("anvil_setBlockTimestampInterval", "space timestamps", json!([interval])).await?;
        let none: [(); 0] = [];
        let replaced = self.cheat("anvil_reorg", "replace blocks", json!([depth, none])).await;
        self.cheat("anvil_removeBlockTimestampInterval", "let timestamps be", json!([])).await?;
        replaced
    }

    /// Gas limit of the blocks to come.
    pub(crate) async fn set_block_gas_limit(&self, limit: U256) -> Result<()> {
        self.cheat("evm_setBlockGasLimit", "set the gas limit of blocks", json!([limit])).await
    }

    /// The chain, for [`Cheats::load_state`].
    pub(crate) async fn dump_state(&self) -> Result<Bytes> {
        self.request("anvil_dumpState", "dump its state", json!([])).await
    }

    /// Puts what was dumped on top of what is there.
    pub(crate) async fn load_state(&self, dump: &Bytes) -> Result<()> {
        let action = "load a state";
        let loaded: bool = self.request("anvil_loadState", action, json!([dump])).await?;
        if loaded { Ok(()) } else { Err(AnvilError::CheatFailed { action }) }
    }

    /// A transaction as it was sent, blobs and all; `None` when it is neither in a block nor in the pool.
    ///
    /// # Errors
    /// As [`Cheats::set_balance`].
    pub async fn raw_transaction(&self, transaction: B256) -> Result<Option<Bytes>> {
        self.request("eth_getRawTransactionByHash", "give a raw transaction", json!([transaction])).await
    }

    /// Hashes of the pool's transactions that could be in the next block, in the order in which blocks take them from one
    /// account.
    ///
    /// # Errors
    /// As [`Cheats::set_balance`].
    pub async fn pool(&self) -> Result<Vec<B256>> {
        self.pool_content().await.map(|PoolContent { pending, .. }| in_order([pending]))
    }

    /// The same, and after them those that wait for another of their account.
    pub(crate) async fn whole_pool(&self) -> Result<Vec<B256>> {
        self.pool_content().await.map(|PoolContent { pending, queued }| in_order([pending, queued]))
    }

    async fn pool_content(&self) -> Result<PoolContent> {
        self.request("txpool_content", "tell its pool", json!([])).await
    }

    /// For cheats whose effect counts: anvil answers some with nothing, others with a word.
    async fn cheat(&self, method: &'static str, action: &'static str, params: Value) -> Result<()> {
        self.request::<Value>(method, action, params).await.map(drop)
    }

    /// Asks anvil `method`, which is to do `action`.
    pub(crate) async fn request<R>(&self, method: &'static str, action: &'static str, params: Value) -> Result<R>
    where
        R: DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    {
        self.anvil.raw_request(method.into(), params).await.map_err(AnvilError::rpc(action))
    }
}

/// Hashes of transactions, each after those of lower nonces beside it.
fn in_order<const PARTS: usize>(parts: [Accounts; PARTS]) -> Vec<B256> {
    let by_nonce = |part: Accounts| {
        let mut part: Vec<_> = part.into_values().flatten().map(|(nonce, tx)| (nonce.parse(), tx.hash)).collect();
        part.sort_by_key(|(nonce, _)| nonce.clone().unwrap_or(u64::MAX));
        part.into_iter().map(|(_, hash)| hash)
    };
    parts.into_iter().flat_map(by_nonce).collect()
}
