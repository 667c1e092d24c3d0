//! `admin_config`: the configuration as it is, and hot keys set in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonrpsee::types::ErrorObjectOwned;
use serde_json::{Value, json};

use super::audit::Audit;
use super::caller::End;
use super::errors;
use super::methods::{Answer, Call, Methods};
use super::params::ConfigParams;
use crate::catalogue::Reason;
use crate::config::{SetOutcome, Setting};
use crate::data_dir::Scope;
use crate::verbs::Author;

/// Without `set` every key with its value and origin; with it, what became of the keys.
pub(super) async fn config(methods: Arc<Methods>, call: Call, params: ConfigParams) -> Answer<Value> {
    let Some(keys) = params.set else { return Ok(json!(methods.context.settings.shown())) };
    let author = Audit::author(call.caller(), params.by, params.reason);
    let outcome = match call.caller().scope {
        Scope::Read => Err((Reason::Forbidden, forbidden(&call))),
        Scope::Operate | Scope::Danger => set(&methods, &author, keys),
    };
    methods.audit.note(call.verb, call.caller(), &author, &word(&outcome)).await;
    outcome.map(|outcome| json!(outcome)).map_err(|(_, error)| error)
}

fn forbidden(call: &Call) -> ErrorObjectOwned {
    call.passage.note(End::Refused(Reason::Forbidden));
    errors::error(Reason::Forbidden, "to set keys takes a token of scope `operate`, this one opens `read`")
}

fn set(
    methods: &Methods,
    author: &Author,
    keys: BTreeMap<String, Value>,
) -> Result<SetOutcome, (Reason, ErrorObjectOwned)> {
    let setting = |(key, value): (String, Value)| match as_text(&value) {
        Some(text) => Ok(Setting::new(key, text, &author.by)),
        None => {
            Err(errors::invalid_params(&format!("`{key}` is {value}; write text, a whole number or a list of text")))
        }
    };
    let settings: Result<Vec<_>, _> = keys.into_iter().map(setting).collect();
    let settings = settings.map_err(|error| (Reason::InvalidParams, error))?;
    let outcome = methods.context.settings.set(&settings);
    outcome.map_err(|error| (error.reason(), errors::of_config(&error)))
}

/// A value as the environment would give it.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
            items.map(|items| items.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

fn word(outcome: &Result<SetOutcome, (Reason, ErrorObjectOwned)>) -> String {
    match outcome {
        Ok(SetOutcome { applied, .. }) if applied.is_empty() => "unchanged".to_owned(),
        Ok(SetOutcome { applied, .. }) => format!("set {}", applied.join(", ")),
        Err((reason, _)) => reason.word().to_owned(),
    }
}
