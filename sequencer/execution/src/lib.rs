//! Execution of L2 blocks: the [`Execution`] trait, and its in-process EVM.
//!
//! ```text
//! begin(parent, attributes) -> job -> seal -> Block        a proposer builds
//!                                     insert(Block) -> Verdict   a validator re-executes
//!                                     set_heads(Heads)           the chain moves, forwards or back
//! ```
//!
//! `RevmExecution` is the default: revm, Ethereum block headers with a true state root, everything in one LMDB
//! environment , a mempool and the `eth_` JSON-RPC. What it is not: no peer-to-peer, no sync from peers.

mod block;
mod error;
mod execution;
pub mod mempool;
pub mod rpc;
mod transaction;

pub use block::{Block, BlockId};
pub use error::{ExecutionError, Result};
pub use execution::{BlockAttributes, Execution, Heads, JobId, Verdict};
pub use transaction::{RecoveredTx, TransactionError};
