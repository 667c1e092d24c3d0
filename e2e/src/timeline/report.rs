//! A timeline as a file that one reads after a failure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::B256;

use super::{Entry, Record};

/// The transactions in L1's blocks, as far as L1 was asked.
#[derive(Default, Debug)]
pub(crate) struct L1Transactions {
    /// By the hash of their block, in words.
    pub(crate) found: Vec<(B256, String)>,
    /// The blocks before the one of this number were not asked for in time.
    pub(crate) not_before: Option<u64>,
}

impl Record {
    /// What each node is at, in a line.
    pub(crate) fn nodes_in_words(&self) -> String {
        if self.nodes.is_empty() {
            return "no node is open".to_owned();
        }
        let nodes = self.nodes.iter().map(|(name, view)| {
            let (lifecycle, checkpoint, block) = (view.lifecycle, view.checkpoint, view.block);
            format!("{name} is {lifecycle:?} at checkpoint {checkpoint}, block {block}")
        });
        nodes.collect::<Vec<_>>().join("; ")
    }

    /// All of it, a line each, with the transactions that L1's blocks hold where they are known.
    fn text(&self, l1_transactions: &L1Transactions) -> String {
        let began = self.entries.first().map_or(Duration::ZERO, |entry| entry.at);
        let mut text = format!("L1 is at block {}; {}\n", self.l1.number, self.nodes_in_words());
        if let Some(first) = l1_transactions.not_before {
            let _ = writeln!(text, "the transactions before L1 block {first} were not asked for in time");
        }
        text.push('\n');
        for entry in &self.entries {
            line(&mut text, began, entry);
            let super::Happening::L1Block(head) = entry.what else { continue };
            for (_, transaction) in l1_transactions.found.iter().filter(|(block, _)| *block == head.hash) {
                let _ = writeln!(text, "{:>26} {transaction}", "");
            }
        }
        text
    }

    /// Writes all of it to a file of its own, and says which.
    pub(crate) fn write(&self, l1_transactions: &L1Transactions) -> PathBuf {
        let path = next_file();
        let text = self.text(l1_transactions);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, &text));
        if let Err(error) = written {
            tracing::error!(%error, path = %path.display(), "the timeline cannot be written:\n{text}");
        }
        path
    }
}

fn line(text: &mut String, began: Duration, entry: &Entry) {
    let (at, node) = ((entry.at - began).as_secs_f64(), entry.node.as_deref().unwrap_or("L1"));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{at:>10.3} s  {node:<12} {}", entry.what);
}

/// `timelines/<test>-<process>-<count>.txt` beside the binaries of the build.
fn next_file() -> PathBuf {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").replace("::", "-");
    let count = WRITTEN.fetch_add(1, Ordering::Relaxed);
    folder().join(format!("{test}-{}-{count}.txt", std::process::id()))
}

/// The build's own directory, where the test's binary lies in one; else that for temporary files.
fn folder() -> PathBuf {
    let binary = std::env::current_exe().unwrap_or_default();
    let build = binary.ancestors().find(|dir| dir.ends_with("deps")).and_then(Path::parent);
    build.map_or_else(std::env::temp_dir, Path::to_path_buf).join("timelines")
}

#[cfg(test)]
mod tests {
    use fermata_anvil::L1Head;
    use fermata_primitives::L1Timestamp;

    use crate::timeline::{Happening, Mark, Timeline};

    use super::*;

    #[test]
    fn transactions_stand_under_their_own_block_and_what_was_not_asked_for_is_told() {
        let head = |number, hash| L1Head { number, timestamp: L1Timestamp(number), hash: B256::repeat_byte(hash) };
        let timeline = Timeline::new(head(0, 0));
        // The second took the place of the first.
        timeline.add(None, Happening::L1Block(head(7, 1)));
        timeline.add(None, Happening::L1Block(head(7, 2)));
        assert_eq!(timeline.read().since(Mark::default()).len(), 2);
        let found = vec![(B256::repeat_byte(2), "a transfer".to_owned())];
        let text = timeline.read().text(&L1Transactions { found, not_before: Some(7) });
        assert!(text.contains("the transactions before L1 block 7 were not asked for in time"), "{text}");
        assert!(text.trim_end().ends_with("a transfer") && text.matches("a transfer").count() == 1, "{text}");
    }
}
