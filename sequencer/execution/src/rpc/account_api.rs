//! Accounts, their code and storage, and calls on the state.

use alloy::eips::{BlockId as BlockTag, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::TransactionRequest;
use alloy::serde::JsonStorageKey;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use serde_json::Value;

use super::context::{Context, resolve};
use super::eth_error::EthError;
use crate::{ChainReader, GasEstimate};

#[rpc(server, namespace = "eth")]
pub(super) trait AccountApi {
    /// Wei of the account after the block.
    #[method(name = "getBalance")]
    async fn balance(&self, address: Address, block: Option<BlockTag>) -> RpcResult<U256>;

    /// The account's next nonce after the block; `pending` counts what waits without a gap.
    #[method(name = "getTransactionCount")]
    async fn transaction_count(&self, address: Address, block: Option<BlockTag>) -> RpcResult<U64>;

    /// The contract's code after the block.
    #[method(name = "getCode")]
    async fn code(&self, address: Address, block: Option<BlockTag>) -> RpcResult<Bytes>;

    /// A storage slot after the block.
    #[method(name = "getStorageAt")]
    async fn storage_at(&self, address: Address, slot: JsonStorageKey, block: Option<BlockTag>) -> RpcResult<B256>;

    /// Runs a call on the state after the block and forgets it.
    #[method(name = "call")]
    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockTag>,
        state_overrides: Option<Value>,
        block_overrides: Option<Value>,
    ) -> RpcResult<Bytes>;

    /// A gas limit with which the transaction succeeds.
    #[method(name = "estimateGas")]
    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockTag>,
        state_overrides: Option<Value>,
    ) -> RpcResult<U64>;

    /// No account of this node's: it signs for nobody.
    #[method(name = "accounts")]
    async fn accounts(&self) -> RpcResult<Vec<Address>>;
}

#[async_trait]
impl AccountApiServer for Context {
    async fn balance(&self, address: Address, block: Option<BlockTag>) -> RpcResult<U256> {
        self.read(move |reader| {
            let account = reader.account(resolve(reader, block)?.hash, address)?;
            Ok(account.map_or(U256::ZERO, |account| account.balance))
        })
        .await
    }

    async fn transaction_count(&self, address: Address, block: Option<BlockTag>) -> RpcResult<U64> {
        let block = block.unwrap_or_default();
        self.read(move |reader| {
            let account = reader.account(resolve(reader, Some(block))?.hash, address)?;
            let nonce = account.map_or(0, |account| account.nonce);
            let waiting = match block {
                BlockTag::Number(BlockNumberOrTag::Pending) => reader.mempool().pending_nonce(address),
                BlockTag::Number(_) | BlockTag::Hash(_) => None,
            };
            Ok(U64::from(waiting.map_or(nonce, |waiting| waiting.max(nonce))))
        })
        .await
    }

    async fn code(&self, address: Address, block: Option<BlockTag>) -> RpcResult<Bytes> {
        self.read(move |reader| Ok(reader.code(resolve(reader, block)?.hash, address)?)).await
    }

    async fn storage_at(&self, address: Address, slot: JsonStorageKey, block: Option<BlockTag>) -> RpcResult<B256> {
        let slot = slot.as_b256().into();
        self.read(move |reader| Ok(reader.storage(resolve(reader, block)?.hash, address, slot)?.into())).await
    }

    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockTag>,
        state_overrides: Option<Value>,
        block_overrides: Option<Value>,
    ) -> RpcResult<Bytes> {
        self.read(move |reader| {
            refuse_overrides([state_overrides, block_overrides])?;
            EthError::of_call(reader.call(resolve(reader, block)?.hash, &request)?)
        })
        .await
    }

    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockTag>,
        state_overrides: Option<Value>,
    ) -> RpcResult<U64> {
        self.read(move |reader| {
            refuse_overrides([state_overrides, None])?;
            estimate(reader, &request, block)
        })
        .await
    }

    async fn accounts(&self) -> RpcResult<Vec<Address>> {
        Ok(Vec::new())
    }
}

fn estimate(reader: &ChainReader, request: &TransactionRequest, block: Option<BlockTag>) -> Result<U64, EthError> {
    match reader.estimate_gas(resolve(reader, block)?.hash, request)? {
        GasEstimate::Enough(gas) => Ok(U64::from(gas)),
        GasEstimate::Fails(outcome) => match EthError::of_call(outcome) {
            Err(failure) => Err(failure),
            Ok(_) => Err(EthError::Halted("no gas limit is enough".into())),
        },
    }
}

/// Libraries send `{}` where they have none.
fn refuse_overrides(overrides: [Option<Value>; 2]) -> Result<(), EthError> {
    let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    if overrides.iter().flatten().all(empty) {
        return Ok(());
    }
    Err(EthError::BadParams("state and block overrides are not supported; leave the parameter out".into()))
}
