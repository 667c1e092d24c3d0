//! Errors of the admin RPC: code, message, and the catalogue's reason and hint as data.

use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::catalogue::Reason;
use crate::config::ConfigError;
use crate::lifecycle::Refused;
use crate::node_store::NodeStoreError;
use crate::poll_loop::chain;
use crate::verbs::VerbError;

/// `error.data`.
#[derive(Serialize)]
struct Data {
    reason: &'static str,
    hint: &'static str,
    #[serde(flatten)]
    more: Map<String, Value>,
}

pub(super) fn error(reason: Reason, message: &str) -> ErrorObjectOwned {
    with(reason, message, &Value::Null)
}

/// An error about which the catalogue says everything.
pub(super) fn of_reason(reason: Reason) -> ErrorObjectOwned {
    error(reason, reason.entry().when)
}

pub(super) fn invalid_params(what: &str) -> ErrorObjectOwned {
    error(Reason::InvalidParams, &format!("the parameters are not what the method takes: {what}"))
}

/// With the fields of `more` beside reason and hint.
pub(super) fn with(reason: Reason, message: &str, more: &Value) -> ErrorObjectOwned {
    let code = reason.entry().rpc_code.unwrap_or(Reason::Internal.entry().rpc_code.unwrap_or_default());
    let more = more.as_object().cloned().unwrap_or_default();
    ErrorObject::owned(code, message, Some(Data { reason: reason.word(), hint: reason.hint(), more }))
}

pub(super) fn of_verb(refused: &VerbError) -> ErrorObjectOwned {
    let heads = if let VerbError::Start(parts) = refused { parts.heads } else { None };
    let more = heads.map_or(Value::Null, |heads| json!({ "have": heads.have.hash, "want": heads.want }));
    with(reason_of(refused), &chain(refused), &more)
}

pub(super) fn of_store(refused: &NodeStoreError) -> ErrorObjectOwned {
    error(refused.reason(), &chain(refused))
}

/// With every problem by itself.
pub(super) fn of_config(refused: &ConfigError) -> ErrorObjectOwned {
    let message = chain(refused);
    let problems: Vec<_> = message.lines().collect();
    with(refused.reason(), &message, &json!({ "problems": problems }))
}

/// The catalogue's row of a verb that was not carried out.
pub(super) fn reason_of(refused: &VerbError) -> Reason {
    match refused {
        VerbError::Refused(Refused::Stopping) => Reason::Stopping,
        VerbError::Refused(Refused::Closed) | VerbError::Gone => Reason::Closed,
        VerbError::Refused(Refused::NotDraining) => Reason::Internal,
        VerbError::Invalid { .. } => Reason::InvalidParams,
        VerbError::Start(parts) => parts.reason,
        VerbError::Interrupted => Reason::Interrupted,
        VerbError::CalledOff => Reason::CalledOff,
        VerbError::NotRunning => Reason::StartFailed,
        VerbError::NotRecorded(_) => Reason::NotRecorded,
    }
}
