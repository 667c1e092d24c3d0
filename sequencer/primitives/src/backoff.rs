//! Waiting longer after each failure.

use std::time::Duration;

/// Spans that double from `first` up to `longest`; [`Backoff::reset`] after a success.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// A backoff that begins with `first` and never exceeds `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The span to wait before the next attempt.
    pub fn wait(&mut self) -> Duration {
        let span = self.next.min(self.longest);
        self.next = span.saturating_mul(2);
        span
    }

    /// Begins anew: the last attempt succeeded.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_double_up_to_the_longest_and_a_reset_begins_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let spans: Vec<_> = (0..4).map(|_| backoff.wait().as_millis()).collect();
        assert_eq!(spans, [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.wait(), Duration::from_millis(100));
    }
}
