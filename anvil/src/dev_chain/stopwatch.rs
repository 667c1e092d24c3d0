//! How long each step took.

use std::time::Duration;

use fermata_primitives::SharedClock;

/// Tells the time between laps.
pub(super) struct Stopwatch {
    clock: SharedClock,
    last: Duration,
}

impl Stopwatch {
    pub(super) fn new(clock: SharedClock) -> Self {
        let last = clock.monotonic();
        Self { clock, last }
    }

    pub(super) fn lap(&mut self) -> Duration {
        let now = self.clock.monotonic();
        let lap = now.saturating_sub(self.last);
        self.last = now;
        lap
    }
}
