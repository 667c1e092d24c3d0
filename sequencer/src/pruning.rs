//! Forgetting what was signed long ago: while a node runs, its signing store is pruned behind what L1 has finalised.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::providers::Provider as _;
use fermata_primitives::{Backoff, L1Timestamp, SharedClock, Slot, SlotTimes};
use fermata_validator_signer::{Protection, SignerError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::{Result, SequencerError};
use crate::l1::{HeadReceiver, L1Client};
use crate::poll_loop::chain as error_chain;
use crate::tasks::Tasks;

/// A try that failed is followed by the next after this, and later and later.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Failures in a row that are more than a hiccup.
const FAILURES_TOLD: u32 = 3;

/// Tells how far L1 is final.
pub(crate) trait Finality: Send + Sync + fmt::Debug {
    /// The time of the newest block that L1 will not take back.
    ///
    /// # Errors
    /// L1 did not answer, or has finalised nothing.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    fn finalized_at(&self) -> BoxFuture<'_, Result<L1Timestamp>>;
}

impl Finality for L1Client {
    fn finalized_at(&self) -> BoxFuture<'_, Result<L1Timestamp>> {
        async move {
            let what = "eth_getBlockByNumber(finalized)";
            let block = self.provider().get_block_by_number(BlockNumberOrTag::Finalized);
            let block = self.within(what, block).await?;
            let none = || SequencerError::L1Unreachable { what, source: "it has no finalised block".into() };
            block.map(|block| L1Timestamp(block.header.timestamp)).ok_or_else(none)
        }
        .boxed()
    }
}

/// Why nothing was forgotten.
#[derive(Debug, thiserror::Error)]
enum PruneError {
    /// L1 did not tell.
    #[error(transparent)]
    L1(#[from] SequencerError),
    /// What has not come yet would be refused for ever.
    #[error(
        "L1 says that slot {slot} is final, and this node's clock is at slot {current}; check the clock and l1.rpc_url"
    )]
    NotCome {
        /// What L1 says.
        slot: Slot,
        /// Where the clock is.
        current: Slot,
    },
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] SignerError),
}

/// How forgetting goes.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PruningStatus {
    /// The newest final slot that the store was pruned behind; `None` before the first time.
    pub finalized_slot: Option<Slot>,
    /// Records that were forgotten since the process began.
    pub removed: u64,
    /// Failures since it last succeeded.
    pub failures: u32,
    /// What the last of them was.
    pub failure: Option<String>,
}

impl PruningStatus {
    /// What somebody should look at, if anything.
    #[must_use]
    pub fn amiss(&self) -> Option<String> {
        let failure = self.failure.as_ref().filter(|_| self.failures >= FAILURES_TOLD)?;
        Some(format!("the signing store was not pruned {} times in a row, and grows: {failure}", self.failures))
    }

    fn failed(&mut self, error: &PruneError) {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(error_chain(error));
    }

    fn succeeded(&mut self, finalized: Option<Slot>, removed: u64) {
        let removed = self.removed + removed;
        *self = Self { finalized_slot: self.finalized_slot.max(finalized), removed, failures: 0, failure: None };
    }
}

/// Prunes a signing store.
///
/// L1 takes a slot's signatures within the slot alone. Once a block of a later slot is final, nothing that is signed for the
/// slot can have an effect any more, whatever becomes of the proofs; the store keeps its window behind that besides. The
/// node's own clock never makes it prune: it can only hold it back.
#[derive(Debug)]
pub(crate) struct Pruner {
    protection: Arc<dyn Protection>,
    finality: Arc<dyn Finality>,
    times: SlotTimes,
    clock: SharedClock,
    status: watch::Sender<PruningStatus>,
}

impl Pruner {
    pub(crate) fn new(
        protection: Arc<dyn Protection>,
        finality: Arc<dyn Finality>,
        times: SlotTimes,
        clock: SharedClock,
    ) -> Self {
        Self { protection, finality, times, clock, status: watch::Sender::default() }
    }

    /// How it goes.
    pub(crate) fn status(&self) -> watch::Receiver<PruningStatus> {
        self.status.subscribe()
    }

    /// Prunes at once, and then once an epoch of L1's time, until `head` ends. What fails is told and tried again.
    async fn follow(&self, mut head: HeadReceiver) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut pruned_in = None;
        loop {
            let now = head.borrow_and_update().timestamp;
            let epoch = self.times.epoch_of(self.times.slot_at(now));
            if pruned_in != Some(epoch) {
                if let Err(error) = self.prune().await {
                    tracing::error!(error = %error_chain(&error), "the signing store was not pruned");
                    self.status.send_modify(|status| status.failed(&error));
                    self.clock.sleep(backoff.wait()).await;
                    continue;
                }
                backoff.reset();
                pruned_in = Some(epoch);
            }
            if head.changed().await.is_err() {
                return;
            }
        }
    }

    async fn prune(&self) -> std::result::Result<(), PruneError> {
        let finalized_at = self.finality.finalized_at().await?;
        let finalized = final_slot(&self.times, finalized_at, self.times.slot_at_time(self.clock.now()))?;
        let removed = match finalized {
            Some(finalized) => self.protection.prune(finalized).await?,
            None => 0,
        };
        if removed > 0 {
            tracing::info!(finalized = finalized.map(|slot| slot.0), removed, "forgot what was signed long ago");
        }
        self.status.send_modify(|status| status.succeeded(finalized, removed));
        Ok(())
    }
}

/// The newest slot that is over in all that L1 can still become, where its last final block is of this time. `None` before
/// the second slot.
///
/// # Errors
/// [`PruneError::NotCome`]: that is later than the clock's `current` slot.
fn final_slot(
    times: &SlotTimes,
    finalized_at: L1Timestamp,
    current: Slot,
) -> std::result::Result<Option<Slot>, PruneError> {
    let under_way = times.slot_at(finalized_at);
    let slot = under_way.0.checked_sub(1).map(Slot);
    match slot {
        Some(slot) if slot > current => Err(PruneError::NotCome { slot, current }),
        slot => Ok(slot),
    }
}

/// The pruning of one run. Dropped, it ends soon.
#[derive(Debug)]
pub(crate) struct Pruning {
    tasks: Tasks,
    ended: CancellationToken,
}

impl Pruning {
    /// Prunes behind `head` until it is ended, or `interrupt` is cancelled.
    #[must_use]
    pub(crate) fn begin(pruner: &Arc<Pruner>, head: HeadReceiver, interrupt: &CancellationToken) -> Self {
        let (tasks, ended) = (Tasks::default(), interrupt.child_token());
        let (pruner, token) = (Arc::clone(pruner), ended.clone());
        tasks.spawn(async move {
            // What is cut off in the middle has forgotten a part, and goes on with the next run.
            let _ = token.run_until_cancelled(pruner.follow(head)).await;
        });
        Self { tasks, ended }
    }

    /// Ends, and resolves once nothing is pruned any more.
    pub(crate) async fn end(self) {
        self.ended.cancel();
        self.tasks.settle().await;
    }
}

impl Drop for Pruning {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}
