//! Anvil as an owned child process, the owner of the L1 clock, and deployment of the L1 rollup.
//!
//! The main path, as data: [`Anvil::start`] gives an L1 of one's own, [`L1Clock`] says when its blocks come,
//! [`Deployer`] puts the rollup's contracts on it (or on any other L1), [`stake`] registers validators through them, and
//! [`DevChain::start`] does all four so that a committee stands and L1 time is wall time.
//!
//! Tests need the same many times over, so [`TestL1`] takes its anvil from an [`AnvilPool`] that keeps them warm, and the
//! chain with everything on it from a file that is made once; [`DevChain::restore`] has blocks come on such an L1.
//!
//! Anvil and the contracts' artifacts come from npm, pinned by `package.json`: `npm ci --prefix anvil`.

mod artifacts;
mod binary;
mod blob_fee;
mod cheats;
mod deploy;
mod dev_chain;
mod door;
mod error;
mod l1_clock;
mod pool;
mod process;
mod provider;
mod staking;
mod state_cache;
mod test_l1;
mod warm_up;

pub use artifacts::{Artifact, Artifacts};
pub use binary::{find_anvil, find_artifacts};
pub use cheats::Cheats;
pub use deploy::{
    DeployConfig, Deployer, Deployment, EscapeHatchConfig, Foundations, GovernanceProposerConfig, L1Access, Mining,
    SlashingConfig, StakingQueue, deploy,
};
pub use dev_chain::{DevAccounts, DevChain, DevChainConfig, L1Process, StartReport};
pub use error::{AnvilError, Result};
pub use l1_clock::{HeldTransactions, IntervalMining, L1Clock, L1Head, PausedInterval, Reinclude, Reorg, Warp};
pub use pool::{AnvilPool, LeasedAnvil, RestartL1};
pub use process::{Anvil, AnvilConfig, AnvilMining, Ended, Hardfork, StateFile};
pub use provider::connect;
pub use staking::{BlsSecret, StakeDeposit, ValidatorRegistration, registration_digest, stake, submit_deposits};
pub use test_l1::TestL1;
