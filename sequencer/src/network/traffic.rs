//! What goes in and out of a node, and what is dropped: counted, so that nothing vanishes unseen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::MessageError;

/// Why a message was dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dropped {
    /// It could not arrive by its deadline, or its answer came after it.
    Late,
    /// Too much was on the way already.
    LinkFull,
    /// The link lost it.
    Lost,
    /// The nodes are cut off from one another.
    CutOff,
    /// The recipient had left before it arrived.
    Gone,
    /// Nobody listened for it.
    Unheard,
    /// Its receiver was too slow and it was the oldest, or a request came while too many waited.
    Overflow,
    /// It is of a version this node does not know.
    UnknownVersion,
    /// It is of a kind this node does not know, or that does not belong there.
    UnknownKind,
    /// It is larger than its kind may be.
    TooLarge,
    /// Its bytes are not what its kind has.
    Malformed,
    /// It answers what was not asked.
    NotAskedFor,
}

impl From<&MessageError> for Dropped {
    fn from(error: &MessageError) -> Self {
        match error {
            MessageError::UnknownVersion { .. } => Self::UnknownVersion,
            MessageError::UnknownKind(_) | MessageError::OutOfPlace(_) => Self::UnknownKind,
            MessageError::TooLarge { .. } => Self::TooLarge,
            MessageError::Truncated | MessageError::TrailingBytes(_) | MessageError::Malformed(_) => Self::Malformed,
            MessageError::NotAskedFor(_) => Self::NotAskedFor,
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "late",
            Self::LinkFull => "link full",
            Self::Lost => "lost",
            Self::CutOff => "cut off",
            Self::Gone => "recipient gone",
            Self::Unheard => "nobody listened",
            Self::Overflow => "receiver too slow",
            Self::UnknownVersion => "unknown version",
            Self::UnknownKind => "unknown kind",
            Self::TooLarge => "too large",
            Self::Malformed => "malformed",
            Self::NotAskedFor => "not asked for",
        })
    }
}

/// How much.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Volume {
    /// Messages; one that is sent to several nodes counts once for each.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Volume {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// What has gone in and out of a node, requests and answers included.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// What it handed to its links.
    pub sent: Volume,
    /// What reached it, garbage included.
    pub received: Volume,
    /// What was dropped of either, by reason.
    pub dropped: BTreeMap<Dropped, u64>,
}

impl Traffic {
    /// How many were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped.get(&reason).copied().unwrap_or_default()
    }
}

fn count(way: &'static str, bytes: usize) {
    metrics::counter!("fermata_network_messages_total", "way" => way).increment(1);
    metrics::counter!("fermata_network_bytes_total", "way" => way).increment(bytes as u64);
}

/// Counts a node's traffic.
#[derive(Debug, Default)]
pub(super) struct TrafficCounter(Mutex<Traffic>);

impl TrafficCounter {
    pub(super) fn sent(&self, bytes: usize) {
        count("sent", bytes);
        self.with(|traffic| traffic.sent.add(bytes));
    }

    pub(super) fn received(&self, bytes: usize) {
        count("received", bytes);
        self.with(|traffic| traffic.received.add(bytes));
    }

    pub(super) fn dropped(&self, reason: Dropped, messages: u64) {
        let word = reason.to_string().replace(' ', "-");
        metrics::counter!("fermata_network_dropped_total", "reason" => word).increment(messages);
        self.with(|traffic| *traffic.dropped.entry(reason).or_default() += messages);
    }

    /// The counts so far.
    pub(super) fn read(&self) -> Traffic {
        self.with(|traffic| traffic.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Traffic) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
