//! op-node's names, with op-node's shapes, so that tools made for it work. A redundant call is no error.

use std::sync::Arc;

use alloy::primitives::B256;

use super::methods::{Answer, Call, Methods};
use super::params::{NoParams, StartParams, StopParams};
use super::verbs;
use crate::lifecycle::Lifecycle;

/// `admin_startSequencer(hash)`: null.
pub(super) async fn start_sequencer(methods: Arc<Methods>, call: Call, at: Option<B256>) -> Answer<()> {
    verbs::start(methods, call, StartParams { at, ..StartParams::default() }).await.map(|_| ())
}

/// `admin_stopSequencer()`: the hash of the head.
pub(super) async fn stop_sequencer(methods: Arc<Methods>, call: Call, _: NoParams) -> Answer<B256> {
    let answer = verbs::stop(Arc::clone(&methods), call, StopParams::default()).await?;
    match answer.drain {
        Some(drain) => Ok(drain.head.hash),
        None => Ok(methods.context.status.status().await.head.unsafe_head.hash),
    }
}

/// `admin_sequencerActive()`: whether it runs.
pub(super) async fn sequencer_active(methods: Arc<Methods>, _: NoParams) -> Answer<bool> {
    Ok(methods.context.engine.status().borrow().lifecycle == Lifecycle::Running)
}
