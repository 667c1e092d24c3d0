//! Time that a fault takes.

use std::time::Duration;

use fermata_primitives::{Clock as _, SystemClock};

/// Lets the time go by. Of the machine, not of L1: a warp does not end it.
pub(super) async fn pause(span: Duration) {
    SystemClock.sleep(span).await;
}
