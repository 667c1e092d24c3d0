//! The verbs that talk to a running node.

use std::future::Future;
use std::time::Duration;

use clap::{Args, Subcommand};
use fermata_primitives::{Clock as _, SystemClock};
use futures::FutureExt as _;

use super::asking::{ExplainArgs, JournalArgs, PublisherArgs, WaitArgs};
use super::client::AdminClient;
use super::failure::Form;
use super::watching::StatusArgs;
use super::{Console, Failure, Target, render};
use crate::rpc::admin::{AuthorParams, StartParams, StopMode, StopParams};
use crate::span::parse_span;
use crate::status::NodeStatus;
use crate::verbs::{CloseAnswer, StartAnswer, StopAnswer};

/// How often progress is looked at.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// A verb for a running node.
#[derive(Subcommand, Clone, Debug)]
pub enum VerbCommand {
    /// Start sequencing; a node that runs already stays as it is.
    #[command(after_help = "Examples:\n  \
        fermata start\n  \
        fermata start --reason 'maintenance is over'\n  \
        fermata start --at 0x3f… --wait 30s   only where this block is the head, once the node has synced to it\n\n\
        Exit codes: 10 a stop is under way, 11 another head, 14 not synced to it in time.")]
    Start(StartArgs),
    /// Stop sequencing, and wait until nothing is in flight. The process stays up.
    #[command(after_help = "Examples:\n  \
        fermata stop                          let the slot in flight land, then stop\n  \
        fermata stop --deadline 30s           the same, but interrupt after 30 seconds\n  \
        fermata stop --now --reason 'L1 fork' interrupt at once\n  \
        fermata stop --at-slot 120            work on until slot 120 has landed, then stop\n\n\
        The stopped state outlives the process: it is honoured when the node starts next.")]
    Stop(StopArgs),
    /// Interrupt, release every store and end the process.
    #[command(after_help = "Example:\n  fermata stop && fermata close    drain first, then end")]
    Close(CloseArgs),
    /// Show what the node does, and what it was asked to do.
    #[command(after_help = "Examples:\n  \
        fermata status\n  \
        fermata status --watch\n  \
        fermata status --json | jq .head.unsafe.hash")]
    Status(StatusArgs),
    /// Wait for a state, a block, a checkpoint on L1, or an L1 block.
    #[command(after_help = "Examples:\n  \
        fermata wait --checkpoint 12\n  \
        fermata wait --state stopped --timeout 5m && fermata close\n\n\
        Exit code 17: it did not come in time.")]
    Wait(WaitArgs),
    /// Tell why the node does or does not propose.
    #[command(after_help = "Examples:\n  fermata explain\n  fermata explain --slot 120")]
    Explain(ExplainArgs),
    /// Show the accounts that publish, what is in flight, and how far the money goes.
    #[command(after_help = "Examples:\n  \
        fermata publisher status\n  \
        fermata publisher status --json | jq '.accounts[].checkpointsLeft'\n  \
        fermata publisher fsck /var/lib/fermata/publisher")]
    Publisher(PublisherArgs),
    /// Show who asked for what, newest first.
    #[command(after_help = "Example:\n  fermata journal --most 5")]
    Journal(JournalArgs),
}

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// How to start.
#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Start only where the block of this hash is the L2 head.
    #[arg(long, value_name = "HASH")]
    at: Option<alloy::primitives::B256>,
    /// How long to wait until the node has synced to that head: 500ms, 30s, 2m.
    #[arg(long, value_parser = parse_span, value_name = "SPAN", requires = "at")]
    wait: Option<Duration>,
    /// Why, for the next person who wonders.
    #[arg(long)]
    reason: Option<String>,
}

/// How to stop.
#[derive(Args, Clone, Debug)]
pub struct StopArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Let what is in flight end by itself (the default).
    #[arg(long, conflicts_with = "now")]
    graceful: bool,
    /// Ask what is in flight to end at once.
    #[arg(long, conflicts_with_all = ["deadline", "at_slot", "at_block"])]
    now: bool,
    /// After this a graceful stop interrupts: 500ms, 30s, 2m.
    #[arg(long, value_parser = parse_span, value_name = "SPAN")]
    deadline: Option<Duration>,
    /// Work on until this slot, which is the last.
    #[arg(long, value_name = "SLOT", conflicts_with = "at_block")]
    at_slot: Option<u64>,
    /// Work on until this block, which is the last.
    #[arg(long, value_name = "NUMBER")]
    at_block: Option<u64>,
    /// Why, for the next person who wonders.
    #[arg(long)]
    reason: Option<String>,
}

/// Why to close.
#[derive(Args, Clone, Debug)]
pub struct CloseArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Why, for the next person who wonders.
    #[arg(long)]
    reason: Option<String>,
}

impl VerbCommand {
    /// Carries the verb out, tells the answer, and gives the exit code.
    ///
    /// # Cancel safety
    /// Dropped, a verb that was sent goes on in the node.
    pub async fn run(&self, console: &mut Console) -> u8 {
        let answer = match self {
            Self::Start(args) => args.run(console).await,
            Self::Stop(args) => args.run(console).await,
            Self::Close(args) => args.run(console).await,
            Self::Status(args) => args.run(console).await,
            Self::Wait(args) => args.run(console).await,
            Self::Explain(args) => args.run(console).await,
            Self::Publisher(args) => args.run(console).await,
            Self::Journal(args) => args.run(console).await,
        };
        answer.map_or_else(|failure| failure.end(console, self.form()), |()| 0)
    }

    const fn form(&self) -> Form {
        match self {
            Self::Start(args) => args.common.form(),
            Self::Stop(args) => args.common.form(),
            Self::Close(args) => args.common.form(),
            Self::Status(args) => args.common.form(),
            Self::Wait(args) => args.common.form(),
            Self::Explain(args) => args.common.form(),
            Self::Publisher(args) => args.form(),
            Self::Journal(args) => args.common.form(),
        }
    }
}

impl CommonArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }
}

impl StartArgs {
    async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let (reason, by) = (self.reason.clone(), Some(whoami()));
        let params = StartParams { at: self.at, wait_ms: self.wait.map(millis), reason, by };
        let answer: StartAnswer = with_progress(&client, console, client.call("admin_start", (params,))).await?;
        tell(console, self.common.form(), &answer, render::started)
    }
}

impl StopArgs {
    async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let params = StopParams {
            mode: if self.now { StopMode::Now } else { StopMode::Graceful },
            deadline_ms: self.deadline.map(millis),
            at_slot: self.at_slot,
            at_block: self.at_block,
            reason: self.reason.clone(),
            by: Some(whoami()),
        };
        let answer: StopAnswer = with_progress(&client, console, client.call("admin_stop", (params,))).await?;
        tell(console, self.common.form(), &answer, render::stopped)
    }
}

impl CloseArgs {
    async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let params = AuthorParams { reason: self.reason.clone(), by: Some(whoami()) };
        let answer: CloseAnswer = with_progress(&client, console, client.call("admin_close", (params,))).await?;
        tell(console, self.common.form(), &answer, render::closed)
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn tell<T: serde::Serialize>(
    console: &mut Console,
    form: Form,
    answer: &T,
    human: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match form {
        Form::Human => console.say(human(answer)),
        Form::Json => {
            let json = serde_json::to_string_pretty(answer);
            console.say(json.map_err(|error| Failure::new(crate::catalogue::Reason::Internal, &error))?);
        }
    }
    Ok(())
}

/// Waits for a verb, and meanwhile shows what it waits for.
async fn with_progress<T>(
    client: &AdminClient,
    console: &mut Console,
    verb: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if !console.shows_progress() {
        return verb.await;
    }
    let verb = verb.fuse();
    futures::pin_mut!(verb);
    let answer = loop {
        tokio::select! {
            answer = &mut verb => break answer,
            () = SystemClock.sleep(PROGRESS_INTERVAL) => {}
        }
        let look = client.call::<_, NodeStatus>("admin_status", ());
        tokio::select! {
            answer = &mut verb => break answer,
            status = look => if let Ok(status) = status {
                console.progress(render::progress(&status));
            },
        }
    };
    console.end_progress();
    answer
}

/// The person at the keyboard, for the journal.
pub(super) fn whoami() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "someone".to_owned());
    format!("{user} via cli")
}
