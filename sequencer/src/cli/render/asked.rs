//! Answers to what was asked.

use std::fmt::Write as _;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::primitives::utils::format_units;
use fermata_primitives::UnixTime;

use super::{head, short_address, short_hash};
use crate::amount::ether;
use crate::explain::{Explanation, Verdict};
use crate::node_store::JournalEntry;
use crate::span::words;
use crate::status::{InFlightTx, NodeStatus, PublisherAccount, PublisherReport};

pub(in crate::cli) fn journal(entries: &[JournalEntry], now: UnixTime) -> String {
    if entries.is_empty() {
        return "nobody has asked for anything yet".to_owned();
    }
    let line = |entry: &JournalEntry| {
        let ago = words(now.since(UnixTime::from_millis(entry.at_ms)));
        let reason = entry.reason.as_ref().map_or_else(String::new, |reason| format!("  \"{reason}\""));
        format!("{ago:>12} ago  {:<22} {:<14} {}{reason}", entry.verb, entry.outcome, entry.by)
    };
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Where the node is when what was waited for has come.
pub(in crate::cli) fn reached(status: &NodeStatus) -> String {
    let l1 = status.l1.map_or_else(String::new, |l1| {
        let newest = l1.checkpoint.map_or_else(String::new, |number| format!(", checkpoint {number} on L1"));
        format!("{newest}, L1 block {}", l1.number)
    });
    format!("{}: head {}{l1}", status.actual.lifecycle, head(&status.head.unsafe_head))
}

/// The answer, then a line a check.
pub(in crate::cli) fn explained(explanation: &Explanation) -> String {
    let mut text = explanation.answer.clone();
    for check in &explanation.checks {
        let mark = match check.verdict {
            Verdict::Pass => "ok",
            Verdict::Fail => "FAIL",
            Verdict::Unknown => "?",
        };
        let _ = write!(text, "\n  {mark:<4}  {:<8}  {}", check.name, check.says);
    }
    text
}

/// An account a line, what is in flight below it, and what a checkpoint costs.
pub(in crate::cli) fn publishers(report: &PublisherReport) -> String {
    let mut lines: Vec<_> = report.accounts.iter().map(account).collect();
    if let (Some(cost), Some(fees)) = (report.checkpoint_cost_wei, report.fees) {
        lines.push(format!(
            "a checkpoint costs about {} at a base fee of {}, a tip of {} and a blob fee of {} ({})",
            ether(cost),
            gwei(fees.base_fee_wei),
            gwei(fees.tip_wei),
            gwei(fees.blob_base_fee_wei),
            report.cost_basis,
        ));
    }
    lines.extend(report.failures.iter().map(|failure| format!("failed: {failure}")));
    lines.join("\n")
}

fn account(account: &PublisherAccount) -> String {
    let PublisherAccount { status, checkpoints_left } = account;
    let balance = status.balance_wei.map_or_else(|| "balance not known".to_owned(), ether);
    let left = checkpoints_left.map_or_else(String::new, |left| format!(", about {left} checkpoints"));
    let nonce = status.nonce.map_or_else(String::new, |nonce| format!(", next nonce {nonce}"));
    let mut text = format!("{}  {balance}{left}{nonce}", short_address(status.address));
    for tx in &status.in_flight {
        let _ = write!(text, "\n  {}", in_flight(tx));
    }
    text
}

fn in_flight(tx: &InFlightTx) -> String {
    let hash = tx.tx.map_or_else(|| "not signed yet".to_owned(), short_hash);
    let age = words(Duration::from_millis(tx.age_ms));
    let mut text = format!("nonce {}: {}, {} for {age}, {hash}", tx.nonce, tx.label, tx.state);
    if let Some(fee) = tx.max_fee_per_gas_wei {
        let _ = write!(text, ", bids up to {}", gwei(fee));
    }
    if let Some(fee) = tx.max_fee_per_blob_gas_wei {
        let _ = write!(text, ", {} a blob gas", gwei(fee));
    }
    if tx.attempts > 1 {
        let _ = write!(text, ", {} attempts", tx.attempts);
    }
    text
}

fn gwei(wei: U256) -> String {
    let text = format_units(wei, "gwei").unwrap_or_else(|_| wei.to_string());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{} gwei", if text.is_empty() { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256};
    use fermata_primitives::Slot;

    use super::*;
    use crate::explain::Check;
    use crate::status::{FeesNow, PublisherStatus};

    #[test]
    fn an_explanation_is_the_answer_and_a_line_a_check() {
        let check = |name: &str, verdict, says: &str| Check { name: name.to_owned(), verdict, says: says.to_owned() };
        let explanation = Explanation {
            slot: Slot(93),
            answer: "not proposing in slot 93: the node is stopped".to_owned(),
            checks: vec![
                check("desired", Verdict::Pass, "nobody has asked for a stop"),
                check("running", Verdict::Fail, "the node is stopped"),
                check("time", Verdict::Unknown, "its build frame opens in 5.0 s"),
            ],
        };
        let expected = "\
not proposing in slot 93: the node is stopped
  ok    desired   nobody has asked for a stop
  FAIL  running   the node is stopped
  ?     time      its build frame opens in 5.0 s";
        assert_eq!(explained(&explanation), expected);
    }

    #[test]
    fn publishers_show_their_money_what_is_in_flight_and_what_a_checkpoint_costs() {
        let gwei = |gwei: u64| U256::from(gwei) * U256::from(1_000_000_000);
        let tx = InFlightTx {
            tx: Some(B256::repeat_byte(0x5c)),
            nonce: 6,
            age_ms: 2_140,
            label: "propose checkpoint 3 in slot 9".to_owned(),
            state: "live".to_owned(),
            attempts: 2,
            max_fee_per_gas_wei: Some(gwei(12)),
            max_fee_per_blob_gas_wei: Some(U256::from(2)),
            deadline: 0,
        };
        let status = PublisherStatus {
            address: Address::repeat_byte(0x11),
            balance_wei: Some(gwei(1_500_000_000)),
            nonce: Some(7),
            in_flight: vec![tx],
        };
        let report = PublisherReport {
            accounts: vec![PublisherAccount { status, checkpoints_left: Some(333) }],
            fees: Some(FeesNow { base_fee_wei: gwei(9), tip_wei: gwei(1), blob_base_fee_wei: U256::ZERO }),
            checkpoint_cost_wei: Some(gwei(4_500_000)),
            cost_basis: "what checkpoint 2 took".to_owned(),
            failures: vec!["L1 is slow".to_owned()],
        };
        let expected = "\
0x111111…1111  1.500 ETH, about 333 checkpoints, next nonce 7
  nonce 6: propose checkpoint 3 in slot 9, live for 2.1 s, 0x5c5c5c5c…5c5c, bids up to 12 gwei, 0.000000002 gwei a blob gas, 2 attempts
a checkpoint costs about 0.004 ETH at a base fee of 9 gwei, a tip of 1 gwei and a blob fee of 0 gwei (what checkpoint 2 took)
failed: L1 is slow";
        assert_eq!(publishers(&report), expected);
    }
}
