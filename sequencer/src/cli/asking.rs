//! The verbs that ask and change nothing: wait, explain, publisher, journal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use fermata_primitives::{Clock as _, SystemClock};
use fermata_publisher::FsckReport;

use super::verbs::{CommonArgs, millis, tell};
use super::{Console, Failure, render};
use crate::catalogue::Reason;
use crate::error::SequencerError;
use crate::explain::Explanation;
use crate::node_store::JournalEntry;
use crate::rpc::admin::{ExplainParams, JournalParams, WaitParams};
use crate::span::parse_span;
use crate::status::{NodeStatus, PublisherReport};

/// What to wait for.
#[derive(Args, Clone, Debug)]
pub struct WaitArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    #[command(flatten)]
    condition: ConditionArgs,
    /// How long: 500ms, 30s, 2m.
    #[arg(long, value_parser = parse_span, value_name = "SPAN", default_value = "1m")]
    timeout: Duration,
}

/// One of the four.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct ConditionArgs {
    /// The lifecycle: idle, running, stopping, stopped or closed.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// The L2 head has at least this number.
    #[arg(long, value_name = "NUMBER")]
    block: Option<u64>,
    /// L1 has this checkpoint, or a later one.
    #[arg(long, value_name = "NUMBER")]
    checkpoint: Option<u64>,
    /// The L1 head has at least this number.
    #[arg(long, value_name = "NUMBER")]
    l1_block: Option<u64>,
}

/// What to explain.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// The slot, instead of the one whose build frame is open.
    #[arg(long)]
    slot: Option<u64>,
}

/// Which node, as `status`; or what else is asked.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PublisherArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    asked: Option<PublisherCommand>,
}

/// What can be asked about what publishes.
#[derive(Subcommand, Clone, Debug)]
pub(super) enum PublisherCommand {
    /// Show accounts, what is in flight, L1 nodes, funder and warnings, also of a node that is stopped (the default).
    #[command(after_help = "Examples:\n  \
        fermata publisher status\n  \
        fermata publisher status --json | jq '.warnings'")]
    Status(CommonArgs),
    /// Check that everything in a publisher's store fits together. Changes nothing.
    #[command(after_help = "Example:\n  fermata publisher fsck /var/lib/fermata/publisher")]
    Fsck {
        /// The store's directory: publisher/ or prover/ in a data directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// How much of the journal.
#[derive(Args, Clone, Debug)]
pub struct JournalArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Most entries.
    #[arg(long, default_value_t = 20)]
    most: usize,
}

impl WaitArgs {
    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let ConditionArgs { state, block, checkpoint, l1_block } = self.condition.clone();
        let params = WaitParams { state, block, checkpoint, l1_block, timeout_ms: Some(millis(self.timeout)) };
        let status: NodeStatus = client.call("admin_waitFor", (params,)).await?;
        tell(console, self.common.form(), &status, render::reached)
    }
}

impl ExplainArgs {
    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let explanation: Explanation = client.call("admin_explain", (ExplainParams { slot: self.slot },)).await?;
        tell(console, self.common.form(), &explanation, render::explained)
    }
}

impl PublisherArgs {
    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        if let Some(PublisherCommand::Fsck { dir }) = &self.asked {
            return check(console, dir);
        }
        let common = self.common();
        let report: PublisherReport = common.target.client()?.call("admin_publisher", ()).await?;
        let now = SystemClock.now();
        tell(console, common.form(), &report, |report| render::publishers(report, now))
    }

    /// The options of what is asked.
    pub(super) const fn common(&self) -> &CommonArgs {
        match &self.asked {
            Some(PublisherCommand::Status(common)) => common,
            Some(PublisherCommand::Fsck { .. }) | None => &self.common,
        }
    }
}

/// Tells what does not fit; a failure where something does not.
fn check(console: &mut Console, dir: &Path) -> Result<(), Failure> {
    let report = fermata_publisher::fsck(dir).map_err(|error| {
        let error = SequencerError::Publisher(error);
        Failure::new(error.reason(), &error)
    })?;
    let FsckReport { transactions, in_flight, findings } = report;
    for finding in &findings {
        console.say(finding);
    }
    if findings.is_empty() {
        console.say(format_args!("sound: {transactions} transactions, {in_flight} of them in flight"));
        return Ok(());
    }
    Err(Failure {
        reason: Reason::StoreDamaged,
        message: format!("{} things in {} do not fit", findings.len(), dir.display()),
        hint: Some("restore the store from a backup, or check on L1 what became of these and move it away".to_owned()),
    })
}

impl JournalArgs {
    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let entries: Vec<JournalEntry> = client.call("admin_journal", (JournalParams { most: self.most },)).await?;
        let now = SystemClock.now();
        tell(console, self.common.form(), &entries, |entries| render::journal(entries, now))
    }
}
