//! `fermata doctor`: looks at everything a node needs, before one is started, and changes nothing.

mod accounts;
mod l1;
mod machine;
mod sending;
#[cfg(test)]
mod tests;

use clap::Args;
use serde::Serialize;

use super::failure::Form;
use super::verbs::tell;
use super::{Console, NodeArgs};
use crate::catalogue::Reason;
use crate::config::{NodeConfig, Sources};

/// Which node to look at.
#[derive(Args, Clone, Default, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    /// A node comes up, and somebody should look.
    Warn,
    /// A node does not come up, or cannot work.
    Fail,
}

/// What a check has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, says: says.into(), remedy: None }
    }

    fn warn(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, says: says.into(), remedy: Some(remedy.into()) }
    }

    fn fail(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, says: says.into(), remedy: Some(remedy.into()) }
    }

    /// A failure whose remedy is the catalogue's.
    fn of_reason(check: &'static str, says: impl Into<String>, reason: Reason) -> Self {
        Self::fail(check, says, reason.hint())
    }
}

impl DoctorArgs {
    /// Looks, tells, and gives the exit code: that of `CHECK_FAILED` where a check failed.
    pub async fn run(&self, console: &mut Console) -> u8 {
        self.run_on(&self.node.sources(), console).await
    }

    async fn run_on(&self, sources: &Sources, console: &mut Console) -> u8 {
        let findings = examine(sources).await;
        let form = if self.json { Form::Json } else { Form::Human };
        if let Err(failure) = tell(console, form, &findings, |findings| rendered(findings)) {
            return failure.end(console, form);
        }
        let is_failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
        if is_failed { Reason::CheckFailed.exit_code() } else { 0 }
    }
}

async fn examine(sources: &Sources) -> Vec<Finding> {
    let config = match NodeConfig::load(sources) {
        Ok(config) => config,
        Err(error) => {
            let problems = error.to_string();
            // Each says what to do.
            let fail = |problem: &str| Finding { verdict: Verdict::Fail, ..Finding::ok("config", problem) };
            return problems.lines().map(fail).chain(machine::tools().await).collect();
        }
    };
    let mut findings = vec![Finding::ok("config", "every key is known and valid")];
    findings.extend(machine::examine(&config));
    findings.extend(l1::examine(&config).await);
    findings.extend(machine::tools().await);
    findings
}

/// A line a finding, and below what is amiss, what to do.
fn rendered(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mark = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let remedy = finding.remedy.as_ref().map_or_else(String::new, |remedy| format!("\n{:>18}{remedy}", "→ "));
        format!("{mark:<4}  {:<10}  {}{remedy}", finding.check, finding.says)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}
