//! The verbs that ask and change nothing: wait, explain, publisher, journal.

use std::time::Duration;

use clap::Args;
use fermata_primitives::{Clock as _, SystemClock};

use super::verbs::{CommonArgs, millis, tell};
use super::{Console, Failure, render};
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

/// Which node.
#[derive(Args, Clone, Debug)]
pub struct PublisherArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
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
        let report: PublisherReport = self.common.target.client()?.call("admin_publisher", ()).await?;
        tell(console, self.common.form(), &report, render::publishers)
    }
}

impl JournalArgs {
    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let client = self.common.target.client()?;
        let entries: Vec<JournalEntry> = client.call("admin_journal", (JournalParams { most: self.most },)).await?;
        let now = SystemClock.now();
        tell(console, self.common.form(), &entries, |entries| render::journal(entries, now))
    }
}
