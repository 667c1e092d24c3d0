//! Errors of the admin RPC: code, message, and the catalogue's reason and hint as data.

use alloy::primitives::B256;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde::Serialize;

use crate::catalogue::Reason;
use crate::lifecycle::Refused;
use crate::node_store::NodeStoreError;
use crate::poll_loop::chain;
use crate::verbs::VerbError;

/// `error.data`.
#[derive(Serialize)]
struct Data {
    reason: &'static str,
    hint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    have: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    want: Option<B256>,
}

pub(super) fn error(reason: Reason, message: &str) -> ErrorObjectOwned {
    object(reason, message, Data { reason: reason.word(), hint: reason.hint(), have: None, want: None })
}

pub(super) fn invalid_params(what: &str) -> ErrorObjectOwned {
    error(Reason::InvalidParams, &format!("the parameters are not what the method takes: {what}"))
}

pub(super) fn head_mismatch(have: B256, want: B256) -> ErrorObjectOwned {
    let reason = Reason::HeadMismatch;
    let data = Data { reason: reason.word(), hint: reason.hint(), have: Some(have), want: Some(want) };
    object(reason, &format!("the node's head is {have}, a start at {want} was asked for"), data)
}

pub(super) fn of_verb(refused: &VerbError) -> ErrorObjectOwned {
    error(reason_of(refused), &chain(refused))
}

pub(super) fn of_store(refused: &NodeStoreError) -> ErrorObjectOwned {
    error(refused.reason(), &chain(refused))
}

/// The catalogue's row of a verb that was not carried out.
pub(super) fn reason_of(refused: &VerbError) -> Reason {
    match refused {
        VerbError::Refused(Refused::Stopping) => Reason::Stopping,
        VerbError::Refused(Refused::Closed) | VerbError::Gone => Reason::Closed,
        VerbError::Refused(Refused::NotDraining) => Reason::Internal,
        VerbError::Start(parts) => Reason::from_word(parts.reason).unwrap_or(Reason::StartFailed),
        VerbError::Interrupted => Reason::Interrupted,
        VerbError::NotRecorded(_) => Reason::NotRecorded,
    }
}

fn object(reason: Reason, message: &str, data: Data) -> ErrorObjectOwned {
    let code = reason.entry().rpc_code.unwrap_or(Reason::Internal.entry().rpc_code.unwrap_or_default());
    ErrorObject::owned(code, message, Some(data))
}
