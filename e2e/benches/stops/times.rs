//! A distribution of times.

use std::time::Duration;

use fermata_primitives::{Clock as _, SystemClock};

/// Times that were measured.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Measures one more.
    pub(crate) async fn measure<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = SystemClock.monotonic();
        let done = work.await;
        self.0.push(SystemClock.monotonic() - began);
        done
    }

    fn at(&self, per_mille: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) * per_mille / 1_000]
    }

    /// Prints the distribution, and the median as a part of the baseline's.
    pub(crate) fn print(&self, case: &str, baseline: &Self) {
        let millis = |per_mille| self.at(per_mille).as_secs_f64() * 1_000.0;
        let ratio = self.at(500).as_secs_f64() / baseline.at(500).as_secs_f64();
        println!(
            "{case:<44} {:>5} stops: p50 {:>7.2} ms  p90 {:>7.2}  p99 {:>7.2}  max {:>7.2}; {ratio:.4} of a flag between \
             polls ({:.0} ms)",
            self.0.len(),
            millis(500),
            millis(900),
            millis(990),
            millis(1_000),
            baseline.at(500).as_secs_f64() * 1_000.0,
        );
    }
}
