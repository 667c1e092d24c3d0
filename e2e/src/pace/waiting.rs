//! How long threads were ready to run and waited for a core, as the kernel counts it.

use std::collections::HashMap;
use std::fs::read_dir;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What each thread had waited when it was last looked at, by its directory.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    threads: HashMap<PathBuf, u64>,
}

impl Waiting {
    /// The longest that any thread of this process, or of `others`, has waited since the last look. Nothing where the kernel
    /// does not count.
    pub(super) fn longest_since(&mut self, others: &[u32]) -> Duration {
        let dirs = others.iter().map(|pid| PathBuf::from(format!("/proc/{pid}/task")));
        let (mut now, mut longest) = (HashMap::new(), 0);
        for dir in dirs.chain([PathBuf::from("/proc/self/task")]) {
            for thread in read_dir(dir).into_iter().flatten().flatten() {
                let path = thread.path();
                let Some(waited) = waited(&path) else { continue };
                // What a thread waited before it was first seen may be long ago.
                let before = self.threads.get(&path).copied().unwrap_or(waited);
                longest = longest.max(waited.saturating_sub(before));
                now.insert(path, waited);
            }
        }
        self.threads = now;
        Duration::from_nanos(longest)
    }
}

/// Nanoseconds that a thread has waited so far: the second of the numbers in its `schedstat`.
fn waited(thread: &Path) -> Option<u64> {
    std::fs::read_to_string(thread.join("schedstat")).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_looked_at_and_those_that_are_gone_are_forgotten() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.longest_since(&[u32::MAX]), Duration::ZERO, "nothing is known yet");
        let known = waiting.threads.len();
        assert!(known > 0, "the kernel counts how long threads wait");
        waiting.threads.insert(PathBuf::from("/proc/self/task/gone"), 5);
        waiting.longest_since(&[std::process::id()]);
        assert!(!waiting.threads.contains_key(Path::new("/proc/self/task/gone")));
    }
}
