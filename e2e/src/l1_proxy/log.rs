//! What has come by, and waiting for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use fermata_primitives::{Clock as _, SystemClock};
use tokio::sync::watch;

/// Longest wait for a call.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Calls that an error tells of.
const TOLD: usize = 20;

/// What became of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing yet; for ever, where its caller has gone.
    UnderWay,
    /// L1's answer went back as it was.
    Answered,
    /// L1 gave no answer.
    Unanswered,
    /// It met a fault: [`Fault::name`](super::Fault::name).
    Faulted(&'static str),
    /// The strict mempool rejected the transaction, with this message.
    Rejected(String),
}

/// A call that has come by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedCall {
    /// Its method.
    pub method: String,
    /// When it came, on the monotonic clock of [`SystemClock`].
    pub at: Duration,
    /// When its fate was known, on the same clock.
    pub settled_at: Option<Duration>,
    /// What became of it.
    pub fate: Fate,
}

/// The place of a call in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry(usize);

/// All calls that have come by, in order.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    calls: Mutex<Vec<LoggedCall>>,
    changes: watch::Sender<u64>,
}

impl CallLog {
    pub(super) fn note(&self, method: &str, fate: Fate) -> Entry {
        let mut calls = self.lock();
        let at = SystemClock.monotonic();
        let settled_at = (fate != Fate::UnderWay).then_some(at);
        calls.push(LoggedCall { method: method.to_owned(), at, settled_at, fate });
        let entry = Entry(calls.len() - 1);
        drop(calls);
        self.changes.send_modify(|changes| *changes += 1);
        entry
    }

    /// What became of a call, where that is not known yet.
    pub(super) fn settle(&self, entry: Entry, fate: Fate) {
        let mut calls = self.lock();
        let call = &mut calls[entry.0];
        if call.fate == Fate::UnderWay {
            (call.fate, call.settled_at) = (fate, Some(SystemClock.monotonic()));
        }
        drop(calls);
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(super) fn calls(&self) -> Vec<LoggedCall> {
        self.lock().clone()
    }

    /// How many calls `wanted` takes.
    pub(super) fn count(&self, wanted: impl Fn(&LoggedCall) -> bool) -> usize {
        self.lock().iter().filter(|call| wanted(call)).count()
    }

    /// Waits until `wanted` takes as many calls.
    pub(super) async fn wait(&self, what: &str, many: usize, wanted: impl Fn(&LoggedCall) -> bool) -> Result<()> {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            while self.count(&wanted) < many {
                // The sender lives as long as the log.
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            bail!("no {many} {what} within {PATIENCE:?}; {}", self.last_words());
        }
        Ok(())
    }

    /// What came last, for an error.
    pub(super) fn last_words(&self) -> String {
        let calls = self.lock();
        let last = &calls[calls.len().saturating_sub(TOLD)..];
        format!("the last of {} calls: {last:#?}", calls.len())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LoggedCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
