//! Parameters of the admin methods.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::errors::invalid_params;
use crate::feed::Topic;

/// Longest `reason` and `by`, in bytes: the journal keeps them.
const MAX_TEXT_BYTES: usize = 1_024;

/// No parameters.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Who asks, and why.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuthorParams {
    /// Free text for the next person who wonders.
    #[serde(deserialize_with = "short")]
    pub reason: Option<String>,
    /// A person or a program.
    #[serde(deserialize_with = "short")]
    pub by: Option<String>,
}

/// How to start.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StartParams {
    /// Start only where this block is the L2 head.
    pub at: Option<B256>,
    /// How long to wait until the node has synced to that head, in milliseconds.
    pub wait_ms: Option<u64>,
    /// Free text for the next person who wonders.
    #[serde(deserialize_with = "short")]
    pub reason: Option<String>,
    /// A person or a program.
    #[serde(deserialize_with = "short")]
    pub by: Option<String>,
}

/// How to stop.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StopParams {
    /// How hard.
    pub mode: StopMode,
    /// After this many milliseconds a graceful stop interrupts.
    pub deadline_ms: Option<u64>,
    /// Work on until this slot, which is the last.
    pub at_slot: Option<u64>,
    /// Work on until this block, which is the last.
    pub at_block: Option<u64>,
    /// Free text for the next person who wonders.
    #[serde(deserialize_with = "short")]
    pub reason: Option<String>,
    /// A person or a program.
    #[serde(deserialize_with = "short")]
    pub by: Option<String>,
}

/// How hard to stop.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMode {
    /// What is in flight ends by itself.
    #[default]
    Graceful,
    /// It is asked to end at once.
    Now,
}

/// What to wait for: one of the four.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WaitParams {
    /// The lifecycle's word, such as `stopped`.
    pub state: Option<String>,
    /// The L2 head has at least this number.
    pub block: Option<u64>,
    /// L1 has this checkpoint, or a later one.
    pub checkpoint: Option<u64>,
    /// The L1 head has at least this number.
    pub l1_block: Option<u64>,
    /// How long, in milliseconds; a minute where it is left out.
    pub timeout_ms: Option<u64>,
}

/// What to explain.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExplainParams {
    /// The slot; the one whose build frame is open where it is left out.
    pub slot: Option<u64>,
}

/// What to do with the configuration: without `set`, show it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConfigParams {
    /// Keys and their new values.
    pub set: Option<BTreeMap<String, Value>>,
    /// Free text for the next person who wonders.
    #[serde(deserialize_with = "short")]
    pub reason: Option<String>,
    /// A person or a program.
    #[serde(deserialize_with = "short")]
    pub by: Option<String>,
}

/// How much of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JournalParams {
    /// Most entries.
    pub most: usize,
}

impl Default for JournalParams {
    fn default() -> Self {
        Self { most: 50 }
    }
}

/// What to subscribe to: one topic or several; every one where none is named.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SubscribeParams {
    /// One.
    One(Topic),
    /// Several.
    Several(Vec<Topic>),
}

impl Default for SubscribeParams {
    fn default() -> Self {
        Self::Several(Topic::ALL.to_vec())
    }
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    match text.as_ref().map(String::len) {
        Some(length) if length > MAX_TEXT_BYTES => Err(D::Error::custom(format!(
            "`reason` and `by` take at most {MAX_TEXT_BYTES} bytes each, one has {length}; shorten it"
        ))),
        Some(_) | None => Ok(text),
    }
}

/// The one parameter of a method: by name (an object), by place (an array of at most one), or left out.
pub(super) fn one<T: DeserializeOwned>(params: &Params<'_>) -> Result<Option<T>, ErrorObjectOwned> {
    let Some(text) = params.as_str().map(str::trim).filter(|text| !text.is_empty() && *text != "null") else {
        return Ok(None);
    };
    if text.starts_with('{') {
        return serde_json::from_str(text).map(Some).map_err(|error| invalid_params(&error.to_string()));
    }
    let mut places: Vec<T> = serde_json::from_str(text).map_err(|error| invalid_params(&error.to_string()))?;
    match places.len() {
        0 => Ok(None),
        1 => Ok(places.pop()),
        many => Err(invalid_params(&format!("{many} parameters where at most one is taken"))),
    }
}
