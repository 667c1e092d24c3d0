//! What happens when a process comes by a crash point.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::armed::{Action, Armed, parse};
use super::{ArmError, CRASH_POINTS};

static PLAN: OnceLock<Plan> = OnceLock::new();

/// What is armed, and how often each point was reached since.
#[derive(Debug, Default)]
struct Plan {
    /// Where more is ordered, as soon as it is there.
    files: Mutex<Vec<PathBuf>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Armed>,
    hits: BTreeMap<&'static str, u64>,
}

/// Arms what `orders` name.
pub(super) fn arm(orders: &[String]) -> Result<(), ArmError> {
    let plan = Plan::default();
    for order in orders {
        match order.strip_prefix('@') {
            Some(file) => lock(&plan.files).push(file.into()),
            None => lock(&plan.state).armed.extend(parse(order)?),
        }
    }
    PLAN.set(plan).map_err(|_| ArmError::ArmedAlready)
}

/// A step at which nothing can fail; for `crash_point!`.
pub fn reach(tag: &'static str) {
    drop(reach_fallible(tag));
}

/// A step before a write: the error it is to fail with, where that is armed; for `crash_point!`.
pub fn reach_fallible(tag: &'static str) -> Option<io::Error> {
    debug_assert!(CRASH_POINTS.iter().any(|point| point.tag == tag), "the crash point {tag} is not registered");
    let plan = PLAN.get()?;
    plan.read_files();
    let (hit, armed) = lock(&plan.state).count(tag)?;
    match armed {
        // The first is enough to tell what was reached instead of what is armed.
        None if hit == 1 => eprintln!("crash point {tag} passed"),
        None => {}
        Some(armed) => {
            eprintln!("crash point {tag} reached (hit {hit}): {}", armed.action);
            return act(armed);
        }
    }
    None
}

impl Plan {
    /// Arms what has come to stand in a file. Hits count from then on.
    fn read_files(&self) {
        lock(&self.files).retain(|file| {
            let Ok(order) = std::fs::read_to_string(file) else { return true };
            match parse(order.trim()) {
                Ok(armed) => {
                    let mut state = lock(&self.state);
                    state.armed.extend(armed);
                    state.hits.clear();
                }
                Err(error) => {
                    eprintln!("error: {}: {error}", file.display());
                    process::exit(BAD_ORDER);
                }
            }
            false
        });
    }
}

/// Exit code of a process that is told in a file to do what it cannot.
const BAD_ORDER: i32 = 2;

impl State {
    /// Which hit this is, and what is armed for it; `None` while nothing is armed.
    fn count(&mut self, tag: &'static str) -> Option<(u64, Option<Armed>)> {
        if self.armed.is_empty() {
            return None;
        }
        let hit = self.hits.entry(tag).or_default();
        *hit += 1;
        let armed = self.armed.iter().find(|armed| armed.tag == tag && armed.hit.get() == *hit);
        Some((*hit, armed.copied()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn act(armed: Armed) -> Option<io::Error> {
    match armed.action {
        Action::Abort => process::abort(),
        Action::Exit(code) => process::exit(code.into()),
        Action::Stop => {
            let stopped = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
            stopped.expect("a process may stop itself");
            // Any thread may be the one that takes the signal; until it does, this one would go on.
            hold(UNTIL_STOPPED);
            None
        }
        Action::Panic => panic!("crash point {}", armed.tag),
        Action::IoError => Some(io::Error::other(format!("crash point {}", armed.tag))),
        Action::Sleep(span) => {
            hold(span);
            None
        }
    }
}

/// Longer than a process takes to stop, also on a busy machine. A process that was stopped for as long has slept it off.
const UNTIL_STOPPED: Duration = Duration::from_millis(200);

#[expect(clippy::disallowed_methods, reason = "a disk that is slow holds up its thread, whatever a clock says")]
fn hold(span: Duration) {
    std::thread::sleep(span);
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;
    use crate::{Clock, SystemClock};

    /// Set in a process that is to stop itself.
    const STOPS: &str = "FERMATA_TEST_STOPS";
    const TEST: &str =
        "crash_point::reached::tests::a_process_that_stops_itself_stops_at_the_point_and_goes_on_from_there";
    const PAST: &str = "past the point";

    fn stopped() -> Child {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args([TEST, "--exact", "--nocapture"]).env(STOPS, "").stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().expect("a process");
        let (stat, until) = (format!("/proc/{}/stat", child.id()), SystemClock.monotonic() + Duration::from_secs(20));
        while !std::fs::read_to_string(&stat).expect("it lives").contains(") T ") {
            assert!(SystemClock.monotonic() < until, "it does not stop");
            std::thread::yield_now();
        }
        child
    }

    fn signalled(child: Child, signal: Signal) -> String {
        kill_process(Pid::from_child(&child), signal).expect("signalled");
        let told = child.wait_with_output().expect("it ends").stdout;
        String::from_utf8(told).expect("text")
    }

    #[test]
    fn a_process_that_stops_itself_stops_at_the_point_and_goes_on_from_there() {
        if std::env::var_os(STOPS).is_some() {
            arm(&["publisher.after_record=sigstop".to_owned()]).expect("armed");
            reach("publisher.after_record");
            println!("{PAST}");
            return;
        }
        for _ in 0..3 {
            assert!(!signalled(stopped(), Signal::KILL).contains(PAST), "it went on past the point");
        }
        assert!(signalled(stopped(), Signal::CONT).contains(PAST), "it did not go on");
    }
}
