//! When a backend that does not answer is left alone.

use std::time::Duration;

use fermata_primitives::Backoff;

/// Failures in a row after which it is skipped.
const MOST_FAILURES: u32 = 3;
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What is known of a backend's health. Open, it is skipped for a while; then it is tried again, and skipped for twice as
/// long when that fails too. Any answer closes it. Time is that of a monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    failures: u32,
    rest: Backoff,
    open_until: Option<Duration>,
}

impl Breaker {
    pub(super) const fn new() -> Self {
        Self { failures: 0, rest: Backoff::new(FIRST_REST, LONGEST_REST), open_until: None }
    }

    pub(super) fn is_open(&self, now: Duration) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// No answer came. Gives for how long it is skipped, where this opens it.
    pub(super) fn failed(&mut self, now: Duration) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        // Who fails while it is open was tried all the same, perhaps several times at once: that is no reason to wait longer.
        if self.failures < MOST_FAILURES || self.is_open(now) {
            return None;
        }
        let span = self.rest.wait();
        self.open_until = Some(now + span);
        Some(span)
    }

    /// An answer came, whatever it says.
    pub(super) const fn answered(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_third_failure_in_a_row_opens_it_and_an_answer_between_begins_anew() {
        let mut breaker = Breaker::new();
        assert_eq!((breaker.failed(at(0)), breaker.failed(at(0))), (None, None));
        breaker.answered();
        assert_eq!((breaker.failed(at(1)), breaker.failed(at(1)), breaker.is_open(at(1))), (None, None, false));
        assert_eq!(breaker.failed(at(1)), Some(at(5)));
        assert!(breaker.is_open(at(5)) && !breaker.is_open(at(6)), "it is skipped for five seconds");
    }

    #[test]
    fn each_failure_after_a_rest_doubles_the_rest_up_to_a_minute() {
        let (mut breaker, mut now) = (Breaker::new(), at(0));
        let _ = (breaker.failed(now), breaker.failed(now));
        let mut rests = Vec::new();
        for _ in 0..6 {
            let rest = breaker.failed(now).unwrap();
            assert_eq!(breaker.failed(now), None, "a failure while it is open prolongs nothing");
            now += rest;
            rests.push(rest.as_secs());
        }
        assert_eq!(rests, [5, 10, 20, 40, 60, 60]);
        breaker.answered();
        assert_eq!((breaker.failures(), breaker.is_open(now)), (0, false));
        let _ = (breaker.failed(now), breaker.failed(now));
        assert_eq!(breaker.failed(now), Some(at(5)));
    }
}
