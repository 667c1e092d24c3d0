//! The ways a vector is run.

use std::fmt;

use serde::Serialize;

use crate::{EthPolicy, Extent};

/// One way to run a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Course {
    /// What the store keeps.
    pub treatment: Treatment,
    /// Whether one store sees all of it.
    pub passage: Passage,
}

/// What a store keeps of imports and signings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// The highest values alone.
    Watermark,
    /// The highest values of what is imported, and all that is signed afterwards.
    Minified,
    /// Every record.
    Full,
}

/// Whether one store sees all of a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passage {
    /// One store.
    AsIs,
    /// After each step all of it is exported and imported into a new store, which goes on.
    RoundTrip,
}

impl Course {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self { treatment: Treatment::Watermark, passage: Passage::AsIs },
        Self { treatment: Treatment::Watermark, passage: Passage::RoundTrip },
        Self { treatment: Treatment::Minified, passage: Passage::AsIs },
        Self { treatment: Treatment::Minified, passage: Passage::RoundTrip },
        Self { treatment: Treatment::Full, passage: Passage::AsIs },
        Self { treatment: Treatment::Full, passage: Passage::RoundTrip },
    ];
}

impl Treatment {
    pub(super) const fn policy(self) -> EthPolicy {
        match self {
            Self::Watermark => EthPolicy::Watermark,
            Self::Minified | Self::Full => EthPolicy::FullHistory,
        }
    }

    pub(super) const fn extent(self) -> Extent {
        match self {
            Self::Watermark | Self::Minified => Extent::Minified,
            Self::Full => Extent::Full,
        }
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.treatment {
            Treatment::Watermark => "watermark",
            Treatment::Minified => "minified import, full history after",
            Treatment::Full => "full history",
        })?;
        match self.passage {
            Passage::AsIs => Ok(()),
            Passage::RoundTrip => f.write_str(", exported and imported after each step"),
        }
    }
}
