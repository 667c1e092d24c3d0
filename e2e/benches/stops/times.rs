//! How the times of stops are told.

use fermata_e2e::Times;

/// Prints the distribution, and the median as a part of the baseline's.
pub(crate) fn print(case: &str, times: &Times, baseline: &Times) {
    let ratio = times.millis_at(500) / baseline.millis_at(500);
    println!(
        "{case:<44} {:>5} stops: p50 {:>7.2} ms  p90 {:>7.2}  p99 {:>7.2}  max {:>7.2}; {ratio:.4} of a flag between \
         polls ({:.0} ms)",
        times.count(),
        times.millis_at(500),
        times.millis_at(900),
        times.millis_at(990),
        times.millis_at(1_000),
        baseline.millis_at(500),
    );
}
