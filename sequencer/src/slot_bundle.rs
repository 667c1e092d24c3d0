//! All that one slot sends to L1, in one transaction bound to the slot.

use alloy::primitives::B256;
use alloy::rpc::types::state::StateOverride;
use fermata_primitives::{Slot, SlotTimes};
use fermata_publisher::{
    Bundle, BundleEntry, EntryOutcome, Error as PublisherError, MULTICALL3_ADDRESS, MinedTx, PublisherManager,
};
use tokio_util::sync::CancellationToken;

use crate::actions::{ActionKind, ActionsReport, L1Action};
use crate::error::{Result, SequencerError};
use crate::events::{Events, SequencerEvent};

/// What a slot sends, before it is sent.
#[derive(Debug)]
pub(crate) struct SlotBundle {
    slot: Slot,
    entries: Vec<(ActionKind, BundleEntry)>,
    expired: Vec<ActionKind>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct SlotBundleEnd {
    /// Its transaction, once a block holds it.
    pub(crate) mined: Option<MinedTx>,
    /// How each action ended.
    pub(crate) ends: Vec<(ActionKind, EntryOutcome)>,
    /// The same, as it is told.
    pub(crate) report: ActionsReport,
}

impl SlotBundle {
    /// The bundle of `slot` with those of `actions` that are still of use in it.
    pub(crate) fn new(slot: Slot, actions: Vec<L1Action>) -> Self {
        let (expired, useful): (Vec<_>, Vec<_>) = actions.into_iter().partition(|action| action.is_expired_in(slot));
        let expired = expired.into_iter().map(|action| action.kind).collect();
        let entries = useful.into_iter().map(|action| (action.kind, action.into_entry(slot))).collect();
        Self { slot, entries, expired }
    }

    /// Adds an action that reads blobs.
    pub(crate) fn add(&mut self, kind: ActionKind, entry: BundleEntry) {
        self.entries.push((kind, entry));
    }

    /// Sends it so that it lands in its slot or not at all, and tells how each action ended.
    ///
    /// # Errors
    /// What the publisher says; nothing was sent then.
    pub(crate) async fn send(self, sender: Sender<'_>, interrupt: CancellationToken) -> Result<SlotBundleEnd> {
        let slot = self.slot;
        let (kinds, bundle, expired) = self.into_bundle(&sender);
        let outcome = sender.publisher.send_bundle(bundle, interrupt).await?;
        let ends: Vec<_> = kinds.into_iter().zip(outcome.entries).collect();
        let mut report = ActionsReport { expired, ..ActionsReport::default() };
        for (kind, end) in &ends {
            report.add(*kind, end);
        }
        report.count();
        let end = SlotBundleEnd { mined: outcome.mined, ends, report };
        let (l1_tx, actions) = (end.l1_tx(), Box::new(end.report.clone()));
        sender.events.emit(SequencerEvent::ActionsEnded { slot, l1_tx, actions });
        Ok(end)
    }

    /// In the order of priority; what comes first is carried out first.
    fn into_bundle(mut self, sender: &Sender<'_>) -> (Vec<ActionKind>, Bundle, Vec<ActionKind>) {
        self.entries.sort_by_key(|(kind, _)| *kind);
        let (kinds, entries): (Vec<_>, Vec<_>) = self.entries.into_iter().unzip();
        let words: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
        let bundle = Bundle {
            label: format!("slot {}: {}", self.slot, words.join(", ")),
            entries,
            not_before: sender.times.start_of(self.slot),
            deadline: sender.times.end_of(self.slot),
            multicall: MULTICALL3_ADDRESS,
            assumed: sender.assumed.clone(),
        };
        (kinds, bundle, self.expired)
    }
}

/// Resolves once the next L1 block may belong to the slot: before that, none of its sends goes out.
///
/// # Errors
/// [`SequencerError::Interrupted`] while it waited; what the publisher says.
///
/// # Cancel safety
/// Dropping the future ends the wait.
pub(crate) async fn until_window(
    publisher: &PublisherManager,
    times: &SlotTimes,
    slot: Slot,
    interrupt: &CancellationToken,
) -> Result<()> {
    let window = publisher.until_window(times.start_of(slot), times.end_of(slot));
    match interrupt.run_until_cancelled(window).await {
        None | Some(Err(PublisherError::Interrupted)) => Err(SequencerError::Interrupted),
        Some(opened) => Ok(opened?),
    }
}

/// With what a slot's bundle is sent.
#[derive(Clone, Debug)]
pub(crate) struct Sender<'a> {
    /// Lands it.
    pub(crate) publisher: &'a PublisherManager,
    /// Tells when its slot is.
    pub(crate) times: &'a SlotTimes,
    /// State that its simulation takes for granted.
    pub(crate) assumed: StateOverride,
    /// Hears how it ended.
    pub(crate) events: &'a Events,
}

impl SlotBundleEnd {
    /// How the action of this kind ended; `None` when there was none.
    pub(crate) fn of(&self, kind: ActionKind) -> Option<&EntryOutcome> {
        self.ends.iter().find(|(of, _)| *of == kind).map(|(_, end)| end)
    }

    /// Its transaction: mined, or in flight.
    pub(crate) fn l1_tx(&self) -> Option<B256> {
        self.mined.as_ref().map(|mined| mined.tx_hash).or_else(|| self.in_flight())
    }

    /// The transaction that may be live.
    pub(crate) fn in_flight(&self) -> Option<B256> {
        self.ends.iter().find_map(|(_, end)| match end {
            EntryOutcome::InFlight { tx_hash } => Some(*tx_hash),
            EntryOutcome::Succeeded
            | EntryOutcome::Failed { .. }
            | EntryOutcome::Dropped { .. }
            | EntryOutcome::Expired
            | EntryOutcome::NotSent
            | EntryOutcome::Rejected { .. } => None,
        })
    }

    /// True when it was interrupted before anything was sent.
    pub(crate) fn is_cut(&self) -> bool {
        self.ends.iter().any(|(_, end)| *end == EntryOutcome::NotSent)
    }
}
