//! The verbs: start, stop, close, status, journal.

use std::time::Duration;

use clap::{Args, Subcommand};
use fermata_primitives::{Clock as _, SystemClock};
use futures::FutureExt as _;

use super::client::AdminClient;
use super::failure::Form;
use super::{Console, Failure, Target, render};
use crate::node_store::JournalEntry;
use crate::rpc::admin::{AuthorParams, JournalParams, StopMode, StopParams};
use crate::status::NodeStatus;
use crate::verbs::{CloseAnswer, StartAnswer, StopAnswer};

/// How often progress is looked at.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// A verb for a running node.
#[derive(Subcommand, Clone, Debug)]
pub enum VerbCommand {
    /// Start sequencing; a node that runs already stays as it is.
    #[command(after_help = "Examples:\n  fermata start\n  fermata start --reason 'maintenance is over'")]
    Start(StartArgs),
    /// Stop sequencing, and wait until nothing is in flight. The process stays up.
    #[command(after_help = "Examples:\n  \
        fermata stop                          let the slot in flight land, then stop\n  \
        fermata stop --deadline 30s           the same, but interrupt after 30 seconds\n  \
        fermata stop --now --reason 'L1 fork' interrupt at once\n\n\
        The stopped state outlives the process: it is honoured when the node starts next.")]
    Stop(StopArgs),
    /// Interrupt, release every store and end the process.
    #[command(after_help = "Example:\n  fermata stop && fermata close    drain first, then end")]
    Close(StartArgs),
    /// Show what the node does, and what it was asked to do.
    #[command(after_help = "Examples:\n  \
        fermata status\n  \
        fermata status --watch\n  \
        fermata status --json | jq .head.unsafe.hash")]
    Status(StatusArgs),
    /// Show who asked for what, newest first.
    #[command(after_help = "Example:\n  fermata journal --most 5")]
    Journal(JournalArgs),
}

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Who and why.
#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    #[command(flatten)]
    common: CommonArgs,
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
    #[arg(long, conflicts_with = "deadline")]
    now: bool,
    /// After this a graceful stop interrupts: 500ms, 30s, 2m.
    #[arg(long, value_parser = parse_span, value_name = "SPAN")]
    deadline: Option<Duration>,
    /// Why, for the next person who wonders.
    #[arg(long)]
    reason: Option<String>,
}

/// How to show the status.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Show it again every second, until interrupted.
    #[arg(long)]
    watch: bool,
}

/// How much of the journal.
#[derive(Args, Clone, Debug)]
pub struct JournalArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Most entries.
    #[arg(long, default_value_t = 20)]
    most: usize,
}

impl VerbCommand {
    /// Carries the verb out, tells the answer, and gives the exit code.
    ///
    /// # Cancel safety
    /// Dropped, a verb that was sent goes on in the node.
    pub async fn run(&self, console: &mut Console) -> u8 {
        match self.answer(console).await {
            Ok(()) => 0,
            Err(failure) => {
                failure.tell(console, self.common().form());
                failure.reason.exit_code()
            }
        }
    }

    const fn common(&self) -> &CommonArgs {
        match self {
            Self::Start(args) | Self::Close(args) => &args.common,
            Self::Stop(args) => &args.common,
            Self::Status(args) => &args.common,
            Self::Journal(args) => &args.common,
        }
    }

    async fn answer(&self, console: &mut Console) -> Result<(), Failure> {
        let common = self.common();
        let (endpoint, token) = common.target.find()?;
        let client = AdminClient::new(&endpoint, &token)?;
        let form = common.form();
        match self {
            Self::Start(args) => start(&client, args, console, form).await,
            Self::Stop(args) => stop(&client, args, console, form).await,
            Self::Close(args) => close(&client, args, console, form).await,
            Self::Status(args) => status(&client, args, console, form).await,
            Self::Journal(args) => journal(&client, args, console, form).await,
        }
    }
}

impl CommonArgs {
    const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }
}

async fn start(client: &AdminClient, args: &StartArgs, console: &mut Console, form: Form) -> Result<(), Failure> {
    let params = AuthorParams { reason: args.reason.clone(), by: Some(whoami()) };
    let answer: StartAnswer = client.call("admin_start", (params,)).await?;
    tell(console, form, &answer, render::started)
}

async fn stop(client: &AdminClient, args: &StopArgs, console: &mut Console, form: Form) -> Result<(), Failure> {
    let params = StopParams {
        mode: if args.now { StopMode::Now } else { StopMode::Graceful },
        deadline_ms: args.deadline.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        reason: args.reason.clone(),
        by: Some(whoami()),
    };
    let answer: StopAnswer = with_progress(client, console, client.call("admin_stop", (params,))).await?;
    tell(console, form, &answer, render::stopped)
}

async fn close(client: &AdminClient, args: &StartArgs, console: &mut Console, form: Form) -> Result<(), Failure> {
    let params = AuthorParams { reason: args.reason.clone(), by: Some(whoami()) };
    let answer: CloseAnswer = with_progress(client, console, client.call("admin_close", (params,))).await?;
    tell(console, form, &answer, render::closed)
}

async fn status(client: &AdminClient, args: &StatusArgs, console: &mut Console, form: Form) -> Result<(), Failure> {
    loop {
        let status: NodeStatus = client.call("admin_status", ()).await?;
        if args.watch && form == Form::Human {
            // Home and clear: the table is drawn over itself.
            console.say("\x1b[H\x1b[2J");
        }
        tell(console, form, &status, render::status)?;
        if !args.watch {
            return Ok(());
        }
        SystemClock.sleep(Duration::from_secs(1)).await;
    }
}

async fn journal(client: &AdminClient, args: &JournalArgs, console: &mut Console, form: Form) -> Result<(), Failure> {
    let params = JournalParams { most: args.most };
    let entries: Vec<JournalEntry> = client.call("admin_journal", (params,)).await?;
    let now = SystemClock.now();
    tell(console, form, &entries, |entries| render::journal(entries, now))
}

fn tell<T: serde::Serialize>(
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
                console.progress(render::draining(&status));
            },
        }
    };
    console.end_progress();
    answer
}

/// The person at the keyboard, for the journal.
fn whoami() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "someone".to_owned());
    format!("{user} via cli")
}
