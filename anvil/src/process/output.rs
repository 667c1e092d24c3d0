//! What anvil says: its pid, its address, its last words.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// Lines kept for an error message.
const LAST_WORDS: usize = 12;

/// What has been learnt from the output so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learnt {
    pub(super) pid: Option<Pid>,
    pub(super) address: Option<SocketAddr>,
    /// The output has ended, and with it the process.
    pub(super) ended: bool,
}

/// The output of one anvil: read to its end, so that the process never blocks on a full pipe.
#[derive(Clone, Debug)]
pub(super) struct Output {
    learnt: watch::Sender<Learnt>,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { learnt: watch::Sender::new(Learnt::default()), last_words: Arc::default() }
    }

    pub(super) fn learnt(&self) -> watch::Receiver<Learnt> {
        self.learnt.subscribe()
    }

    /// The end of the output, on one line.
    pub(super) fn last_words(&self) -> String {
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.is_empty() { "none".to_owned() } else { words.iter().cloned().collect::<Vec<_>>().join(" | ") }
    }

    /// Reads standard output to its end.
    pub(super) async fn read_stdout(self, stdout: impl AsyncRead + Unpin) {
        self.read_lines(stdout).await;
        self.learnt.send_modify(|learnt| learnt.ended = true);
    }

    /// Reads standard error to its end.
    pub(super) async fn read_stderr(self, stderr: impl AsyncRead + Unpin) {
        self.read_lines(stderr).await;
    }

    async fn read_lines(&self, source: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(source).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            self.take(&line);
        }
    }

    fn take(&self, line: &str) {
        if let Some(pid) = line.strip_prefix("anvil-pid ").and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw) {
            self.learnt.send_modify(|learnt| learnt.pid = Some(pid));
        } else if let Some(address) = line.strip_prefix("Listening on ").and_then(|address| address.trim().parse().ok())
        {
            self.learnt.send_modify(|learnt| learnt.address = Some(address));
        } else if !line.trim().is_empty() {
            tracing::trace!(target: "anvil", "{line}");
            let mut words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
            if words.len() == LAST_WORDS {
                words.pop_front();
            }
            words.push_back(line.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_pid_and_the_real_port_are_read_from_the_output() {
        let output = Output::new();
        output.clone().read_stdout(&b"anvil-pid 4711\nListening on 127.0.0.1:34567\nhello\n"[..]).await;
        let learnt = *output.learnt().borrow();
        assert_eq!(learnt.pid, Pid::from_raw(4711));
        assert_eq!(learnt.address, Some(([127, 0, 0, 1], 34_567).into()));
        assert!(learnt.ended);
        assert_eq!(output.last_words(), "hello");
    }

    #[test]
    fn only_the_end_of_the_output_is_kept() {
        let output = Output::new();
        (0..100).for_each(|line| output.take(&format!("line {line}")));
        assert!(output.last_words().starts_with("line 88 |"), "{}", output.last_words());
        assert!(output.last_words().ends_with("line 99"), "{}", output.last_words());
    }
}
