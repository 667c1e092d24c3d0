//! A node as a process that is meant to die.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fermata_primitives::CRASH_POINT_ENV;
use fermata_sequencer::config::Setting;
use rustix::process::Signal;

use crate::AdminDoor;
use crate::process::{Died, Process, command};

/// A process cannot be armed. Nothing was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArmRefused {
    /// It would not read what it is told now.
    #[error("the process was doomed when it was started, and is told nothing more; start it without crash points")]
    Doomed,
    /// It reads what it is told once.
    #[error("the process was armed before, and is told nothing more; name all crash points at once, or start another")]
    ArmedBefore,
}

/// A node process that is killed, or told to kill itself, and whose log is kept. Dropped, it is killed.
#[derive(Debug)]
pub struct CrashNode {
    process: Process,
    data_dir: PathBuf,
    /// Where it is told later what to fail at, if it is.
    orders: Option<PathBuf>,
}

impl CrashNode {
    /// Starts `fermata node` with these settings. What `order` names is armed from its first moment on; what is written to
    /// the file `orders` later, from then on.
    pub(crate) fn begin(data_dir: PathBuf, settings: &[Setting], order: Order) -> Result<Self> {
        let mut command = command(settings)?;
        let (points, orders) = match order {
            Order::Now { points } => (points, None),
            Order::Later { orders } => (format!("@{}", orders.display()), Some(orders)),
        };
        let process = Process::spawn(command.env(CRASH_POINT_ENV, points).arg("node"))?;
        Ok(Self { process, data_dir, orders })
    }

    /// Arms it from now on: `tag[=action][@n]`. Once in a process's life.
    ///
    /// # Errors
    /// [`ArmRefused`] where it would not take notice; the file cannot be written.
    pub fn arm(&self, points: &str) -> Result<()> {
        arm(self.orders.as_ref().ok_or(ArmRefused::Doomed)?, points)
    }

    /// Waits for a line of its log with `words` in it, from its first line on.
    ///
    /// # Errors
    /// It ended without, or three minutes passed; the error has what it said.
    pub async fn says(&self, words: &str) -> Result<String> {
        Ok(self.process.says(words, 0).await?.1)
    }

    /// Its last words, for an error.
    #[must_use]
    pub fn told(&self) -> String {
        self.process.told()
    }

    /// Waits until it has ended, no longer than `patience`; `None` where it has not.
    ///
    /// # Errors
    /// The system cannot tell.
    pub async fn died_within(&mut self, patience: Duration) -> Result<Option<Died>> {
        self.process.died_within(patience).await
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It did not within three minutes.
    pub async fn died(&mut self) -> Result<Died> {
        self.process.died().await
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// It had ended by itself before, or cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Sees that it is gone, by its own doing or not; the answer is how it had ended by itself.
    pub(crate) async fn end(&mut self) -> Result<Option<Died>> {
        self.process.end().await
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
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

/// Tells the process that reads `orders`.
fn arm(orders: &Path, points: &str) -> Result<()> {
    if orders.exists() {
        return Err(ArmRefused::ArmedBefore.into());
    }
    // It never sees half of it.
    let new = orders.with_extension("new");
    std::fs::write(&new, points)?;
    Ok(std::fs::rename(new, orders)?)
}

/// What a process is to fail at, and since when.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// From its first moment on.
    Now { points: String },
    /// Once it stands in the file.
    Later { orders: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_armed_is_not_armed_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let orders = dir.path().join("orders");
        arm(&orders, "publisher.after_record").expect("it is told nothing yet");
        let refused = arm(&orders, "signer.after_pin").expect_err("it would not read it");
        assert_eq!(refused.downcast_ref::<ArmRefused>(), Some(&ArmRefused::ArmedBefore));
        assert_eq!(std::fs::read_to_string(&orders).expect("it stands"), "publisher.after_record");
    }
}
