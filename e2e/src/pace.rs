//! L1's time goes on only as fast as the machine keeps up.
//!
//! A slot is a deadline, and a machine with more to do than it has cores misses deadlines through no fault of who works
//! towards them. The kernel counts how long each thread was ready and waited for a core. For as long as the threads of this
//! process, or of the processes of a net, had to wait, L1's time is held back: seen from inside a net, its machine is never
//! busy. On one that is not, time goes at full speed.

mod waiting;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fermata_primitives::{Clock as _, L1FollowingClock, Pace, SystemClock};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::waiting::Waiting;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(25);

/// A wait shorter than this is what every machine has.
const USUAL: Duration = Duration::from_millis(2);

/// Keeps clocks at the pace of the machine. Dropped, they go on as they are.
#[derive(Debug)]
pub(crate) struct KeepsPace {
    _ends: DropGuard,
}

impl KeepsPace {
    /// From now on.
    pub(crate) fn begin(clocks: Vec<Arc<L1FollowingClock>>) -> Self {
        let (mut pace, ended) = (MACHINE.pace.subscribe(), CancellationToken::new());
        let keeping = async move {
            loop {
                let now = *pace.borrow_and_update();
                clocks.iter().for_each(|clock| clock.set_pace(now));
                if pace.changed().await.is_err() {
                    return;
                }
            }
        };
        TaskTracker::new().spawn(ended.clone().run_until_cancelled_owned(keeping));
        Self { _ends: ended.drop_guard() }
    }
}

/// How long a test waits for something: in slots, at the pace of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) clock: Arc<L1FollowingClock>,
    pub(crate) slot: Duration,
}

impl Patience {
    /// Resolves after so many slots.
    pub(crate) async fn of_slots(&self, slots: u32) {
        self.clock.sleep_until(self.clock.now() + slots * self.slot).await;
    }
}

/// A process whose waiting counts as well. Dropped, it does no more.
#[derive(Debug)]
pub(crate) struct Counted {
    pid: u32,
}

impl Counted {
    pub(crate) fn process(pid: u32) -> Self {
        MACHINE.processes().push(pid);
        Self { pid }
    }

    #[cfg(test)]
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut processes = MACHINE.processes();
        if let Some(at) = processes.iter().position(|pid| *pid == self.pid) {
            processes.swap_remove(at);
        }
    }
}

/// The machine, as all nets of this process see it.
static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let machine = Machine { pace: watch::Sender::new(Pace::FULL), processes: Arc::default() };
    let (pace, processes) = (machine.pace.clone(), Arc::clone(&machine.processes));
    // A thread of its own: it looks at all nets, and each test has its own runtime.
    let looking = std::thread::Builder::new().name("pace".to_owned()).spawn(move || look(&pace, &processes));
    if let Err(error) = looking {
        tracing::error!(%error, "nobody looks whether the machine keeps up");
    }
    machine
});

struct Machine {
    pace: watch::Sender<Pace>,
    processes: Arc<Mutex<Vec<u32>>>,
}

impl Machine {
    fn processes(&self) -> MutexGuard<'_, Vec<u32>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for as long as the process lives.
fn look(pace: &watch::Sender<Pace>, processes: &Mutex<Vec<u32>>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    runtime.block_on(async {
        let (mut waiting, mut owed, mut last) = (Waiting::default(), Owed::default(), SystemClock.monotonic());
        loop {
            SystemClock.sleep(EVERY).await;
            let others = processes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let waited = waiting.longest_since(&others);
            let now = SystemClock.monotonic();
            let next = owed.after(now - std::mem::replace(&mut last, now), waited);
            pace.send_if_modified(|pace| std::mem::replace(pace, next) != next);
        }
    });
}

/// Time that was waited and is still to be held back.
struct Owed {
    time: Duration,
    /// Twentieths of the time that are not held back.
    goes_on: u32,
}

impl Default for Owed {
    fn default() -> Self {
        Self { time: Duration::ZERO, goes_on: TWENTIETHS }
    }
}

const TWENTIETHS: u32 = 20;

impl Owed {
    /// After so long, in which somebody waited so much of it: how time goes on. It never stands still.
    fn after(&mut self, elapsed: Duration, waited: Duration) -> Pace {
        let held = elapsed * (TWENTIETHS - self.goes_on) / TWENTIETHS;
        let waited = if waited < USUAL { Duration::ZERO } else { waited.min(elapsed) };
        self.time = self.time.saturating_sub(held) + waited;
        let hold = self.time.min(EVERY).as_micros() * u128::from(TWENTIETHS) / EVERY.as_micros();
        self.goes_on = TWENTIETHS.saturating_sub(u32::try_from(hold).unwrap_or(TWENTIETHS)).max(1);
        Pace::per_mille(self.goes_on * 1_000 / TWENTIETHS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_is_held_back_and_then_time_goes_at_full_pace_again() {
        let mut owed = Owed::default();
        assert_eq!(owed.after(EVERY, Duration::ZERO), Pace::FULL);
        assert_eq!(owed.after(EVERY, Duration::from_millis(1)), Pace::FULL, "as on every machine");
        assert_eq!(owed.after(EVERY, EVERY / 2), Pace::per_mille(500));
        assert_eq!(owed.after(EVERY, Duration::ZERO), Pace::FULL);
        assert_eq!(owed.after(EVERY, EVERY * 9), Pace::per_mille(50), "nobody waits for longer than there was");
        assert_eq!(owed.after(EVERY * 2, Duration::ZERO), Pace::FULL, "it was held back for long enough");
    }

    #[test]
    fn on_a_machine_that_stays_busy_time_goes_at_the_share_that_is_left() {
        let (mut owed, mut passed) = (Owed::default(), Duration::ZERO);
        for _ in 0..1_000 {
            // Three quarters of the time somebody waits.
            let goes_on = owed.goes_on;
            owed.after(EVERY, EVERY * 3 / 4);
            passed += EVERY * goes_on / TWENTIETHS;
        }
        let share = passed.as_secs_f64() / (EVERY * 1_000).as_secs_f64();
        assert!((0.23..0.29).contains(&share), "{share}");
    }

    #[test]
    fn a_process_counts_until_it_is_let_go() {
        let (one, again) = (Counted::process(u32::MAX), Counted::process(u32::MAX));
        drop(one);
        assert!(MACHINE.processes().contains(&u32::MAX));
        drop(again);
        assert!(!MACHINE.processes().contains(&u32::MAX));
    }
}
