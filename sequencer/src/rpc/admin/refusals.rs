//! The lines of the log about callers who were not let in: they cost the caller nothing, so that there are few of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fermata_primitives::UnixTime;

use super::caller::Door;
use crate::catalogue::Reason;

/// Between two lines.
const QUIET: Duration = Duration::from_secs(10);

/// Counts the refusals between two lines.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<UnixTime>,
    untold: u64,
}

impl Refusals {
    /// Logs a refusal, or counts it for the next line.
    pub(super) fn log(&self, door: Door, reason: Reason, now: UnixTime) {
        if let Some(untold) = self.due(now) {
            tracing::warn!(target: "audit", door = door.word(), reason = reason.word(), untold, "refused");
        }
    }

    /// How many were counted since the last line, where another is due.
    fn due(&self, now: UnixTime) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that went back makes a line due.
        if told.last.is_some_and(|last| last <= now && now.since(last) < QUIET) {
            told.untold += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_is_told_and_the_next_ones_are_counted() {
        let refusals = Refusals::default();
        let at = |secs| refusals.due(UnixTime(Duration::from_secs(secs)));
        assert_eq!(
            [at(100), at(100), at(109), at(110), at(111), at(50)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
