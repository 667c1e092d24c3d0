//! When L1 can include what: the window of a request, and the wait for it.

use std::time::Duration;

use fermata_primitives::{L1Timestamp, UnixTime};
use tokio::sync::watch;

use crate::core::Core;
use crate::{Error, L1HeadInfo};

/// The heads one task has seen and not seen.
pub(crate) type Heads = watch::Receiver<L1HeadInfo>;

/// The L1 blocks a transaction may land in, by their timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    pub(crate) not_before: L1Timestamp,
    pub(crate) deadline: L1Timestamp,
}

/// The L1 block that comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NextBlock {
    /// The earliest timestamp it can have.
    pub(crate) due: L1Timestamp,
    /// Time between two blocks.
    pub(crate) slot: Duration,
}

/// How the next L1 block lies to a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Position {
    Before,
    Within,
    Behind,
}

/// An L1 slot whose block is not there this long after it began is taken to have none: other nodes would not follow it.
const MISSED_AFTER: Duration = Duration::from_secs(8);

impl Window {
    /// Where the next L1 block lies. A slot of L1 that must have gone without a block is not waited for: one is missed now
    /// and then; a head that is further behind is a node that is, and says nothing about the next block.
    pub(crate) fn position(self, next: NextBlock, now: UnixTime) -> Position {
        if next.due >= self.deadline {
            return Position::Behind;
        }
        let is_in_time = now < UnixTime::from(self.deadline);
        let is_missed = || self.missed_at(next).is_some_and(|at| is_in_time && now >= at);
        if next.due >= self.not_before || is_missed() { Position::Within } else { Position::Before }
    }

    /// When to look again though L1 has no new head: the slot before the window may go without a block.
    pub(crate) fn wakes_at(self, next: NextBlock, now: UnixTime) -> Option<UnixTime> {
        self.missed_at(next).filter(|at| *at > now)
    }

    /// When the next block must be missing, where the window opens right behind it. Where slots are shorter than the wait, the
    /// next block tells sooner.
    fn missed_at(self, next: NextBlock) -> Option<UnixTime> {
        let opens_behind = next.due < self.not_before && next.due.plus_secs(next.slot.as_secs()) >= self.not_before;
        (next.slot > MISSED_AFTER && opens_behind).then(|| UnixTime::from(next.due) + MISSED_AFTER)
    }
}

/// Waits until the next L1 block can lie in the window; `None` once it must lie behind.
///
/// # Cancel safety
/// Dropping it ends the wait.
pub(crate) async fn wait_for_window(core: &Core, heads: &mut Heads, window: Window) -> Option<L1HeadInfo> {
    loop {
        let head = *heads.borrow_and_update();
        let next = NextBlock { due: core.next_block_at(&head), slot: core.config.ethereum_slot };
        let now = core.clock.now();
        match window.position(next, now) {
            Position::Behind => return None,
            Position::Within => return Some(head),
            Position::Before => {}
        }
        tokio::select! {
            () = next_head(heads) => {}
            () = core.until(window.wakes_at(next, now)) => {}
        }
    }
}

/// Resolves at the next head; never, once the head has no watcher any more.
pub(crate) async fn next_head(heads: &mut Heads) {
    if heads.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves at the next head, or after `span`: L1 may be reachable again before it has a new block.
pub(crate) async fn pause(core: &Core, heads: &mut Heads, span: Duration) {
    tokio::select! {
        () = next_head(heads) => {}
        () = core.clock.sleep(span) => {}
    }
}

/// An error with what is behind it.
pub(crate) fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Duration = Duration::from_secs(12);

    fn window() -> Window {
        Window { not_before: L1Timestamp(124), deadline: L1Timestamp(160) }
    }

    fn next(due: u64) -> NextBlock {
        NextBlock { due: L1Timestamp(due), slot: SLOT }
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from(L1Timestamp(secs))
    }

    #[test]
    fn the_next_block_lies_where_its_timestamp_says() {
        for (due, position) in [
            (100, Position::Before),
            (123, Position::Before),
            (124, Position::Within),
            (159, Position::Within),
            (160, Position::Behind),
        ] {
            assert_eq!(window().position(next(due), at(due)), position, "{due}");
        }
    }

    #[test]
    fn one_slot_that_must_be_without_a_block_is_not_waited_for() {
        for (due, now, position) in [
            (112, 119, Position::Before),
            (112, 120, Position::Within),
            // The deadline has passed by the clock.
            (112, 160, Position::Before),
            // Two slots without a block: the node is behind.
            (100, 120, Position::Before),
        ] {
            assert_eq!(window().position(next(due), at(now)), position, "{due} at {now}");
        }
    }

    #[test]
    fn a_wake_lies_ahead_or_there_is_none() {
        assert_eq!(window().wakes_at(next(112), at(119)), Some(at(120)));
        assert_eq!(window().wakes_at(next(112), at(120)), None);
        assert_eq!(window().wakes_at(next(100), at(100)), None, "the block in between tells");
        let short = NextBlock { slot: Duration::from_secs(2), ..next(122) };
        assert_eq!(window().wakes_at(short, at(122)), None, "the next block tells sooner");
    }
}
