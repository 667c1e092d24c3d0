//! The L1 side: what the head is, what the rollup contract says, and the L2 chain that its blobs hold.

mod blobs;
mod client;
mod clock_keeper;
mod committees;
mod follower;
mod governance;
mod head;
mod proposals;
mod slashing;
mod sync;
mod view;

pub use blobs::BlobSource;
pub use client::{L1Client, revert_reason, unless_interrupted};
pub use committees::Committees;
pub use follower::Follower;
pub use governance::{GovernanceView, SignalFacts};
pub use head::{HeadMonitor, HeadReceiver};
pub use proposals::Proposals;
pub use slashing::{DecidedRound, SlashingView};
pub use sync::Sync;
pub use view::{CheckpointInputs, CheckpointMark, RollupView};
