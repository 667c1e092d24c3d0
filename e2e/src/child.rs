//! A node as a process of its own: to be stopped through its admin RPC, and killed with real signals.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use fermata_sequencer::cli::{Failure, Target};
use fermata_sequencer::config::Setting;
use rustix::process::Signal;
use serde::de::DeserializeOwned;

use crate::SharedSequencer;
use crate::process::{Died, PATIENCE, Process, command};
use crate::timeline::{Recorder, Recording};
use crate::warp::OwnProcess;

/// A node process. Dropped, it is killed.
#[derive(Debug)]
pub struct ChildNode {
    name: String,
    process: Process,
    data_dir: PathBuf,
    /// Lines of its log that were waited for, or passed over.
    heard: usize,
    /// What it tells goes into the net's timeline.
    recording: Option<Recording>,
}

/// The way into the admin RPC of a node that is a process of its own: found in its data directory at each call, so that it
/// leads to whichever process has that.
#[derive(Clone, Debug)]
pub struct AdminDoor {
    data_dir: PathBuf,
}

impl AdminDoor {
    /// Where the node keeps its files.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) const fn of(data_dir: PathBuf) -> Self {
        Self { data_dir }
    }

    /// Calls a method of the admin RPC.
    ///
    /// # Errors
    /// It cannot be reached, or refuses; the error has the catalogue's word.
    pub async fn call<R>(&self, method: &'static str, params: serde_json::Value) -> Result<R>
    where
        R: DeserializeOwned + std::fmt::Debug + Send + Sync + Unpin + 'static,
    {
        let say = |failure: Failure| anyhow!("{method}: {} ({})", failure.message, failure.reason.word());
        let target = Target { data_dir: self.data_dir.clone(), endpoint: None, token: None };
        target.client().map_err(say)?.call(method, params).await.map_err(say)
    }
}

impl ChildNode {
    /// Starts `fermata node` with these settings and waits until it serves its admin RPC.
    pub(crate) async fn spawn(
        name: &str,
        data_dir: PathBuf,
        settings: &[Setting],
        recorder: &Recorder,
    ) -> Result<Self> {
        let process = Process::spawn(command(settings)?.arg("node"))?;
        let mut node = Self { name: name.to_owned(), process, data_dir, heard: 0, recording: None };
        node.log_line("serving the admin RPC").await?;
        node.recording = Some(recorder.record_process(name, &node.admin()).await?);
        Ok(node)
    }

    /// Waits for the next line of its log that has `words` in it, after the one that was waited for last.
    ///
    /// # Errors
    /// It ended, or said nothing of the kind for three minutes.
    ///
    /// # Cancel safety
    /// Dropped, the line can be waited for again.
    pub async fn log_line(&mut self, words: &str) -> Result<String> {
        let (number, line) = self.process.says(words, self.heard).await.with_context(|| self.name.clone())?;
        self.heard = number + 1;
        Ok(line)
    }

    /// Its name in the net.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The way into its admin RPC.
    #[must_use]
    pub fn admin(&self) -> AdminDoor {
        AdminDoor { data_dir: self.data_dir.clone() }
    }

    /// Its sequencer, for a warp, which stops and starts it as an operator does: its desired state goes with it.
    #[must_use]
    pub fn sequencer(&self) -> SharedSequencer {
        Arc::new(OwnProcess { name: self.name.clone(), admin: self.admin() })
    }

    /// Kills it with SIGKILL and waits until it is gone. It is a node of the net no more.
    ///
    /// # Errors
    /// It had ended by itself before, or cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        // What it does not tell any more is not missed.
        self.recording = None;
        self.process.kill().await.with_context(|| self.name.clone())
    }

    /// Sends it SIGTERM.
    ///
    /// # Errors
    /// It has ended already.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Stops it where it stands, as a machine that is suspended does.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It has ended.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal).with_context(|| self.name.clone())
    }

    /// Runs a verb of the command line against it, such as `["stop", "--graceful", "--json"]`.
    ///
    /// # Errors
    /// The binary cannot be run.
    pub async fn verb(&self, arguments: &[&str]) -> Result<Output> {
        run(&[], &[arguments, &["--data-dir", &self.data_dir.display().to_string()]].concat()).await
    }

    /// Waits until it has ended by itself, and gives its exit code; `None` where a signal ended it. It is a node of the net no
    /// more.
    ///
    /// # Errors
    /// It did not for three minutes.
    pub async fn exit_code(&mut self) -> Result<Option<i32>> {
        let died = self.process.died().await.with_context(|| self.name.clone())?;
        self.recording = None;
        Ok(match died {
            Died::Exit(code) => Some(code),
            Died::Signal(_) => None,
        })
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }
}

/// Runs the binary with these settings and arguments to its end.
///
/// # Errors
/// There is no binary, or it did not end within three minutes.
pub async fn run(settings: &[Setting], arguments: &[&str]) -> Result<Output> {
    let output = command(settings)?.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    Ok(tokio::time::timeout(PATIENCE, output).await.context("fermata did not end")??)
}
