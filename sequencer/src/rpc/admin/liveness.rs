//! Whether the loops tick. A process that answers and whose poll loop hangs is not live.

use std::time::Duration;

use super::context::AdminContext;
use crate::lifecycle::Lifecycle;
use crate::poll_loop::Beat;

/// A tick ends with its slot's proposal: whatever the slot's length, none takes as long as several.
const SLOTS_OF_A_TICK: u32 = 3;
/// Poll intervals without a new tick, besides a while for a machine that is busy.
const INTERVALS_MISSED: u32 = 20;
const BUSY: Duration = Duration::from_secs(30);

/// What does not move that should, a sentence each.
pub(super) fn amiss(context: &AdminContext) -> Vec<String> {
    if context.engine.status().has_changed().is_err() {
        return vec!["the engine has ended".to_owned()];
    }
    let status = context.engine.status().borrow().clone();
    if status.lifecycle != Lifecycle::Running {
        return Vec::new();
    }
    let limits = Limits::of(context.slot, context.settings.config().sequencer.poll_interval);
    let (beat, now) = (*context.engine.pulse().borrow(), context.clock.now());
    let still = now.since(beat.ended.unwrap_or(beat.began).max(status.since));
    limits.exceeded(&beat, still).into_iter().collect()
}

/// How long a loop may stand still.
#[derive(Clone, Copy, Debug)]
struct Limits {
    tick: Duration,
    rest: Duration,
}

impl Limits {
    fn of(slot: Duration, poll_interval: Duration) -> Self {
        Self { tick: SLOTS_OF_A_TICK * slot + BUSY, rest: INTERVALS_MISSED * poll_interval + BUSY }
    }

    /// What a loop that has stood still for so long is doing, where that is too long.
    fn exceeded(&self, beat: &Beat, still: Duration) -> Option<String> {
        let secs = still.as_secs();
        match beat.ended {
            None if beat.ticks > 0 && still > self.tick => {
                Some(format!("tick {} has not ended for {secs} s; stop the node with `fermata stop --now`", beat.ticks))
            }
            Some(_) if still > self.rest => Some(format!("there was no tick for {secs} s; restart the process")),
            None if beat.ticks == 0 && still > self.rest => {
                Some(format!("there was no first tick for {secs} s; restart the process"))
            }
            None | Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use fermata_primitives::UnixTime;

    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_loop_that_hangs_in_a_tick_or_between_two_is_told_apart_from_a_slow_one() {
        let limits = Limits::of(secs(36), secs(1));
        let at = |ticks, ended| Beat { ticks, began: UnixTime::default(), ended };
        let ended = Some(UnixTime::default());
        let cases = [
            (at(7, None), 138, None),
            (at(7, None), 139, Some("tick 7 has not ended for 139 s")),
            (at(7, ended), 50, None),
            (at(7, ended), 51, Some("there was no tick for 51 s")),
            (at(0, None), 50, None),
            (at(0, None), 51, Some("there was no first tick")),
        ];
        for (beat, still, expected) in cases {
            let found = limits.exceeded(&beat, secs(still));
            match expected {
                None => assert_eq!(found, None, "{beat:?} {still}"),
                Some(words) => assert!(found.is_some_and(|found| found.contains(words)), "{beat:?} {still}"),
            }
        }
    }
}
