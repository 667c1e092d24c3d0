//! A node as a process of its own: to be stopped through its admin RPC, and killed with real signals.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use fermata_sequencer::cli::{Failure, Target};
use fermata_sequencer::config::{Setting, env_name};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::SharedSequencer;
use crate::pace::Counted;
use crate::timeline::{Recorder, Recording};
use crate::warp::OwnProcess;

/// A node process. Dropped, it is killed.
#[derive(Debug)]
pub struct ChildNode {
    name: String,
    child: Child,
    data_dir: PathBuf,
    log: Lines<BufReader<ChildStderr>>,
    /// What it tells goes into the net's timeline.
    recording: Option<Recording>,
    /// Its threads wait for a core as those of the test do.
    _counted: Option<Counted>,
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

/// How long a process may take to say what it is expected to say.
const PATIENCE: Duration = Duration::from_secs(120);

impl ChildNode {
    /// Starts `fermata node` with these settings and waits until it serves its admin RPC.
    pub(crate) async fn spawn(
        name: &str,
        data_dir: PathBuf,
        settings: &[Setting],
        recorder: &Recorder,
    ) -> Result<Self> {
        let mut child = command(settings)?
            .arg("node")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let counted = child.id().map(Counted::process);
        let mut node = Self {
            name: name.to_owned(),
            child,
            data_dir,
            log: BufReader::new(stderr).lines(),
            recording: None,
            _counted: counted,
        };
        node.log_line("serving the admin RPC").await?;
        node.recording = Some(recorder.record_process(name, &node.admin()).await?);
        Ok(node)
    }

    /// Waits for a line of its log that has `words` in it.
    ///
    /// # Errors
    /// It ended, or said nothing of the kind for two minutes.
    pub async fn log_line(&mut self, words: &str) -> Result<String> {
        let reading = async {
            let mut said = Vec::new();
            while let Some(line) = self.log.next_line().await? {
                if line.contains(words) {
                    return Ok(line);
                }
                said.push(line);
            }
            bail!("the node ended without saying {words:?}; it said:\n{}", said.join("\n"))
        };
        tokio::time::timeout(PATIENCE, reading).await.with_context(|| format!("the node did not say {words:?}"))?
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

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
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
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        Ok(kill_process(pid.context("it has ended")?, signal)?)
    }

    /// Runs a verb of the command line against it, such as `["stop", "--graceful", "--json"]`.
    ///
    /// # Errors
    /// The binary cannot be run.
    pub async fn verb(&self, arguments: &[&str]) -> Result<Output> {
        run(&[], &[arguments, &["--data-dir", &self.data_dir.display().to_string()]].concat()).await
    }

    /// Waits until it has ended by itself, and gives its exit code.
    ///
    /// # Errors
    /// It did not for two minutes.
    pub async fn exit_code(mut self) -> Result<Option<i32>> {
        let ended = async {
            // Its pipe must not fill up while it is waited for.
            while self.log.next_line().await?.is_some() {}
            Ok::<_, anyhow::Error>(self.child.wait().await?.code())
        };
        tokio::time::timeout(PATIENCE, ended).await.context("the node did not end")?
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// Runs the binary with these settings and arguments to its end.
///
/// # Errors
/// There is no binary, or it did not end within two minutes.
pub async fn run(settings: &[Setting], arguments: &[&str]) -> Result<Output> {
    let output = command(settings)?.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    Ok(tokio::time::timeout(PATIENCE, output).await.context("fermata did not end")??)
}

pub(crate) fn command(settings: &[Setting]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.envs(settings.iter().map(|setting| (env_name(&setting.key), &setting.value)));
    command.env("FERMATA_LOG__FORMAT", "json");
    Ok(command)
}

/// The binary that was built beside this test.
fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let beside = test.ancestors().skip(1).take(3).map(|dir| dir.join("fermata")).find(|path| is_file(path));
    beside.context("there is no `fermata` beside the test: build it with `cargo build --package fermata-sequencer`")
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}
