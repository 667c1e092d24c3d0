//! Keeps a node's clock at the time of L1's head, and at its pace.
//!
//! The L1 of a development chain may go more slowly than the machine's clock: its owner holds time back while the machine has
//! more to do than it can. A clock that went on at full speed between two heads would run ahead of it, slot by slot.

use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{Clock as _, L1FollowingClock, L1Timestamp, Pace, UnixTime};

/// A clock, and what was last seen of L1's.
#[derive(Debug)]
pub(super) struct ClockKeeper {
    clock: Arc<L1FollowingClock>,
    /// An L1 block comes this often.
    every: Duration,
    heads: Heads,
}

/// What was seen of L1's heads, and what a clock does at the next; pure.
#[derive(Clone, Copy, Default, Debug)]
struct Heads {
    /// The clock was moved to a head whose age is not known: the next is followed as soon as it is there.
    settling: bool,
    last: Option<Sighting>,
}

/// A head, and when it was seen.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    timestamp: L1Timestamp,
    monotonic: Duration,
}

/// What becomes of the time a clock shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Move {
    /// It goes on from where it is.
    Stay,
    /// It is the head's.
    ToHead,
}

/// Where no L1 block comes, L1's time stands still, and the clock does so as many blocks after the last.
const AHEAD_AT_MOST: u32 = 3;

/// A clock ahead of L1's by less than this, at a pace that is nearly the machine's, is well.
const WELL: (Duration, u64) = (Duration::from_millis(150), 900);

impl ClockKeeper {
    pub(super) fn new(clock: Arc<L1FollowingClock>, every: Duration) -> Self {
        Self { clock, every, heads: Heads::default() }
    }

    /// Whether the next head is needed as soon as it is there.
    pub(super) const fn is_settling(&self) -> bool {
        self.heads.settling
    }

    /// A new head. It moves the clock where it is ahead of it, or behind by more than `tolerance`; and however long the next
    /// takes, the clock does not run away from it.
    pub(super) fn see(&mut self, head: L1Timestamp, tolerance: Duration) {
        let seen = Sighting { timestamp: head, monotonic: self.clock.monotonic() };
        let (moves, pace) = self.heads.next(seen, self.clock.now(), tolerance, self.every);
        if moves == Move::ToHead {
            self.clock.follow(head);
        }
        if self.heads.settling {
            tracing::info!(l1_time = head.0, "the clock was moved to the L1 head");
        }
        self.clock.set_pace(pace);
        self.clock.stop_at(UnixTime::from(head) + self.every * AHEAD_AT_MOST);
    }
}

impl Heads {
    /// What a clock that shows `now` does at this head. Its pace is judged at every head, also at one that moves the clock:
    /// each is ahead of a clock that is too slow, and nothing else would make it faster.
    fn next(&mut self, seen: Sighting, now: UnixTime, tolerance: Duration, every: Duration) -> (Move, Pace) {
        let head = UnixTime::from(seen.timestamp);
        let is_off = head > now || now.since(head) > tolerance;
        let settles = std::mem::take(&mut self.settling);
        self.settling = is_off && !settles;
        let (moves, ahead) =
            if is_off || settles { (Move::ToHead, Duration::ZERO) } else { (Move::Stay, now.since(head)) };
        // A head that takes another's place, at its time or an earlier one, says nothing about L1's pace.
        let last = self.last.replace(seen).filter(|last| last.timestamp < seen.timestamp);
        (moves, last.map_or(Pace::FULL, |last| pace(last, seen, ahead, every)))
    }
}

/// L1's own pace between two heads, and a little slower while the clock is ahead.
fn pace(last: Sighting, seen: Sighting, ahead: Duration, every: Duration) -> Pace {
    let on_l1 = Duration::from_secs(seen.timestamp.0.saturating_sub(last.timestamp.0)).as_millis() as u64;
    let here = seen.monotonic.saturating_sub(last.monotonic).as_millis().max(1) as u64;
    let of_l1 = on_l1.saturating_mul(1_000) / here;
    if ahead < WELL.0 && of_l1 >= WELL.1 {
        return Pace::FULL;
    }
    // What it is ahead is made good within the next two blocks.
    let two_blocks = 2 * every.as_millis() as u64;
    let left = two_blocks.saturating_sub(ahead.as_millis() as u64).max(two_blocks / 10);
    Pace::per_mille(u32::try_from(of_l1.min(1_000) * left / two_blocks.max(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(l1_secs: u64, here_millis: u64, ahead_millis: u64) -> Pace {
        let last = Sighting { timestamp: L1Timestamp(100), monotonic: Duration::ZERO };
        let seen = Sighting { timestamp: L1Timestamp(100 + l1_secs), monotonic: Duration::from_millis(here_millis) };
        pace(last, seen, Duration::from_millis(ahead_millis), SECOND)
    }

    #[test]
    fn a_clock_goes_at_the_pace_of_the_heads_and_slower_while_it_is_ahead() {
        let cases = [
            ((1, 1_000, 10), Pace::FULL),
            ((1, 1_080, 100), Pace::FULL),
            ((3, 3_000, 0), Pace::FULL),
            // One that came early after one that came late.
            ((1, 400, 0), Pace::FULL),
            ((1, 4_000, 0), Pace::per_mille(250)),
            ((1, 4_000, 1_000), Pace::per_mille(125)),
            ((1, 1_000, 500), Pace::per_mille(750)),
            ((1, 1_000, 60_000), Pace::per_mille(100)),
        ];
        for ((on_l1, here, ahead), expected) in cases {
            assert_eq!(after(on_l1, here, ahead), expected, "{on_l1} s of L1 in {here} ms, {ahead} ms ahead");
        }
    }

    /// A clock whose machine's time passes as a test says.
    #[derive(Debug)]
    struct Simulated {
        heads: Heads,
        machine: Duration,
        shows: Duration,
        pace: Pace,
    }

    impl Simulated {
        /// It shows this much, at full pace, and has seen no head.
        fn at(secs: u64) -> Self {
            Self {
                heads: Heads::default(),
                machine: Duration::ZERO,
                shows: Duration::from_secs(secs),
                pace: Pace::FULL,
            }
        }

        /// A head comes after so much of the machine's time.
        fn see(&mut self, after_millis: u64, timestamp: u64) -> Pace {
            let passed = Duration::from_millis(after_millis);
            self.machine += passed;
            self.shows += passed * thousandths(self.pace) / 1_000;
            let seen = Sighting { timestamp: L1Timestamp(timestamp), monotonic: self.machine };
            let (moves, pace) = self.heads.next(seen, UnixTime(self.shows), 16 * SECOND, SECOND);
            if moves == Move::ToHead {
                self.shows = Duration::from_secs(timestamp);
            }
            self.pace = pace;
            pace
        }
    }

    fn thousandths(pace: Pace) -> u32 {
        (1..1_000).find(|thousandths| Pace::per_mille(*thousandths) == pace).unwrap_or(1_000)
    }

    #[test]
    fn slow_heads_then_quick_ones_bring_the_clock_back_to_full_pace() {
        let mut clock = Simulated::at(100);
        clock.see(0, 100);
        let slow: Vec<_> = (101..=105).map(|timestamp| clock.see(4_000, timestamp)).collect();
        assert!(slow.iter().all(|pace| *pace < Pace::per_mille(300)), "{slow:?}");
        let quick: Vec<_> = (106..=109).map(|timestamp| clock.see(1_000, timestamp)).collect();
        assert_eq!(quick, [Pace::FULL; 4]);
    }

    #[test]
    fn a_head_that_takes_anothers_place_does_not_slow_the_clock() {
        let mut clock = Simulated::at(100);
        clock.see(0, 100);
        clock.see(1_000, 101);
        clock.see(1_000, 102);
        assert_eq!(clock.see(300, 102), Pace::FULL, "another block at the same time");
        assert_eq!(clock.see(200, 101), Pace::FULL, "L1 went back");
    }

    #[tokio::test]
    async fn without_heads_the_clock_stands_still_in_the_end() {
        let clock = Arc::new(L1FollowingClock::new());
        let every = Duration::from_millis(1);
        let mut keeper = ClockKeeper::new(Arc::clone(&clock), every);
        let head = clock.now().floor_secs().plus_secs(3_600);
        keeper.see(head, SECOND);
        let sleep = clock.sleep(50 * every);
        sleep.await;
        assert_eq!(clock.now(), UnixTime::from(head) + every * AHEAD_AT_MOST);
    }

    #[test]
    fn the_clock_settles_with_the_head_after_the_one_it_was_moved_to() {
        let clock = Arc::new(L1FollowingClock::new());
        let mut keeper = ClockKeeper::new(Arc::clone(&clock), SECOND);
        let far = clock.now().floor_secs().plus_secs(3_600);
        keeper.see(far, 16 * SECOND);
        assert!(keeper.is_settling() && clock.now() >= far.into());
        keeper.see(far.minus_secs(1), 16 * SECOND);
        assert!(!keeper.is_settling() && clock.now() < far.into());
    }
}
