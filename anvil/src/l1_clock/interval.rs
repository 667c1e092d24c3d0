//! L1 blocks at their times: one each Ethereum slot, on the grid, when the wall clock gets there.
//!
//! Anvil's own interval mining counts from whenever it was switched on and keeps its phase to itself, so after a warp its
//! blocks come between the slots of a real L1. Here each block has an absolute timestamp `anchor + k * every`, and a slot
//! that was missed stays empty, as on a real L1.

use std::sync::Arc;

use fermata_primitives::{L1Timestamp, SharedClock, UnixTime};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::{AnvilError, Result};

/// The grid of L1 block times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalMining {
    anchor: L1Timestamp,
    every_secs: u64,
}

impl IntervalMining {
    /// Blocks at `anchor + k * every_secs`. With the rollup's genesis time as the anchor and an Ethereum slot as the length,
    /// the first L1 block of each rollup slot has exactly the slot's start as its timestamp.
    ///
    /// # Errors
    /// [`AnvilError::IntervalZero`] for a length of zero.
    pub const fn new(anchor: L1Timestamp, every_secs: u64) -> Result<Self> {
        if every_secs == 0 {
            return Err(AnvilError::IntervalZero);
        }
        Ok(Self { anchor, every_secs })
    }

    /// The last block time that is not after `at`.
    #[must_use]
    pub const fn at_or_before(&self, at: L1Timestamp) -> L1Timestamp {
        let phase = self.anchor.0 % self.every_secs;
        let past = (at.0 + self.every_secs - phase) % self.every_secs;
        at.minus_secs(past)
    }

    /// The last block time before `at`.
    #[must_use]
    pub const fn before(&self, at: L1Timestamp) -> L1Timestamp {
        self.at_or_before(at.minus_secs(1))
    }

    /// The first block time after `at`.
    #[must_use]
    pub const fn after(&self, at: L1Timestamp) -> L1Timestamp {
        self.at_or_before(at).plus_secs(self.every_secs)
    }
}

/// Mines on `grid` until `halt`.
pub(super) async fn run(shared: Arc<Shared>, clock: SharedClock, grid: IntervalMining, halt: CancellationToken) {
    // A block that failed is not tried again: its time has passed.
    let mut tried = L1Timestamp(0);
    let rounds = async {
        loop {
            let due = grid.after(tried.max(shared.head().timestamp));
            clock.sleep_until(UnixTime::from(due)).await;
            shared.until_unpaused().await;
            let target = grid.at_or_before(clock.now().floor_secs());
            if target < due {
                continue; // The clock went back while one waited.
            }
            tried = target;
            let mined = shared.in_turn(move |shared| async move { shared.mine_unless_paused(target).await }).await;
            if let Err(error) = mined {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%target, %error, cause, "an L1 block did not come about");
            }
        }
    };
    tokio::select! {
        () = halt.cancelled() => {}
        () = rounds => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_grid_of_length_zero_is_refused() {
        assert!(matches!(IntervalMining::new(L1Timestamp(5), 0), Err(AnvilError::IntervalZero)));
    }

    proptest! {
        #[test]
        fn block_times_are_congruent_to_the_anchor_and_enclose_every_moment(
            anchor in 0u64..4_000_000_000, every in 1u64..100, at in 1_000u64..4_000_000_000,
        ) {
            let grid = IntervalMining::new(L1Timestamp(anchor), every).expect("a length");
            let (before, after) = (grid.at_or_before(L1Timestamp(at)).0, grid.after(L1Timestamp(at)).0);
            prop_assert!(before <= at && at < after);
            prop_assert_eq!(after - before, every);
            prop_assert_eq!(before % every, anchor % every);
        }
    }
}
