//! Running transactions: Ethereum's rules as of Prague.
//!
//! What of Prague has no meaning on this chain: there is no beacon chain, so the header's beacon root is zero and
//! EIP-4788's contract is not called; there are no withdrawals, no execution requests and no blobs, so their header
//! fields hold what Ethereum puts there for none. EIP-2935's history of block hashes is kept: genesis holds its contract.

mod build;
mod call;
mod environment;
mod estimate;
mod executor;
mod replay;
mod tx_env;

pub(crate) use build::{Limits, build_from_list, build_from_mempool};
pub use call::CallOutcome;
pub(crate) use call::call;
pub(crate) use environment::{BlockEnvironment, empty_header, next_base_fee};
pub use estimate::GasEstimate;
pub(crate) use estimate::estimate_gas;
pub(crate) use executor::Executed;
pub(crate) use replay::{Replayed, replay};

use revm::primitives::hardfork::SpecId;

/// The rules every block of the chain keeps to.
const RULES: SpecId = SpecId::PRAGUE;
