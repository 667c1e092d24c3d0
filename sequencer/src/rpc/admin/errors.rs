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

pub(super) fn of_verb(refused: &VerbError) -> ErrorObjectOwned {
    let reason = reason_of(refused);
    let heads = if let VerbError::Start(parts) = refused { parts.heads } else { None };
    let (have, want) = (heads.map(|heads| heads.have.hash), heads.map(|heads| heads.want));
    object(reason, &chain(refused), Data { reason: reason.word(), hint: reason.hint(), have, want })
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
        VerbError::Invalid { .. } => Reason::InvalidParams,
        VerbError::Start(parts) => parts.reason,
        VerbError::Interrupted => Reason::Interrupted,
        VerbError::CalledOff => Reason::CalledOff,
        VerbError::NotRunning => Reason::StartFailed,
        VerbError::NotRecorded(_) => Reason::NotRecorded,
    }
}

fn object(reason: Reason, message: &str, data: Data) -> ErrorObjectOwned {
    let code = reason.entry().rpc_code.unwrap_or(Reason::Internal.entry().rpc_code.unwrap_or_default());
    ErrorObject::owned(code, message, Some(data))
}
