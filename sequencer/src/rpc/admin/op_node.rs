//! op-node's names, with op-node's shapes, so that tools made for it work. A redundant call is no error.

use std::sync::Arc;

use alloy::primitives::B256;

use super::errors;
use super::methods::{Answer, Call, Methods};
use super::params::{NoParams, StartParams, StopParams};
use super::verbs;
use crate::catalogue::Reason;
use crate::lifecycle::Lifecycle;

/// `admin_startSequencer(hash)`: null.
pub(super) async fn start_sequencer(methods: Arc<Methods>, call: Call, at: Option<B256>) -> Answer<()> {
    verbs::start(methods, call, StartParams { at, ..StartParams::default() }).await.map(|_| ())
}

/// `admin_stopSequencer()`: the hash of the head.
pub(super) async fn stop_sequencer(methods: Arc<Methods>, call: Call, _: NoParams) -> Answer<B256> {
    let answer = verbs::stop(Arc::clone(&methods), call, StopParams::default()).await?;
    let head = match answer.drain {
        Some(drain) => drain.head,
        None => methods.context.status.status().await.head.unsafe_head,
    };
    // A tool would take it for a block and start there.
    if head.hash == B256::ZERO {
        return Err(errors::error(
            Reason::Internal,
            "the node is stopped, and its head cannot be read; look at the log",
        ));
    }
    Ok(head.hash)
}

/// `admin_sequencerActive()`: whether it runs.
pub(super) async fn sequencer_active(methods: Arc<Methods>, _: NoParams) -> Answer<bool> {
    Ok(methods.context.engine.status().borrow().lifecycle == Lifecycle::Running)
}
