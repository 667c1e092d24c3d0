//! Keeps the L2 chain at what L1 says.

use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{Backoff, SharedClock};
use tokio_util::sync::CancellationToken;

use super::{Committees, HeadReceiver, RollupView};
use crate::chain::Chain;
use crate::error::Result;
use crate::events::StepBack;
use crate::poll_loop::chain as error_chain;

/// Follows the L1 head: reads the contract's tip at each, and moves the L2 heads to it. It outlives every run, so that a
/// stopped node still tells the truth about where the chain is.
#[derive(Debug)]
pub struct Follower {
    view: RollupView,
    committees: Arc<Committees>,
    chain: Arc<Chain>,
    head: HeadReceiver,
    clock: SharedClock,
}

impl Follower {
    /// A follower of `head`.
    #[must_use]
    pub const fn new(
        view: RollupView,
        committees: Arc<Committees>,
        chain: Arc<Chain>,
        head: HeadReceiver,
        clock: SharedClock,
    ) -> Self {
        Self { view, committees, chain, head, clock }
    }

    /// Follows until `ended` is cancelled. A step that fails is tried again, also without a new head.
    pub async fn run(mut self, ended: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut newest = 0;
        while !ended.is_cancelled() {
            let step = ended.run_until_cancelled(self.step(&mut newest)).await;
            match step {
                None => return,
                Some(Ok(())) => {
                    backoff.reset();
                    let _ = ended.run_until_cancelled(self.head.changed()).await;
                }
                Some(Err(error)) => {
                    tracing::warn!(error = %error_chain(&error), "the chain on L1 could not be followed");
                    let wait = self.clock.sleep(backoff.wait());
                    let _ = ended.run_until_cancelled(wait).await;
                }
            }
        }
    }

    async fn step(&mut self, newest: &mut u64) -> Result<()> {
        let head = *self.head.borrow_and_update();
        let is_reorg = head.number <= *newest;
        if is_reorg {
            // What was read at the blocks that are gone may be wrong.
            self.committees.forget();
        }
        let tip = self.view.tip(head.hash).await?;
        let before = self.chain.tip().borrow().filter(|before| before.number > tip.number);
        let step_back = match before {
            Some(before) if is_reorg => Some((StepBack::Reorged, before.number)),
            Some(before) => Some((self.view.step_back(*newest + 1, head.number).await?, before.number)),
            None => None,
        };
        self.chain.follow(head.number, tip).await?;
        // At once: a step that is tried again finds the chain at this tip, and would not know that it went back.
        if let Some((cause, from)) = step_back {
            self.chain.tell_step_back(cause, (from, tip.number), head.number);
        }
        let times = self.view.times();
        self.chain.expire(times.slot_at(head.timestamp.plus_secs(times.ethereum_slot().as_secs()))).await?;
        *newest = head.number;
        Ok(())
    }
}
