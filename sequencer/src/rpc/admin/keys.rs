//! `admin_reloadKeys`: the validators' keys, read anew where they come from.

use std::sync::Arc;

use fermata_validator_signer::KeyChanges;

use super::audit::Audit;
use super::errors;
use super::methods::{Answer, Call, Methods};
use super::params::AuthorParams;
use crate::catalogue::Reason;
use crate::node::reason_of_signer;
use crate::poll_loop::chain;

/// What came and went. If a key cannot be read, all of them stay as they are.
pub(super) async fn reload(methods: Arc<Methods>, call: Call, params: AuthorParams) -> Answer<KeyChanges> {
    let author = Audit::author(call.caller(), params.by, params.reason);
    let (keys, audit) = (Arc::clone(&methods.context.keys), methods.audit.clone());
    let task = methods.tasks.spawn(async move {
        let reloaded = keys.reload().await;
        let outcome = match &reloaded {
            Ok(KeyChanges { added, removed, .. }) => format!("{} added, {} removed", added.len(), removed.len()),
            Err(error) => reason_of_signer(error).word().to_owned(),
        };
        audit.note(call.verb, call.caller(), &author, &outcome).await;
        reloaded.map_err(|error| errors::error(reason_of_signer(&error), &chain(&error)))
    });
    task.await.unwrap_or_else(|_| Err(errors::of_reason(Reason::Closed)))
}
