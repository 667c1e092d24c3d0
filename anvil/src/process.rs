//! Anvil as a child process that a value owns.
//!
//! The child runs under a small shell (`process/watchdog.sh`) whose standard input is a pipe held by [`Anvil`]. The kernel
//! closes that pipe when the owner goes, however it goes, and the shell then ends anvil: no anvil outlives its owner, also
//! when the owner is killed with `SIGKILL`. The child has a process group of its own, so that a Ctrl-C at the terminal
//! reaches the owner alone, which may still need its L1 to drain.

mod config;
mod output;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use alloy::providers::DynProvider;
use fermata_primitives::SharedClock;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::task::TaskTracker;

pub use self::config::{AnvilConfig, AnvilMining, Hardfork, StateFile};
use self::output::{Learnt, Output};
use crate::{AnvilError, Result, connect, find_anvil};

const WATCHDOG: &str = include_str!("process/watchdog.sh");

/// How [`Anvil::stop`] came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It ended by itself when asked to; its state file is written.
    Gracefully,
    /// It did not in time, and was killed; its state file may be missing or old.
    Killed,
}

/// A running anvil. Dropping it kills the process; [`Anvil::stop`] lets it write its state first.
#[derive(Debug)]
pub struct Anvil {
    shell: Child,
    /// The pipe whose closing ends anvil; held, never written to.
    _leash: Option<ChildStdin>,
    pid: Option<Pid>,
    address: SocketAddr,
    output: Output,
    readers: TaskTracker,
    clock: SharedClock,
    stop_deadline: Duration,
}

impl Anvil {
    /// Starts anvil and waits until it listens, for `config.start_deadline` at most, also when it says nothing.
    ///
    /// # Errors
    /// [`AnvilError::ToolMissing`] without a binary; [`AnvilError::NotListening`] when it ends or stays silent.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process.
    pub async fn start(config: &AnvilConfig, clock: SharedClock) -> Result<Self> {
        let mut anvil = Self::spawn(config, clock)?;
        let address = anvil.listens(config.start_deadline).await;
        anvil.pid = anvil.output.learnt().borrow().pid;
        match address {
            Ok(address) => {
                anvil.address = address;
                Ok(anvil)
            }
            Err(reason) => Err(AnvilError::NotListening { reason, output: anvil.output.last_words() }),
        }
    }

    /// Waits until anvil says where it listens; else says why it does not.
    async fn listens(&self, within: Duration) -> Result<SocketAddr, String> {
        let mut learnt = self.output.learnt();
        tokio::select! {
            // The shell's word of the pid and anvil's of its address come in either order.
            learnt = learnt.wait_for(|learnt| learnt.ended || (learnt.address.is_some() && learnt.pid.is_some())) => {
                let Learnt { address, ended, .. } = *learnt.expect("the sender lives in `output`");
                address.filter(|_| !ended).ok_or_else(|| "it ended".to_owned())
            }
            () = self.clock.sleep(within) => Err(format!("it did not within {within:?}")),
        }
    }

    fn spawn(config: &AnvilConfig, clock: SharedClock) -> Result<Self> {
        let binary = match &config.binary {
            Some(binary) => binary.clone(),
            None => find_anvil()?,
        };
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "anvil-watchdog"]).arg(binary).args(config.arguments());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // A proxy meant for the outside has no say in what an own L1 is asked; nor has an own configuration of anvil.
        command.env_remove("ANVIL_IP_ADDR");
        let mut shell = command.spawn().map_err(AnvilError::process("start anvil's shell"))?;
        let (output, readers) = (Output::new(), TaskTracker::new());
        if let Some(stdout) = shell.stdout.take() {
            readers.spawn(output.clone().read_stdout(stdout));
        }
        if let Some(stderr) = shell.stderr.take() {
            readers.spawn(output.clone().read_stderr(stderr));
        }
        readers.close();
        Ok(Self {
            _leash: shell.stdin.take(),
            shell,
            pid: None,
            address: ([127, 0, 0, 1], config.port).into(),
            output,
            readers,
            clock,
            stop_deadline: config.stop_deadline,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// A provider for it.
    ///
    /// # Errors
    /// None that one should meet: the address is its own.
    pub fn provider(&self) -> Result<DynProvider> {
        connect(&self.url())
    }

    /// Whether the process still runs; false after it ended by itself.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }

    /// What became of it, if it has ended by itself.
    pub(crate) fn obituary(&mut self) -> Option<AnvilError> {
        let how = match self.shell.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Some(AnvilError::Ended { how, output: self.output.last_words() })
    }

    /// Stops the process where it stands: the cheapest form of "the L1 does not answer".
    ///
    /// # Errors
    /// [`AnvilError::Process`] when it has ended.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::STOP).map_err(AnvilError::process("freeze anvil"))
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// [`AnvilError::Process`] when it has ended.
    pub fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::CONT).map_err(AnvilError::process("thaw anvil"))
    }

    /// Asks it to end, so that it writes its state file; kills it at the deadline. Already ended is well.
    ///
    /// # Errors
    /// [`AnvilError::Process`] when the shell cannot be waited for.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process.
    pub async fn stop(mut self) -> Result<Ended> {
        // A frozen process hears no SIGTERM. An error means that it has ended, which the wait below finds out.
        let _ = self.signal(Signal::CONT);
        let _ = self.signal(Signal::TERM);
        let clock = self.clock.clone();
        let ended = tokio::select! {
            code = self.shell.wait() => {
                code.map_err(AnvilError::process("wait for anvil"))?;
                Ended::Gracefully
            }
            () = clock.sleep(self.stop_deadline) => {
                let _ = self.signal(Signal::KILL);
                self.shell.wait().await.map_err(AnvilError::process("wait for anvil"))?;
                Ended::Killed
            }
        };
        self.readers.wait().await;
        Ok(ended)
    }

    /// Signals anvil itself, as long as its shell has not reported its end: after that the pid may be another's.
    fn signal(&mut self, signal: Signal) -> std::io::Result<()> {
        match (self.shell.try_wait()?, self.pid) {
            (None, Some(pid)) => Ok(kill_process(pid, signal)?),
            (Some(_), _) | (None, None) => Err(std::io::Error::new(std::io::ErrorKind::NotFound, "anvil has ended")),
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // Where this fails, the closing of the leash does it a moment later.
        let _ = self.signal(Signal::KILL);
    }
}
