//! The public test harness: real anvil, real contracts, nodes in this process or as processes of their own.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! use fermata_e2e::{Checkpoint, Net};
//!
//! let net = Net::builder().nodes(3).validators(4).build().await?;
//! let begun = net.mark();
//! net.wait(Checkpoint(2)).await?;
//! net.assert_no_failures_since(begun).await;
//! # Ok(()) }
//! ```
//!
//! [`guide::first_test`] explains a first test line by line, [`guide::verbs`] lists every verb.
//!
//! L1 time jumps while the sequencers stand still: see [`Net::warp_with_sequencers_stopped`].
//!
//! Nothing here sleeps: one waits for events, with a deadline in slots.

/// Pages for test writers.
pub mod guide {
    #[doc = include_str!("../docs/first-test.md")]
    pub mod first_test {}
    #[doc = include_str!("../docs/verbs.md")]
    pub mod verbs {}
}

mod builder;
mod child;
pub mod crash;
mod footprint;
mod l1;
mod l1_proxy;
mod mempool;
mod net;
mod node;
mod pace;
mod process;
mod timeline;
mod times;
mod wait;
mod warp;
mod watch;

pub use fermata_primitives::{CheckpointNumber, Epoch, L1Timestamp, Slot};
pub use fermata_sequencer::dev::Seat;
pub use fermata_sequencer::events::SequencerEvent;
pub use fermata_sequencer::lifecycle::{Drain, Lifecycle};
pub use fermata_sequencer::network::{Hub, LinkSettings, NodeId, Share};

pub use builder::{NetBuilder, UnfitNet};
pub use child::{AdminDoor, ChildNode, run};
pub use fermata_anvil::{AnvilError, DeployConfig, HeldTransactions, L1Head, Reinclude, Reorg, RestartL1};
pub use footprint::Footprint;
pub use l1::L1;
pub use l1_proxy::{
    BROADCAST, Call, CutAt, Fate, Fault, HANDSHAKE, L1Proxy, L1ProxyOptions, LoggedCall, Rewrite, Rule, Stage,
};
pub use mempool::{Client, PoolRules};
pub use net::{Net, NetOptions};
pub use node::NetNode;
pub use timeline::{Entry, Happening, Mark, NodeView};
pub use times::{Times, number_in_env};
pub use wait::{Block, Checkpoint, Condition, Happens, InState, L1Block, Pruned, Seen, SlotBegins, Wait, WaitError};
pub use warp::{Activity, Drained, Restart, Sequencer, SharedSequencer, WarpError, WarpOptions, Warped};
pub use watch::Watch;
