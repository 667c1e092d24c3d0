//! A node as a process that is meant to die.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fermata_primitives::CRASH_POINT_ENV;
use fermata_sequencer::config::Setting;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::AdminDoor;
use crate::child::command;
use crate::pace::Counted;

/// How long a process may take to say what it is to say, or to end.
const PATIENCE: Duration = Duration::from_secs(180);

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

/// A node process that is killed, or told to kill itself, and whose log is kept. Dropped, it is killed.
#[derive(Debug)]
pub struct CrashNode {
    child: Child,
    data_dir: PathBuf,
    orders: PathBuf,
    log: Arc<Log>,
    _counted: Option<Counted>,
}

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
        let mut pipe = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = pipe.next_line().await {
            self.lines().push(line);
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

impl CrashNode {
    /// Starts `fermata node` with these settings. What `order` names is armed from its first moment on; what is written to
    /// the file `orders` later, from then on.
    pub(crate) fn begin(data_dir: PathBuf, settings: &[Setting], order: &Order) -> Result<Self> {
        let mut command = command(settings)?;
        let orders = match order {
            Order::Now { points, orders } => {
                command.env(CRASH_POINT_ENV, points);
                orders
            }
            Order::Later { orders } => {
                command.env(CRASH_POINT_ENV, format!("@{}", orders.display()));
                orders
            }
        };
        let command = command.arg("node").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let pipe = child.stderr.take().context("stderr is piped")?;
        let log = Arc::new(Log { lines: Mutex::default(), count: Mutex::new(Some(watch::Sender::new(0))) });
        TaskTracker::new().spawn(Arc::clone(&log).read(pipe));
        let counted = child.id().map(Counted::process);
        Ok(Self { child, data_dir, orders: orders.clone(), log, _counted: counted })
    }

    /// Arms it from now on: `tag[=action][@n]`. Once in a process's life.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn arm(&self, points: &str) -> Result<()> {
        let new = self.orders.with_extension("new");
        std::fs::write(&new, points)?;
        Ok(std::fs::rename(new, &self.orders)?)
    }

    /// Waits for a line of its log with `words` in it, from its first line on.
    ///
    /// # Errors
    /// It ended without, or three minutes passed; the error has what it said.
    pub async fn says(&self, words: &str) -> Result<String> {
        let found = || self.log.lines().iter().find(|line| line.contains(words)).cloned();
        let waiting = async {
            let mut changed = self.log.subscribe();
            loop {
                if let Some(line) = found() {
                    return Ok(line);
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

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines().clone()
    }

    /// The crash points it has come by since it was armed.
    #[must_use]
    pub fn passed(&self) -> Vec<String> {
        let tag = |line: &String| Some(line.strip_prefix("crash point ")?.split(' ').next()?.to_owned());
        self.log.lines().iter().filter_map(tag).collect()
    }

    /// Its last words, for an error.
    #[must_use]
    pub fn told(&self) -> String {
        let lines = self.log();
        let last = &lines[lines.len().saturating_sub(25)..];
        format!("the crash points it passed: {:?}; its last words:\n{}", self.passed(), last.join("\n"))
    }

    /// Waits until it has ended, no longer than `patience`; `None` where it has not.
    ///
    /// # Errors
    /// The system cannot tell.
    pub async fn died_within(&mut self, patience: Duration) -> Result<Option<Died>> {
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => Ok(Some(Died::of(status?))),
            Err(_) => Ok(None),
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It did not within three minutes.
    pub async fn died(&mut self) -> Result<Died> {
        let died = self.died_within(PATIENCE).await?;
        died.with_context(|| format!("it did not end within {PATIENCE:?}; {}", self.told()))
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        Ok(kill_process(pid.context("it has ended")?, signal)?)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The way into its admin RPC.
    #[must_use]
    pub fn admin(&self) -> AdminDoor {
        AdminDoor::of(self.data_dir.clone())
    }

    /// URL of its L2 RPC.
    ///
    /// # Errors
    /// It ended before it had one.
    pub async fn l2_url(&self) -> Result<String> {
        let line: serde_json::Value = serde_json::from_str(&self.says("serving the eth RPC").await?)?;
        Ok(format!("http://{}", line["fields"]["local_addr"].as_str().context("an address")?))
    }
}

/// What a process is to fail at, and since when.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// From its first moment on.
    Now { points: String, orders: PathBuf },
    /// Once it stands in the file.
    Later { orders: PathBuf },
}
