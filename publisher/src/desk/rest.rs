//! A pause after what failed: longer the more often it did.

use std::time::Duration;

use fermata_primitives::{Backoff, UnixTime};

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);

/// When something that failed is tried again.
#[derive(Debug)]
pub(super) struct Rest {
    backoff: Backoff,
    until: Option<UnixTime>,
}

impl Rest {
    /// No pause lasts longer than `longest`.
    pub(super) const fn new(longest: Duration) -> Self {
        Self { backoff: Backoff::new(FIRST, longest), until: None }
    }

    /// It failed.
    pub(super) fn begin(&mut self, now: UnixTime) {
        self.until = Some(now + self.backoff.wait());
    }

    /// It may be tried at once: something is new.
    pub(super) const fn end(&mut self) {
        self.until = None;
    }

    /// It works again.
    pub(super) const fn forget(&mut self) {
        self.until = None;
        self.backoff.reset();
    }

    /// When it is over, if it is not yet.
    pub(super) fn ends_after(&self, now: UnixTime) -> Option<UnixTime> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_lasts_longer_each_time_until_it_works_again() {
        let (mut rest, now) = (Rest::new(Duration::from_millis(300)), UnixTime::from_millis(5_000));
        let mut spans = Vec::new();
        for _ in 0..3 {
            rest.begin(now);
            spans.extend(rest.ends_after(now).map(|at| at.since(now).as_millis()));
        }
        assert_eq!(spans, [100, 200, 300]);
        rest.forget();
        assert_eq!(rest.ends_after(now), None);
        rest.begin(now);
        assert_eq!(rest.ends_after(now + FIRST), None, "it is over at its end");
    }
}
