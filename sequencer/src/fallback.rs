//! The sends of a slot that cannot build: votes, prunes and invalidations, bound to their slot.

#[cfg(test)]
mod tests;

use alloy::rpc::types::state::StateOverride;
use fermata_primitives::Slot;
use tokio_util::sync::CancellationToken;

use crate::actions::L1Action;
use crate::drain::{Ending, Head};
use crate::error::{Result, SequencerError};
use crate::poll_loop::chain;
use crate::slot_bundle::{Sender, SlotBundle, SlotBundleEnd, until_window};
use crate::workshop::Workshop;

/// What ends a fallback send early.
#[derive(Clone, Debug)]
pub(crate) struct FallbackInterrupts {
    /// Ends it while it waits for its slot: what its tracker gives it, which every stop cancels.
    pub(crate) waiting: CancellationToken,
    /// Ends it from then on: the run's interrupt. A graceful stop lets it end by itself.
    pub(crate) sending: CancellationToken,
}

/// Sends `actions` in one transaction that lands in `slot` or not at all: votes count for the slot they land in.
pub(crate) async fn send_fallback(
    workshop: &Workshop,
    slot: Slot,
    actions: Vec<L1Action>,
    interrupts: FallbackInterrupts,
) -> Ending {
    let sender = Sender {
        publisher: &workshop.publisher,
        times: workshop.view.times(),
        assumed: StateOverride::default(),
        events: &workshop.events,
    };
    match send_in_slot(sender, slot, actions, interrupts).await {
        Ok(end) => ending(workshop, &end).await,
        Err(SequencerError::Interrupted) => Ending::Cut,
        Err(error) => Ending::Failed { reason: chain(&error) },
    }
}

/// # Errors
/// [`SequencerError::Interrupted`] while it waited for its slot; what the publisher says. Nothing was sent then.
async fn send_in_slot(
    sender: Sender<'_>,
    slot: Slot,
    actions: Vec<L1Action>,
    interrupts: FallbackInterrupts,
) -> Result<SlotBundleEnd> {
    until_window(sender.publisher, sender.times, slot, &interrupts.waiting).await?;
    SlotBundle::new(slot, actions).send(sender, interrupts.sending).await
}

async fn ending(workshop: &Workshop, end: &SlotBundleEnd) -> Ending {
    if let Some(l1_tx) = end.in_flight() {
        return Ending::InFlight { l1_tx, head: head(workshop).await };
    }
    match &end.mined {
        Some(mined) if end.report.all_succeeded() => Ending::Landed { l1_tx: mined.tx_hash },
        Some(_) => Ending::Failed { reason: end.report.to_string() },
        None if end.is_cut() => Ending::Cut,
        None => Ending::Failed { reason: end.report.to_string() },
    }
}

/// The L2 head, which no vote moves. What a prune or an invalidation takes away is told by the L1 block that holds it.
async fn head(workshop: &Workshop) -> Head {
    let heads = workshop.chain.heads().await.map(|heads| heads.unsafe_head);
    heads.map_or_else(|_| Head::default(), |head| Head { number: head.number, hash: head.hash })
}
