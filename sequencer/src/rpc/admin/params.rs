//! Parameters of the admin methods.

use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::errors::invalid_params;

/// Who asks, and why.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuthorParams {
    /// Free text for the next person who wonders.
    pub reason: Option<String>,
    /// A person or a program.
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
    /// Free text for the next person who wonders.
    pub reason: Option<String>,
    /// A person or a program.
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
