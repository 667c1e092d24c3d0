//! The commands that are processes: `dev` and `node`.

use fermata_primitives::{arm, orders_from_environment};

use super::dev::{self, DevArgs};
use super::{Failure, NodeArgs, node};
use crate::catalogue::Reason;
use crate::config::{NodeConfig, Sources};
use crate::log;
use crate::metrics::recorder_of_this_process;

/// `fermata dev`.
///
/// # Errors
/// [`Failure`] with the catalogue's row.
pub async fn run_dev(args: DevArgs) -> Result<(), Failure> {
    arm_crash_points(None)?;
    let ended = dev::run(args, Sources::from_environment(), recorder_of_this_process()).await;
    ended.map_err(|error| Failure::new(error.reason(), &error))
}

/// `fermata node`, with the crash points of its flag beside those of the environment.
///
/// # Errors
/// [`Failure`] with the catalogue's row.
pub async fn run_node(args: &NodeArgs, crash_points: Option<String>) -> Result<(), Failure> {
    arm_crash_points(crash_points)?;
    let config = NodeConfig::load(&args.sources())?;
    log::init(&config.log.filter, config.log.format);
    let ended = node::run(config, recorder_of_this_process()).await;
    ended.map_err(|error| Failure::new(error.reason(), &error))
}

/// Arms what a flag and the environment name, before anything else is done.
fn arm_crash_points(flag: Option<String>) -> Result<(), Failure> {
    let orders: Vec<_> = flag.into_iter().chain(orders_from_environment()).collect();
    arm(&orders).map_err(|error| Failure::new(Reason::ConfigInvalid, &error))
}
