//! Who asked for what, and what came of it: a line of the log with the target `audit`, and an entry in the journal.

use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, crash_point};

use super::caller::Caller;
use crate::data_dir::Scope;
use crate::node_store::{JournalEntry, NodeStore};
use crate::verbs::Author;

/// How long an answer waits for its entry in the journal: a disk that hangs must not keep it.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(3);

/// Notes every call that changes something, or was to.
#[derive(Clone, Debug)]
pub(super) struct Audit {
    pub(super) store: Arc<NodeStore>,
    pub(super) clock: SharedClock,
}

impl Audit {
    /// The author of a call: as it names itself, else by the door it came through.
    pub(super) fn author(caller: Caller, by: Option<String>, reason: Option<String>) -> Author {
        Author { by: by.unwrap_or_else(|| caller.door.word().to_owned()), reason }
    }

    /// Writes a call with its outcome into the log alone.
    pub(super) fn log(verb: &str, caller: Caller, author: &Author, outcome: &str) {
        let (door, scope) = (caller.door.word(), caller.scope.word());
        tracing::info!(target: "audit", verb, by = author.by, reason = author.reason, outcome, door, scope, "admin verb");
    }

    /// Notes a verb with its outcome: a word, or an error's reason. Waits for the journal no longer than three seconds.
    /// A caller who may only read changes nothing, and leaves a line of the log alone: the journal is
    /// bounded, and its older entries are not for such a caller to wash away.
    pub(super) async fn note(&self, verb: &str, caller: Caller, author: &Author, outcome: &str) {
        Self::log(verb, caller, author, outcome);
        if caller.scope == Scope::Read {
            return;
        }
        let entry = JournalEntry {
            at_ms: self.clock.now().as_millis(),
            verb: verb.to_owned(),
            by: author.by.clone(),
            reason: author.reason.clone(),
            outcome: outcome.to_owned(),
        };
        match tokio::time::timeout(JOURNAL_PATIENCE, self.store.append(entry)).await {
            Ok(Ok(())) => crash_point!("sequencer.after_journal"),
            Ok(Err(error)) => {
                tracing::warn!(error = %crate::poll_loop::chain(&error), verb, "the verb is not in the journal");
            }
            Err(_) => {
                tracing::warn!(verb, "the journal takes long: the verb is answered, and its entry may be missing");
            }
        }
    }
}
