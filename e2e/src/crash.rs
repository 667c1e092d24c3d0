//! Nodes that die: at each crash point, and at any moment.
//!
//! A [`Ground`] is an L1 with a rollup, one node that is killed and started again, a follower in this process that never
//! died, and a [`Wire`] between the node and L1 that reads all that is sent. [`crash_matrix!`](crate::crash_matrix) makes a
//! test of each crash point; [`kill_at_random`] kills at moments nobody chose.

mod audit;
mod ground;
mod kills;
mod matrix;
mod process;
mod users;
mod wire;

pub use crate::process::Died;
pub use audit::Audit;
pub use ground::Ground;
pub use kills::{Kills, kill_at_random};
pub use matrix::{Afterwards, Case, Story, run_matrix};
pub use process::{ArmRefused, CrashNode};
pub use users::Users;
pub use wire::{Broadcast, Wire};
