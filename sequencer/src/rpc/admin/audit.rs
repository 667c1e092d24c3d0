//! Who asked for what, and what came of it: a line of the log with the target `audit`, and an entry in the journal.

use std::sync::Arc;

use fermata_primitives::SharedClock;

use super::caller::Caller;
use crate::node_store::{JournalEntry, NodeStore};
use crate::verbs::Author;

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

    /// Notes a verb with its outcome: a word, or an error's reason.
    pub(super) async fn note(&self, verb: &str, caller: Caller, author: &Author, outcome: &str) {
        let (door, scope) = (caller.door.word(), caller.scope.word());
        tracing::info!(target: "audit", verb, by = author.by, reason = author.reason, outcome, door, scope, "admin verb");
        let entry = JournalEntry {
            at_ms: self.clock.now().as_millis(),
            verb: verb.to_owned(),
            by: author.by.clone(),
            reason: author.reason.clone(),
            outcome: outcome.to_owned(),
        };
        if let Err(error) = self.store.append(entry).await {
            tracing::warn!(error = %crate::poll_loop::chain(&error), verb, "the verb is not in the journal");
        }
    }
}
