//! A command that did not succeed: what it says, and its exit code.

use serde_json::json;

use super::Console;
use crate::catalogue::Reason;
use crate::config::ConfigError;
use crate::data_dir::DataDirError;
use crate::poll_loop::chain;

/// Why a command did not succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The catalogue's row: its exit code is the process's.
    pub reason: Reason,
    /// What went wrong.
    pub message: String,
    /// What to do, where the message does not say.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure whose message says what to do.
    #[must_use]
    pub fn new(reason: Reason, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { reason, message: chain(error), hint: None }
    }

    /// Tells it, and gives the exit code.
    pub fn end(&self, console: &mut Console, form: Form) -> u8 {
        self.tell(console, form);
        self.reason.exit_code()
    }

    /// Tells it: one JSON object on standard output with `--json`, else lines on standard error.
    pub fn tell(&self, console: &mut Console, form: Form) {
        match form {
            Form::Json => {
                let Self { reason, message, hint } = self;
                let hint = hint.as_deref().unwrap_or_else(|| reason.hint());
                console.say(json!({ "error": { "reason": reason.word(), "message": message, "hint": hint } }));
            }
            Form::Human => {
                console.complain(format_args!("error: {}", self.message));
                if let Some(hint) = &self.hint {
                    console.complain(format_args!(" hint: {hint}"));
                }
            }
        }
    }
}

/// For whom a command writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// People.
    Human,
    /// Programs.
    Json,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error.reason(), &error)
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        Self::new(error.reason(), &error)
    }
}
