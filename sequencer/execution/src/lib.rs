//! Execution of L2 blocks: the [`Execution`] trait, and its in-process EVM.
//!
//! ```text
//! begin(parent, attributes) -> job -> seal -> Block          a proposer builds
//!                                     insert(Block) -> Verdict     a validator re-executes
//!                                     set_heads(Heads)             the chain moves, forwards or back
//! ```
//!
//! [`RevmExecution`] is the default: revm with Prague's rules, Ethereum block headers with a true state root, everything
//! durable in one LMDB environment, a mempool and the `eth_` JSON-RPC. What it is not: no peer-to-peer, no sync from
//! peers, no fee market for blobs.

mod block;
mod chain;
mod error;
mod evm;
mod execution;
mod genesis;
pub mod mempool;
pub mod rpc;
mod sender_recovery;
mod state;
mod store;
mod transaction;

pub use block::{Block, BlockId};
pub use chain::{ChainReader, HeadsMoved, Options, RevmExecution};
pub use error::{ExecutionError, Result};
pub use evm::{CallOutcome, GasEstimate};
pub use execution::{BlockAttributes, Execution, Heads, JobId, Verdict};
pub use genesis::{Genesis, GenesisAccount};
pub use transaction::{RecoveredTx, TransactionError};
