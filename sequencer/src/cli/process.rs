//! The commands that are processes: `dev` and `node`.

use tracing_subscriber::EnvFilter;

use super::dev::{self, DevArgs};
use super::{Failure, NodeArgs, node};
use crate::config::{LogFormat, NodeConfig, Sources};
use crate::metrics::recorder_of_this_process;

/// Writes the log to standard error, as `filter` and `format` say. The environment variable `RUST_LOG` wins over `filter`.
pub fn init_log(filter: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a log is being written already.
    let _ = match format {
        LogFormat::Pretty => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

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
    init_log(&config.log.filter, config.log.format);
    let ended = node::run(config, recorder_of_this_process()).await;
    ended.map_err(|error| Failure::new(error.reason(), &error))
}
