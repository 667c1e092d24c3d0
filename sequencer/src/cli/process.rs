//! The commands that are processes: `dev` and `node`.

use super::dev::{self, DevArgs};
use super::{Failure, NodeArgs, node};
use crate::config::{NodeConfig, Sources};
use crate::log;
use crate::metrics::recorder_of_this_process;

/// `fermata dev`.
///
/// # Errors
/// [`Failure`] with the catalogue's row.
pub async fn run_dev(args: DevArgs) -> Result<(), Failure> {
    let ended = dev::run(args, Sources::from_environment(), recorder_of_this_process()).await;
    ended.map_err(|error| Failure::new(error.reason(), &error))
}

/// `fermata node`.
///
/// # Errors
/// [`Failure`] with the catalogue's row.
pub async fn run_node(args: &NodeArgs) -> Result<(), Failure> {
    let config = NodeConfig::load(&args.sources())?;
    log::init(&config.log.filter, config.log.format);
    let ended = node::run(config, recorder_of_this_process()).await;
    ended.map_err(|error| Failure::new(error.reason(), &error))
}
