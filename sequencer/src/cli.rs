//! The command line.
//!
//! The verbs that talk to a running node find it from its data directory. Every command has `--json`, and its exit code
//! is the catalogue's.

mod asking;
pub mod client;
mod config;
mod console;
mod deploy;
mod dev;
mod doctor;
mod failure;
mod keys;
mod node;
mod node_args;
mod process;
mod protection;
mod publisher_store;
mod render;
mod target;
#[cfg(test)]
mod tests;
pub mod verbs;
mod watching;

pub use asking::{ConditionArgs, ExplainArgs, JournalArgs, PublisherArgs, WaitArgs};
pub use config::{ConfigCommand, GetArgs, SetArgs, ShowArgs, show_config};
pub use console::Console;
pub use deploy::{DeployArgs, GenesisArgs};
pub use dev::{DevArgs, DevError};
pub use doctor::DoctorArgs;
pub use failure::{Failure, Form};
pub use keys::KeysCommand;
pub use node::NodeCommandError;
pub use node_args::NodeArgs;
pub use process::{run_dev, run_node};
pub use protection::{
    AcceptRestoredArgs, ExportArgs, ImportArgs, InitArgs, Key, ProtectionCommand, PruneArgs, RetireArgs, StoreArgs,
    VectorsArgs, VerifyArgs, scan_of_this_program,
};
pub use target::Target;
pub use verbs::VerbCommand;
pub use watching::StatusArgs;
