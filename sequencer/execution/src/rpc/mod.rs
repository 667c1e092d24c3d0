//! The `eth_` JSON-RPC that wallets, `cast` and alloy speak, over HTTP and WebSocket on one port.
//!
//! A request is answered from the [`crate::ChainReader`]; reads and EVM runs happen on blocking threads, so that no
//! request holds up another. Raw transactions go through [`crate::mempool::validate`] on all cores, then into the pool
//! in the order they came. Nothing here moves the chain.

mod account_api;
mod batch;
mod block_api;
mod context;
mod convert;
mod error;
mod eth_error;
mod fee_api;
mod limits;
mod log_api;
mod net_api;
mod server;
mod submit;
#[expect(
    clippy::disallowed_methods,
    reason = "the subscription macro spawns; the server's handle owns and ends what it spawns"
)]
mod subscription_api;
mod transaction_api;

pub use error::RpcError;
pub use limits::RpcLimits;
pub use server::{RpcServer, serve};

/// What `web3_clientVersion` answers.
const CLIENT_VERSION: &str = concat!("Fermata/v", env!("CARGO_PKG_VERSION"), "/rust");
