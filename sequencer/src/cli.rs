//! The command line.
//!
//! The verbs that talk to a running node find it from its data directory. Every command has `--json`, and its exit code
//! is the catalogue's.

pub mod client;
mod config_show;
mod console;
mod deploy;
mod dev;
mod failure;
mod node;
mod node_args;
mod process;
mod render;
mod target;
#[cfg(test)]
mod tests;
pub mod verbs;

pub use config_show::{ConfigCommand, ShowArgs, show_config};
pub use console::Console;
pub use deploy::{DeployArgs, GenesisArgs};
pub use dev::{DevArgs, DevError};
pub use failure::{Failure, Form};
pub use node::NodeCommandError;
pub use node_args::NodeArgs;
pub use process::{run_dev, run_node};
pub use target::Target;
pub use verbs::VerbCommand;
