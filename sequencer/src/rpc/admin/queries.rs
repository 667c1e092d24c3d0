//! What can be asked, and changes nothing.

use std::sync::Arc;

use fermata_primitives::Slot;

use super::errors;
use super::methods::{Answer, Methods};
use super::params::{ExplainParams, JournalParams, NoParams};
use crate::catalogue::Reason;
use crate::explain::Explanation;
use crate::node_store::JournalEntry;
use crate::status::{NodeStatus, PublisherReport};

pub(super) async fn status(methods: Arc<Methods>, _: NoParams) -> Answer<NodeStatus> {
    Ok(methods.context.status.status().await)
}

pub(super) async fn journal(methods: Arc<Methods>, params: JournalParams) -> Answer<Vec<JournalEntry>> {
    methods.context.store.journal(params.most).await.map_err(|error| errors::of_store(&error))
}

pub(super) async fn explain(methods: Arc<Methods>, params: ExplainParams) -> Answer<Explanation> {
    // A slot beyond is later than any clock can say.
    if let Some(slot) = params.slot.filter(|slot| *slot > u64::from(u32::MAX)) {
        return Err(errors::invalid_params(&format!("there will be no slot {slot}")));
    }
    let Ok(_place) = methods.waits.try_acquire() else { return Err(errors::of_reason(Reason::Busy)) };
    Ok(methods.context.status.explain(params.slot.map(Slot)).await)
}

pub(super) async fn publisher(methods: Arc<Methods>, _: NoParams) -> Answer<PublisherReport> {
    let Ok(_place) = methods.waits.try_acquire() else { return Err(errors::of_reason(Reason::Busy)) };
    Ok(methods.context.status.publisher().await)
}
