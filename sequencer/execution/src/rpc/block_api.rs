//! Blocks and their receipts.

use alloy::eips::{BlockId as BlockTag, BlockNumberOrTag};
use alloy::primitives::{B256, U64};
use alloy::rpc::types::{Block as RpcBlock, TransactionReceipt};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use super::context::Context;
use super::convert::{Show, executed};
use super::eth_error::EthError;
use crate::{BlockId, ChainReader};

#[rpc(server, namespace = "eth")]
pub(super) trait BlockApi {
    /// Number of the unsafe head.
    #[method(name = "blockNumber")]
    async fn block_number(&self) -> RpcResult<U64>;

    /// The chain's block of a number or tag; null where there is none.
    #[method(name = "getBlockByNumber")]
    async fn block_by_number(&self, number: BlockNumberOrTag, show: Option<Show>) -> RpcResult<Option<RpcBlock>>;

    /// A stored block; null where there is none.
    #[method(name = "getBlockByHash")]
    async fn block_by_hash(&self, hash: B256, show: Option<Show>) -> RpcResult<Option<RpcBlock>>;

    /// How many transactions the block has; null where there is no such block.
    #[method(name = "getBlockTransactionCountByNumber")]
    async fn transaction_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>>;

    /// The same by hash.
    #[method(name = "getBlockTransactionCountByHash")]
    async fn transaction_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>>;

    /// Receipts of all transactions of the block, in order; null where there is no such block.
    #[method(name = "getBlockReceipts")]
    async fn block_receipts(&self, block: BlockTag) -> RpcResult<Option<Vec<TransactionReceipt>>>;

    /// This chain has no uncles.
    #[method(name = "getUncleCountByBlockNumber")]
    async fn uncle_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>>;

    /// This chain has no uncles.
    #[method(name = "getUncleCountByBlockHash")]
    async fn uncle_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>>;
}

impl Context {
    /// What `show` makes of the block `tag` stands for; `None` where there is none.
    async fn of_block<T: Send + 'static>(
        &self,
        tag: BlockTag,
        show: impl FnOnce(&ChainReader, BlockId) -> Result<T, EthError> + Send + 'static,
    ) -> RpcResult<Option<T>> {
        self.read(move |reader| reader.resolve(tag)?.map(|id| show(reader, id)).transpose()).await
    }

    async fn shown(&self, tag: BlockTag, show: Option<Show>) -> RpcResult<Option<RpcBlock>> {
        let show = show.unwrap_or_default();
        self.of_block(tag, move |reader, id| Ok(executed(reader, id.hash)?.rpc_block(show))).await
    }

    async fn transaction_count(&self, tag: BlockTag) -> RpcResult<Option<U64>> {
        let count = |reader: &ChainReader, id: BlockId| {
            let block = reader.block(id.hash)?.ok_or(EthError::BlockNotFound)?;
            Ok(U64::from(block.transactions().len()))
        };
        self.of_block(tag, count).await
    }
}

#[async_trait]
impl BlockApiServer for Context {
    async fn block_number(&self) -> RpcResult<U64> {
        self.read(|reader| Ok(U64::from(reader.heads()?.unsafe_head.number))).await
    }

    async fn block_by_number(&self, number: BlockNumberOrTag, show: Option<Show>) -> RpcResult<Option<RpcBlock>> {
        self.shown(number.into(), show).await
    }

    async fn block_by_hash(&self, hash: B256, show: Option<Show>) -> RpcResult<Option<RpcBlock>> {
        self.shown(hash.into(), show).await
    }

    async fn transaction_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        self.transaction_count(number.into()).await
    }

    async fn transaction_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        self.transaction_count(hash.into()).await
    }

    async fn block_receipts(&self, block: BlockTag) -> RpcResult<Option<Vec<TransactionReceipt>>> {
        self.of_block(block, |reader, id| Ok(executed(reader, id.hash)?.rpc_receipts())).await
    }

    async fn uncle_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        self.of_block(number.into(), |_, _| Ok(U64::ZERO)).await
    }

    async fn uncle_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        self.of_block(hash.into(), |_, _| Ok(U64::ZERO)).await
    }
}
