//! The verbs that ask and change nothing: wait, explain, publisher, journal.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use fermata_primitives::{Clock as _, SystemClock};

use super::verbs::{CommonArgs, millis, tell};
use super::{Console, Failure, Form, publisher_store, render};
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
    /// Show what became of L1 transactions, from a publisher's store that no process uses.
    #[command(after_help = "Examples:\n  \
        fermata publisher journal /var/lib/fermata/publisher\n  \
        fermata publisher journal --most 1000 --json /var/lib/fermata/publisher | jq '.[] | select(.nonce == 7)'")]
    Journal {
        /// The store's directory: publisher/ or prover/ in a data directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Most entries.
        #[arg(long, default_value_t = 50)]
        most: usize,
        /// For programs: one JSON value.
        #[arg(long)]
        json: bool,
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
        match &self.asked {
            Some(PublisherCommand::Fsck { dir }) => publisher_store::check(console, dir),
            Some(PublisherCommand::Journal { dir, most, .. }) => {
                publisher_store::tell_journal(console, self.form(), dir, *most)
            }
            Some(PublisherCommand::Status(common)) => tell_publishers(console, common).await,
            None => tell_publishers(console, &self.common).await,
        }
    }

    /// Who reads the answer.
    pub(super) const fn form(&self) -> Form {
        match &self.asked {
            Some(PublisherCommand::Journal { json: true, .. }) => Form::Json,
            Some(PublisherCommand::Journal { json: false, .. } | PublisherCommand::Fsck { .. }) => Form::Human,
            Some(PublisherCommand::Status(common)) => common.form(),
            None => self.common.form(),
        }
    }
}

async fn tell_publishers(console: &mut Console, common: &CommonArgs) -> Result<(), Failure> {
    let report: PublisherReport = common.target.client()?.call("admin_publisher", ()).await?;
    let now = SystemClock.now();
    tell(console, common.form(), &report, |report| render::publishers(report, now))
}

impl JournalArgs {
    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let entries: Vec<JournalEntry> = client.call("admin_journal", (JournalParams { most: self.most },)).await?;
        let now = SystemClock.now();
        tell(console, self.common.form(), &entries, |entries| render::journal(entries, now))
    }
}
