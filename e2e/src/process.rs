//! A process of the binary, whose log is read to its end whoever listens: one that fills its pipe would stand still.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fermata_sequencer::config::{Setting, env_name};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::pace::Counted;

/// How long a process may take to say what it is to say, or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Lines of its log that an error has.
const LAST_WORDS: usize = 25;

/// How a process that has ended did so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Died {
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl Died {
    /// As `abort` ends a process.
    pub const ABORTED: Self = Self::Signal(6);

    fn of(status: ExitStatus) -> Self {
        status.signal().map_or_else(|| Self::Exit(status.code().unwrap_or_default()), Self::Signal)
    }
}

/// A process and its log. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: Arc<Log>,
    /// Its threads wait for a core as those of the test do.
    _counted: Option<Counted>,
}

impl Process {
    /// Runs `command`, whose log is its standard error.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let pipe = child.stderr.take().context("stderr is piped")?;
        let log = Arc::new(Log { lines: Mutex::default(), count: Mutex::new(Some(watch::Sender::new(0))) });
        TaskTracker::new().spawn(Arc::clone(&log).read(pipe));
        let counted = child.id().map(Counted::process);
        Ok(Self { child, log, _counted: counted })
    }

    /// Waits for a line of its log with `words` in it, from its line `from` on, and gives the line and its number.
    pub(crate) async fn says(&self, words: &str, from: usize) -> Result<(usize, String)> {
        let found = || {
            let lines = self.log.lines();
            let mut numbered = lines.iter().enumerate().skip(from);
            numbered.find(|(_, line)| line.contains(words)).map(|(number, line)| (number, line.clone()))
        };
        let waiting = async {
            let mut changed = self.log.subscribe();
            loop {
                if let Some(found) = found() {
                    return Ok(found);
                }
                let more = match &mut changed {
                    Some(changed) => changed.changed().await.is_ok(),
                    None => false,
                };
                if !more {
                    return found().with_context(|| format!("it ended without saying {words:?}; {}", self.told()));
                }
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => bail!("it did not say {words:?} within {PATIENCE:?}; {}", self.told()),
        }
    }

    /// The crash points it has come by since it was armed.
    fn passed(&self) -> Vec<String> {
        let tag = |line: &String| Some(line.strip_prefix("crash point ")?.split(' ').next()?.to_owned());
        self.log.lines().iter().filter_map(tag).collect()
    }

    /// Its last words, for an error.
    pub(crate) fn told(&self) -> String {
        let passed = self.passed();
        let lines = self.log.lines();
        let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
        format!("the crash points it passed: {passed:?}; its last words:\n{}", last.join("\n"))
    }

    /// Waits until it has ended, no longer than `patience`; `None` where it has not.
    pub(crate) async fn died_within(&mut self, patience: Duration) -> Result<Option<Died>> {
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => Ok(Some(Died::of(status?))),
            Err(_) => Ok(None),
        }
    }

    /// Waits until it has ended.
    pub(crate) async fn died(&mut self) -> Result<Died> {
        let died = self.died_within(PATIENCE).await?;
        died.with_context(|| format!("it did not end within {PATIENCE:?}; {}", self.told()))
    }

    /// Sees that it is gone: kills it with SIGKILL where it runs, and says how it had ended where it does not.
    pub(crate) async fn end(&mut self) -> Result<Option<Died>> {
        let found = self.child.try_wait()?.map(Died::of);
        if found.is_none() {
            self.child.kill().await?;
        }
        Ok(found)
    }

    /// Kills it with SIGKILL and waits until it is gone. One that has ended by itself is an error: nobody killed that.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let found = self.end().await?;
        ensure!(found.is_none(), "it had ended before it was killed: {found:?}; {}", self.told());
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        Ok(kill_process(pid.context("it has ended")?, signal)?)
    }

    /// Its process id, until its end has been seen.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// What a process has said.
#[derive(Debug)]
struct Log {
    lines: Mutex<Vec<String>>,
    /// How many there are; dropped with the last of them.
    count: Mutex<Option<watch::Sender<usize>>>,
}

impl Log {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(self: Arc<Self>, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::new(pipe).split(b'\n');
        while let Ok(Some(line)) = pipe.next_segment().await {
            // What is no text is read on as well: the pipe must not fill up.
            self.lines().push(String::from_utf8_lossy(&line).into_owned());
            let count = self.lines().len();
            if let Some(sender) = &*self.count.lock().unwrap_or_else(PoisonError::into_inner) {
                sender.send_replace(count);
            }
        }
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn subscribe(&self) -> Option<watch::Receiver<usize>> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(watch::Sender::subscribe)
    }
}

/// The binary with these settings, to be given a verb.
pub(crate) fn command(settings: &[Setting]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.envs(settings.iter().map(|setting| (env_name(&setting.key), &setting.value)));
    command.env("FERMATA_LOG__FORMAT", "json");
    Ok(command)
}

/// The binary that was built beside this test.
fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let beside = test.ancestors().skip(1).take(3).map(|dir| dir.join("fermata")).find(|path| path.is_file());
    // A build of its package alone would lack the crash points.
    beside.context("there is no `fermata` beside the test: build it with `cargo build --workspace`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::spawn(Command::new("sh").args(["-c", script])).expect("there is a shell")
    }

    #[tokio::test]
    async fn a_process_that_says_more_than_its_pipe_holds_goes_on_while_nobody_listens() {
        let mut talks = shell(
            "i=0; while [ $i -lt 4000 ]; do echo 'what nobody waits to hear, in a long line' >&2; i=$((i+1)); done; exit 3",
        );
        assert_eq!(talks.died().await.expect("it ends"), Died::Exit(3));
    }

    #[tokio::test]
    async fn a_line_is_found_from_where_one_has_heard_on_and_its_absence_ends_with_the_process() {
        let talks = shell("echo one >&2; echo two >&2; printf 'one \\377\\n' >&2");
        assert_eq!(talks.says("one", 0).await.expect("said"), (0, "one".to_owned()));
        assert_eq!(talks.says("one", 1).await.expect("said once more").0, 2);
        let error = talks.says("one", 3).await.expect_err("said twice only").to_string();
        assert!(error.contains("it ended without saying \"one\"") && error.contains("two"), "{error}");
    }

    #[tokio::test]
    async fn a_process_that_ended_by_itself_was_not_killed() {
        let mut ended = shell("exit 7");
        assert_eq!(ended.died().await.expect("it ends"), Died::Exit(7));
        let error = ended.kill().await.expect_err("nobody killed it").to_string();
        assert!(error.contains("Exit(7)"), "{error}");
        let mut runs = shell("echo here >&2; while :; do :; done");
        runs.says("here", 0).await.expect("said");
        runs.kill().await.expect("it runs");
        assert_eq!((runs.end().await.expect("it is gone"), runs.pid()), (Some(Died::Signal(9)), None));
    }
}
