//! Time is an argument: the one home of `now` and of sleeping.
//!
//! A clock that jumps wakes those who sleep until a moment, and each looks again whether it has come. So a warp of the L1 clock
//! under a running engine ends the sleeps it should end, and none of them sleeps for a time that is no more.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::L1Timestamp;

/// A moment: time since the Unix epoch, as a [`Clock`] tells it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub Duration);

impl UnixTime {
    /// The moment `millis` after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The last whole second, as an L1 block of this moment would say.
    #[must_use]
    pub const fn floor_secs(self) -> L1Timestamp {
        L1Timestamp(self.0.as_secs())
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.as_millis() as u64
    }

    /// Time from `earlier` to this; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<L1Timestamp> for UnixTime {
    fn from(at: L1Timestamp) -> Self {
        Self(Duration::from_secs(at.0))
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl Sub<Duration> for UnixTime {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// The clock every part takes.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Wall-clock time: what slots and L1 deadlines are measured in. It may jump.
    fn now(&self) -> UnixTime;

    /// Time since some fixed moment: what durations are measured in. It never goes back.
    fn monotonic(&self) -> Duration;

    /// Resolves once `now` has reached `at`, also when a jump takes it there.
    ///
    /// # Cancel safety
    /// Dropping the future ends the sleep.
    fn sleep_until(&self, at: UnixTime) -> BoxFuture<'_, ()>;

    /// Resolves after `span` of [`Clock::monotonic`] time, whatever `now` does meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future ends the sleep.
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()>;
}

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// A sleep looks at the clock again at least this often, so that a jump of the machine's clock is noticed.
const LONGEST_NAP: Duration = Duration::from_millis(500);

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one home of the wall clock")]
    fn now(&self) -> UnixTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixTime(since.unwrap_or_default())
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of the monotonic clock")]
    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }

    fn sleep_until(&self, at: UnixTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            while self.now() < at {
                self.sleep(at.since(self.now()).min(LONGEST_NAP)).await;
            }
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of sleeping")]
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock wound by hand: it stands still until it is told to move. For tests without an L1.
#[derive(Debug)]
pub struct ManualClock {
    hands: watch::Sender<Hands>,
}

/// What a clock shows.
#[derive(Clone, Copy, Debug)]
struct Hands {
    now: UnixTime,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        Self { hands: watch::Sender::new(Hands { now, monotonic: Duration::ZERO }) }
    }

    /// A jump: `now` is `at`, forwards or back, while no monotonic time passes. Wakes every sleeper.
    pub fn set(&self, at: UnixTime) {
        self.hands.send_modify(|hands| hands.now = at);
    }

    /// Lets `span` pass.
    pub fn advance(&self, span: Duration) {
        self.hands.send_modify(|hands| {
            hands.now = hands.now + span;
            hands.monotonic += span;
        });
    }

    fn wait_for(&self, reached: impl Fn(&Hands) -> bool + Send + 'static) -> BoxFuture<'_, ()> {
        let mut hands = self.hands.subscribe();
        Box::pin(async move {
            // An error means that the clock is gone; whoever sleeps on it borrows it, so that cannot be.
            let _ = hands.wait_for(reached).await;
        })
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        self.hands.borrow().now
    }

    fn monotonic(&self) -> Duration {
        self.hands.borrow().monotonic
    }

    fn sleep_until(&self, at: UnixTime) -> BoxFuture<'_, ()> {
        self.wait_for(move |hands| hands.now >= at)
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        let end = self.monotonic().saturating_add(span);
        self.wait_for(move |hands| hands.monotonic >= end)
    }
}

/// How fast an [`L1FollowingClock`] goes, beside the machine's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pace {
    per_mille: u32,
}

impl Pace {
    /// A second of the clock is a second of the machine's.
    pub const FULL: Self = Self { per_mille: 1_000 };

    /// So many thousandths of it: at least one, at most all.
    #[must_use]
    pub const fn per_mille(thousandths: u32) -> Self {
        let per_mille = if thousandths == 0 { 1 } else { thousandths };
        if per_mille > Self::FULL.per_mille { Self::FULL } else { Self { per_mille } }
    }

    /// What the clock shows of a span of the machine's time.
    fn of(self, span: Duration) -> Duration {
        span * self.per_mille / Self::FULL.per_mille
    }

    /// How long the machine takes until the clock has shown a span.
    fn until(self, span: Duration) -> Duration {
        span * Self::FULL.per_mille / self.per_mille
    }
}

/// A clock that agrees with the L1 head: what a node uses beside an L1 whose clock is warped. Between two heads it goes on as
/// the machine's does, or slower.
#[derive(Debug)]
pub struct L1FollowingClock {
    course: watch::Sender<Course>,
}

/// Where a clock was at a moment of the machine's monotonic time, and how it goes on from there.
#[derive(Clone, Copy, Debug)]
struct Course {
    at: UnixTime,
    from: Duration,
    pace: Pace,
    /// Where it stands still.
    limit: UnixTime,
}

const NEVER: UnixTime = UnixTime(Duration::MAX);

impl Course {
    /// At `at` now.
    fn from_now(at: UnixTime, pace: Pace) -> Self {
        Self { at, from: SystemClock.monotonic(), pace, limit: NEVER }
    }

    fn now(self) -> UnixTime {
        let now = self.at + self.pace.of(SystemClock.monotonic().saturating_sub(self.from));
        now.min(self.limit)
    }

    /// How long one who waits until `at`, which is `left` from now, may sleep before the clock is looked at again.
    fn nap(self, at: UnixTime, left: Duration) -> Duration {
        // Where the clock stands first, only another course brings it there, and that wakes every sleeper.
        if at > self.limit { LONGEST_NAP } else { self.pace.until(left.min(LONGEST_NAP)).min(LONGEST_NAP) }
    }
}

impl Default for L1FollowingClock {
    fn default() -> Self {
        Self { course: watch::Sender::new(Course::from_now(SystemClock.now(), Pace::FULL)) }
    }
}

impl L1FollowingClock {
    /// A clock that agrees with the machine's until it is told otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `now` be `at` at this instant, and wakes every sleeper.
    pub fn set(&self, at: UnixTime) {
        self.course.send_modify(|course| *course = Course::from_now(at, course.pace));
    }

    /// Makes `now` be the L1 head's timestamp at this instant, and wakes every sleeper.
    pub fn follow(&self, head: L1Timestamp) {
        self.set(head.into());
    }

    /// Goes on from where it is at this pace.
    pub fn set_pace(&self, pace: Pace) {
        self.course.send_if_modified(|course| {
            let changes = course.pace != pace;
            if changes {
                *course = Course { limit: course.limit, ..Course::from_now(course.now(), pace) };
            }
            changes
        });
    }

    /// Stands still once it shows `limit`, until it is moved or given another limit. Where it is past that it stands.
    pub fn stop_at(&self, limit: UnixTime) {
        self.course.send_modify(|course| {
            let now = course.now();
            *course = Course { limit: limit.max(now), ..Course::from_now(now, course.pace) };
        });
    }
}

impl Clock for L1FollowingClock {
    fn now(&self) -> UnixTime {
        self.course.borrow().now()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    fn sleep_until(&self, at: UnixTime) -> BoxFuture<'_, ()> {
        let mut changes = self.course.subscribe();
        Box::pin(async move {
            loop {
                let course = *changes.borrow_and_update();
                let left = at.since(course.now());
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    () = SystemClock.sleep(course.nap(at, left)) => {}
                    _ = changes.changed() => {}
                }
            }
        })
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        SystemClock.sleep(span)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_jump_past_the_moment_ends_the_sleep() {
        let clock = ManualClock::new(UnixTime::from_millis(1_000));
        let sleep = clock.sleep_until(UnixTime::from_millis(60_000));
        futures::pin_mut!(sleep);
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.set(UnixTime::from_millis(61_000));
        sleep.await;
    }

    #[tokio::test]
    async fn a_sleep_for_a_span_is_neither_cut_nor_drawn_out_by_a_jump() {
        let clock = ManualClock::new(UnixTime::from_millis(60_000));
        let sleep = clock.sleep(Duration::from_secs(1));
        futures::pin_mut!(sleep);
        clock.set(UnixTime::from_millis(90_000));
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.set(UnixTime::from_millis(1_000));
        clock.advance(Duration::from_secs(1));
        sleep.await;
    }

    #[tokio::test]
    async fn following_the_head_wakes_a_sleeper_whose_moment_has_come() {
        let clock = L1FollowingClock::new();
        let tomorrow = clock.now() + Duration::from_secs(86_400);
        let sleep = clock.sleep_until(tomorrow);
        futures::pin_mut!(sleep);
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.follow(L1Timestamp(tomorrow.0.as_secs() + 1));
        sleep.await;
    }

    #[tokio::test]
    async fn a_clock_that_goes_slowly_goes_on_from_where_it_was_and_never_back() {
        let clock = L1FollowingClock::new();
        let before = clock.now();
        clock.set_pace(Pace::per_mille(1));
        let (slow, machine) = (clock.now(), SystemClock.monotonic());
        SystemClock.sleep(Duration::from_millis(50)).await;
        let (passed, took) = (clock.now().since(slow), SystemClock.monotonic() - machine);
        assert!(slow >= before);
        assert!(passed <= took / 900, "{passed:?} of {took:?}");
        let soon = clock.now() + Duration::from_secs(3_600);
        let sleep = clock.sleep_until(soon);
        futures::pin_mut!(sleep);
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.set_pace(Pace::FULL);
        clock.follow(L1Timestamp(soon.0.as_secs() + 1));
        sleep.await;
    }

    #[tokio::test]
    async fn a_clock_stands_at_its_limit_and_goes_on_with_another() {
        let clock = L1FollowingClock::new();
        let limit = clock.now();
        clock.stop_at(limit);
        let stands = clock.now();
        let sleep = clock.sleep_until(stands + Duration::from_millis(20));
        futures::pin_mut!(sleep);
        SystemClock.sleep(Duration::from_millis(40)).await;
        assert!(sleep.as_mut().now_or_never().is_none());
        assert_eq!(clock.now(), stands);
        clock.stop_at(limit + Duration::from_secs(60));
        sleep.await;
    }

    #[tokio::test]
    async fn a_moment_that_never_comes_and_a_span_that_never_ends_are_waited_for() {
        let slow = L1FollowingClock::new();
        slow.set_pace(Pace::per_mille(1));
        let clocks: [&dyn Clock; 4] =
            [&SystemClock, &ManualClock::new(UnixTime::from_millis(1)), &L1FollowingClock::new(), &slow];
        for clock in clocks {
            assert!(clock.sleep_until(UnixTime(Duration::MAX)).now_or_never().is_none(), "{clock:?}");
            assert!(clock.sleep(Duration::MAX).now_or_never().is_none(), "{clock:?}");
        }
    }

    #[test]
    fn one_who_waits_for_a_moment_past_the_limit_does_not_look_again_and_again() {
        let limit = UnixTime::from_millis(1_000);
        let course = Course { limit, ..Course::from_now(limit, Pace::FULL) };
        let (near, now) = (limit + Duration::from_nanos(1), course.now());
        assert_eq!(course.nap(near, near.since(now)), LONGEST_NAP);
        let runs = Course { limit: NEVER, ..course };
        assert_eq!(runs.nap(near, Duration::from_nanos(1)), Duration::from_nanos(1));
    }

    #[test]
    fn a_pace_is_more_than_nothing_and_at_most_the_machines() {
        assert_eq!((Pace::per_mille(0), Pace::per_mille(5_000)), (Pace { per_mille: 1 }, Pace::FULL));
        let (quarter, second) = (Pace::per_mille(250), Duration::from_secs(1));
        assert_eq!((quarter.of(second), quarter.until(second)), (Duration::from_millis(250), Duration::from_secs(4)));
    }
}
