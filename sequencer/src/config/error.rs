//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use super::{Key, Origin};
use crate::catalogue::Reason;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("cannot read the configuration file {}; check --config and its permissions", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}:{column}: not valid TOML: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// Keys that are unknown, missing or have no valid value: all of them.
    #[error("{0}")]
    Keys(Problems),
}

impl ConfigError {
    /// The catalogue's row.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unreadable { .. } | Self::Syntax { .. } | Self::Keys(_) => Reason::ConfigInvalid,
        }
    }
}

/// What is wrong with one key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// There is no such key.
    #[error("{origin}: there is no key `{key}`; {}", nearest.map_or_else(
        || "`fermata config show` lists the keys there are".to_owned(),
        |nearest| format!("did you mean `{nearest}`?"),
    ))]
    Unknown {
        /// What was written.
        key: String,
        /// Where.
        origin: Origin,
        /// The key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// It has no valid value.
    #[error("{origin}: `{key}` {wrong}; {remedy}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// What is wrong with it.
        wrong: String,
        /// What to do.
        remedy: String,
    },
    /// It must be set and is not.
    #[error("`{key}` is not set; {remedy}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What to do.
        remedy: String,
    },
}

impl Problem {
    pub(super) fn unknown(key: &str, origin: Origin) -> Self {
        Self::Unknown { key: key.to_owned(), origin, nearest: Key::nearest(key).map(|key| key.path) }
    }
}

/// All that is wrong, in the order it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for problem in &self.0 {
            write!(f, "{separator}{problem}")?;
            separator = "\n";
        }
        Ok(())
    }
}
