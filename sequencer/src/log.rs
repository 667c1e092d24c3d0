//! The log of this process, whose filter can be changed while it is written.

use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use crate::config::LogFormat;

/// Puts another filter in the place of the one there is.
type Replace = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// Set once this process writes a log of ours.
static REPLACE: OnceLock<Replace> = OnceLock::new();

/// Writes the log to standard error, as `filter` and `format` say. The environment variable `RUST_LOG` wins over `filter`.
pub fn init(filter: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a log is being written already: then it is not ours to change.
    match format {
        LogFormat::Pretty => {
            let log = log.with_filter_reloading();
            let handle = log.reload_handle();
            let _ = log.try_init().map(|()| remember(handle));
        }
        LogFormat::Json => {
            let log = log.json().with_filter_reloading();
            let handle = log.reload_handle();
            let _ = log.try_init().map(|()| remember(handle));
        }
    }
}

fn remember<S: 'static>(handle: Handle<EnvFilter, S>) {
    // An error means that the log is gone, and with it all that could be filtered.
    let replace = move |filter| drop(handle.reload(filter));
    let _ = REPLACE.set(Box::new(replace));
}

/// Whether the log is ours, so that its filter can be changed.
#[must_use]
pub fn can_be_filtered_anew() -> bool {
    REPLACE.get().is_some()
}

/// Logs what `filter` lets through from now on, where the log is ours. The filter has been checked.
pub fn filter_anew(filter: &str) {
    if let Some(replace) = REPLACE.get() {
        replace(EnvFilter::new(filter));
    }
}
