//! Answers to what was asked.

use std::fmt::Write as _;

use fermata_primitives::UnixTime;

use super::head;
use crate::explain::{Explanation, Verdict};
use crate::node_store::JournalEntry;
use crate::span::words;
use crate::status::NodeStatus;

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

#[cfg(test)]
mod tests {
    use fermata_primitives::Slot;

    use super::*;
    use crate::explain::Check;

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
}
