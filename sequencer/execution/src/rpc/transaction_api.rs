//! Sending transactions and finding them again.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{B256, Bytes, U64};
use alloy::rpc::types::{Transaction, TransactionReceipt};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use super::context::Context;
use super::convert::{executed, waiting};
use super::eth_error::EthError;
use crate::ChainReader;

#[rpc(server, namespace = "eth")]
pub(super) trait TransactionApi {
    /// Takes a signed transaction into the mempool and answers its hash.
    #[method(name = "sendRawTransaction")]
    async fn send_raw_transaction(&self, raw: Bytes) -> RpcResult<B256>;

    /// A transaction of the chain, or one that waits; null where there is none.
    #[method(name = "getTransactionByHash")]
    async fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<Transaction>>;

    /// A transaction by its place in a block; null where there is none.
    #[method(name = "getTransactionByBlockNumberAndIndex")]
    async fn transaction_by_number_and_index(
        &self,
        number: BlockNumberOrTag,
        index: U64,
    ) -> RpcResult<Option<Transaction>>;

    /// The same by the block's hash.
    #[method(name = "getTransactionByBlockHashAndIndex")]
    async fn transaction_by_hash_and_index(&self, hash: B256, index: U64) -> RpcResult<Option<Transaction>>;

    /// The receipt of a transaction of the chain; null while it waits.
    #[method(name = "getTransactionReceipt")]
    async fn transaction_receipt(&self, hash: B256) -> RpcResult<Option<TransactionReceipt>>;
}

#[async_trait]
impl TransactionApiServer for Context {
    async fn send_raw_transaction(&self, raw: Bytes) -> RpcResult<B256> {
        let answer = self.submit(vec![raw]).await.pop().unwrap_or(Err(EthError::Stopping));
        Ok(answer?)
    }

    async fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<Transaction>> {
        self.read(move |reader| {
            // The pool first: what leaves it between the two looks is on the chain by then.
            if let Some(tx) = reader.mempool().get(hash) {
                return Ok(Some(waiting(&tx)));
            }
            let Some((block, index)) = reader.transaction_place(hash)? else { return Ok(None) };
            Ok(executed(reader, block)?.transaction(index))
        })
        .await
    }

    async fn transaction_by_number_and_index(
        &self,
        number: BlockNumberOrTag,
        index: U64,
    ) -> RpcResult<Option<Transaction>> {
        self.read(move |reader| {
            let Some(id) = reader.resolve(number.into())? else { return Ok(None) };
            at(reader, id.hash, index)
        })
        .await
    }

    async fn transaction_by_hash_and_index(&self, hash: B256, index: U64) -> RpcResult<Option<Transaction>> {
        self.read(move |reader| {
            let Some(id) = reader.resolve(hash.into())? else { return Ok(None) };
            at(reader, id.hash, index)
        })
        .await
    }

    async fn transaction_receipt(&self, hash: B256) -> RpcResult<Option<TransactionReceipt>> {
        self.read(move |reader| {
            let Some((block, index)) = reader.transaction_place(hash)? else { return Ok(None) };
            Ok(executed(reader, block)?.rpc_receipts().into_iter().nth(index))
        })
        .await
    }
}

fn at(reader: &ChainReader, block: B256, index: U64) -> Result<Option<Transaction>, EthError> {
    let Ok(index) = usize::try_from(index.to::<u64>()) else { return Ok(None) };
    Ok(executed(reader, block)?.transaction(index))
}
