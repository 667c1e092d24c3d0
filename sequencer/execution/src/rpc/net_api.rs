//! Which chain and which program this is.

use alloy::primitives::{B256, Bytes, U64, keccak256};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;

use super::CLIENT_VERSION;
use super::context::Context;

#[rpc(server)]
pub(super) trait NetApi {
    /// EIP-155 chain id.
    #[method(name = "eth_chainId")]
    async fn chain_id(&self) -> RpcResult<U64>;

    /// The execution engine follows its sequencer block by block: it never syncs.
    #[method(name = "eth_syncing")]
    async fn syncing(&self) -> RpcResult<bool>;

    /// The chain id in decimal.
    #[method(name = "net_version")]
    async fn version(&self) -> RpcResult<String>;

    /// There is no peer-to-peer network here.
    #[method(name = "net_listening")]
    async fn listening(&self) -> RpcResult<bool>;

    /// There is no peer-to-peer network here.
    #[method(name = "net_peerCount")]
    async fn peer_count(&self) -> RpcResult<U64>;

    /// Name and version of this program.
    #[method(name = "web3_clientVersion")]
    async fn client_version(&self) -> RpcResult<String>;

    /// Keccak-256 of the bytes.
    #[method(name = "web3_sha3")]
    async fn sha3(&self, data: Bytes) -> RpcResult<B256>;
}

#[async_trait]
impl NetApiServer for Context {
    async fn chain_id(&self) -> RpcResult<U64> {
        Ok(U64::from(self.reader.chain_id()))
    }

    async fn syncing(&self) -> RpcResult<bool> {
        Ok(false)
    }

    async fn version(&self) -> RpcResult<String> {
        Ok(self.reader.chain_id().to_string())
    }

    async fn listening(&self) -> RpcResult<bool> {
        Ok(false)
    }

    async fn peer_count(&self) -> RpcResult<U64> {
        Ok(U64::ZERO)
    }

    async fn client_version(&self) -> RpcResult<String> {
        Ok(CLIENT_VERSION.to_owned())
    }

    async fn sha3(&self, data: Bytes) -> RpcResult<B256> {
        Ok(keccak256(data))
    }
}
