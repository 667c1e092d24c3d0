//! Slots, clocks, backoff and crash points: what every part of Fermata agrees on, without I/O but the crash points' own.
//!
//! Numbers carry a type: a [`Slot`] is not an [`Epoch`], and an [`L1Timestamp`] (seconds, as the L1 head says) is not
//! a [`UnixTime`] (what a [`Clock`] says). [`SlotTimes`] is the only place where the one is turned into the other.

mod backoff;
mod clock;
mod crash_point;
mod numbers;
mod slot_times;

pub use backoff::Backoff;
pub use clock::{Clock, L1FollowingClock, ManualClock, Pace, SharedClock, SystemClock, UnixTime};
pub use crash_point::{
    ArmError, CRASH_POINT_ENV, CRASH_POINTS, CrashPoint, arm, markdown as crash_points_page, orders_from_environment,
};
#[cfg(feature = "crash-points")]
pub use crash_point::{reach, reach_fallible};
pub use numbers::{CheckpointNumber, Epoch, L1Timestamp, Slot};
pub use slot_times::{SlotTimes, SlotTimesError};
