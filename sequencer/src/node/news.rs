//! What happens in a node, from all its sources.

use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::Node;
use crate::engine::EngineStatus;
use crate::events::SequencerEvent;
use crate::feed::{News, Told, Topic};
use crate::status::ActualState;

/// Everything that happens from now on, as each source tells it.
pub(super) fn of(node: &Node) -> BoxStream<'static, Told> {
    let times = *node.timetable().times();
    let states = changes(node.engine.status()).map(|status: EngineStatus| News::State(ActualState::from(&status)));
    let l1 = changes(node.inner.head.clone()).map(move |head| News::L1 {
        number: head.number,
        hash: head.hash,
        timestamp: head.timestamp.0,
        slot: times.slot_at_time(head.timestamp.into()),
    });
    let blocks = all(node.inner.execution.subscribe(), Topic::Block, |moved| {
        let head = moved.heads.unsafe_head;
        let is_news = !(moved.added.is_empty() && moved.dropped.is_empty());
        is_news.then_some(News::Block { number: head.number, hash: head.hash, dropped: moved.dropped.len() })
    });
    let checkpoints =
        all(node.events(), Topic::Checkpoint, |event| is_of_checkpoint(&event).then_some(News::Checkpoint(event)));
    let sources = [states.map(Told::News).boxed(), l1.map(Told::News).boxed(), blocks.boxed(), checkpoints.boxed()];
    stream::select_all(sources).boxed()
}

/// Blocks have a topic of their own.
const fn is_of_checkpoint(event: &SequencerEvent) -> bool {
    match event {
        SequencerEvent::BlockBuilt { .. }
        | SequencerEvent::BlockProposed { .. }
        | SequencerEvent::BlockHeard { .. } => false,
        SequencerEvent::PreparingCheckpoint { .. }
        | SequencerEvent::SlotResumed { .. }
        | SequencerEvent::PhaseEntered { .. }
        | SequencerEvent::BlockBuildFailed { .. }
        | SequencerEvent::CheckpointLeftOut { .. }
        | SequencerEvent::CheckpointAttested { .. }
        | SequencerEvent::AttestationsCollected { .. }
        | SequencerEvent::DutyMissed { .. }
        | SequencerEvent::ProposalRefused { .. }
        | SequencerEvent::EquivocationSeen { .. }
        | SequencerEvent::KeyHalted { .. }
        | SequencerEvent::ProposalDropped { .. }
        | SequencerEvent::L1WentBack { .. }
        | SequencerEvent::CheckpointProposed { .. }
        | SequencerEvent::CheckpointWithheld { .. }
        | SequencerEvent::CheckpointPublished { .. }
        | SequencerEvent::CheckpointPublishFailed { .. }
        | SequencerEvent::ActionsEnded { .. }
        | SequencerEvent::SlotMissed { .. }
        | SequencerEvent::CheckpointDiscarded { .. }
        | SequencerEvent::EpochProven { .. }
        | SequencerEvent::EpochProofFailed { .. }
        | SequencerEvent::L1TipMoved { .. } => true,
    }
}

/// Each value that is seen after now; of several between two looks, the last.
fn changes<T: Clone + Send + Sync + 'static>(mut values: watch::Receiver<T>) -> impl Stream<Item = T> + Send {
    values.mark_unchanged();
    stream::unfold(values, |mut values| async move {
        values.changed().await.ok()?;
        let value = values.borrow_and_update().clone();
        Some((value, values))
    })
}

/// Each message that is news, and how many were missed.
fn all<T: Clone + Send + 'static>(
    messages: broadcast::Receiver<T>,
    topic: Topic,
    news: fn(T) -> Option<News>,
) -> impl Stream<Item = Told> + Send {
    let told = stream::unfold(messages, move |mut messages| async move {
        let told = match messages.recv().await {
            Ok(message) => news(message).map(Told::News),
            Err(RecvError::Lagged(missed)) => Some(Told::Missed(topic, missed)),
            Err(RecvError::Closed) => return None,
        };
        Some((told, messages))
    });
    told.filter_map(std::future::ready)
}
