//! Named steps between two durable effects, at which a test has the process fail.
//!
//! `crash_point!("publisher.after_record")` is nothing unless the crate that holds it was built with its feature
//! `crash-points`. Then [`arm`] says at which of them something happens, and what:
//!
//! ```text
//! publisher.after_record               the process aborts, the first time it comes by
//! signer.after_pin=sigstop@2           it stops itself the second time
//! node_store.before_write=io-error,publisher.after_record=exit:3
//! ```
//!
//! The actions are `abort`, `exit:<code>`, `sigstop`, `panic`, `io-error` (where the write that follows can fail) and
//! `sleep:<milliseconds>`. An order `@<file>` names a file in which the list stands, now or later: it is read when it is
//! there, and hits count from then on; so a process that runs is armed. While anything is armed, the process says on
//! standard error which points it comes by. Built without the feature, a process that is armed is refused when it starts.

#[cfg(any(test, feature = "crash-points"))]
mod armed;
mod error;
#[cfg(feature = "crash-points")]
mod reached;
mod registry;

pub use error::ArmError;
#[cfg(feature = "crash-points")]
pub use reached::{reach, reach_fallible};
pub use registry::{CRASH_POINTS, CrashPoint, markdown};

/// The environment variable that arms crash points.
pub const CRASH_POINT_ENV: &str = "FERMATA_CRASH_POINT";

/// Marks a step between two durable effects; see the module `crash_point`.
///
/// The second form stands before a write that can fail: `crash_point!("node_store.before_write", NodeStoreError::from)`
/// returns from the function around it with what the second argument makes of an [`std::io::Error`].
#[macro_export]
macro_rules! crash_point {
    ($tag:literal) => {{
        #[cfg(feature = "crash-points")]
        $crate::reach($tag);
    }};
    ($tag:literal, $refuse:expr) => {{
        #[cfg(feature = "crash-points")]
        if let Some(error) = $crate::reach_fallible($tag) {
            return Err($refuse(error));
        }
    }};
}

/// Arms what `orders` name, each a comma-separated list, for as long as the process lives. Without orders nothing is
/// armed. To be called before anything else is done, once.
///
/// # Errors
/// [`ArmError`] names what is wrong; nothing is armed then.
pub fn arm(orders: &[String]) -> Result<(), ArmError> {
    if orders.is_empty() {
        return Ok(());
    }
    #[cfg(feature = "crash-points")]
    return reached::arm(orders);
    #[cfg(not(feature = "crash-points"))]
    Err(ArmError::NotBuiltIn)
}

/// What the environment of this process arms.
#[must_use]
pub fn orders_from_environment() -> Option<String> {
    // What is no text names no crash point either, and is refused as such.
    std::env::var_os(CRASH_POINT_ENV).map(|order| order.to_string_lossy().into_owned())
}
