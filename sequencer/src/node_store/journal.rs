//! What operators asked for, and what came of it.

use serde::{Deserialize, Serialize};

/// How many entries are kept.
pub const JOURNAL_LENGTH: u64 = 1_000;

/// One verb that changes something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// When it was answered, in milliseconds since the Unix epoch on the node's clock.
    pub at_ms: u64,
    /// The RPC method.
    pub verb: String,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// What was answered, in a word or an error's reason.
    pub outcome: String,
}
