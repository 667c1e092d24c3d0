//! L1's head, as a value one can wait on.

use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::providers::Provider;
use fermata_primitives::{Backoff, L1FollowingClock, L1Timestamp, SharedClock, SlotTimes, UnixTime};
use fermata_publisher::L1HeadInfo;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::L1Client;
use super::clock_keeper::ClockKeeper;
use crate::error::Result;
use crate::poll_loop::chain;

/// The newest L1 head; changes with every L1 block.
pub type HeadReceiver = watch::Receiver<L1HeadInfo>;

/// Polls for the L1 head: right after the next block is due, and then more and more slowly until it is there.
#[derive(Debug)]
pub struct HeadMonitor {
    client: L1Client,
    times: SlotTimes,
    clock: SharedClock,
    keeper: Option<ClockKeeper>,
    overdue: Duration,
    head: watch::Sender<L1HeadInfo>,
}

/// L1 blocks are asked for this long after they are due at the earliest.
const AFTER_DUE: Duration = Duration::from_millis(20);

/// L1 blocks by which a new head may lie behind the clock before the clock goes back to it: a busy L1 misses some, or
/// hands them out late.
const MISSED_BLOCKS: u32 = 16;

impl HeadMonitor {
    /// A monitor that has seen the head once. With `follow`, that clock is kept at the head's time. While the next block
    /// is overdue, it is asked for every `overdue` at the slowest.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn begin(
        client: L1Client,
        times: SlotTimes,
        clock: SharedClock,
        follow: Option<Arc<L1FollowingClock>>,
        overdue: Duration,
    ) -> Result<Self> {
        let first = read_head(&client).await?;
        let head = watch::Sender::new(first);
        let keeper = follow.map(|clock| ClockKeeper::new(clock, times.ethereum_slot()));
        let mut monitor = Self { client, times, clock, keeper, overdue, head };
        monitor.keep_clock(&first, times.ethereum_slot());
        Ok(monitor)
    }

    /// The head, and a way to wait for the next.
    #[must_use]
    pub fn head(&self) -> HeadReceiver {
        self.head.subscribe()
    }

    /// Follows the head until `ended` is cancelled.
    pub async fn run(mut self, ended: CancellationToken) {
        let mut backoff = self.backoff();
        while !ended.is_cancelled() {
            let Some(read) = ended.run_until_cancelled(read_head(&self.client)).await else { return };
            match read {
                Ok(head) if head.hash != self.head.borrow().hash => {
                    self.keep_clock(&head, MISSED_BLOCKS * self.times.ethereum_slot());
                    self.head.send_replace(head);
                    backoff = self.backoff();
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "the L1 head could not be read"),
            }
            let wake = self.next_look(backoff.wait());
            // A clock that stands still, for want of a head, must not keep anyone from looking for one; nor does one that goes
            // slowly, and is not there yet each time, have it looked for ever faster.
            let span = wake.since(self.clock.now()).max(self.shortest_wait());
            tokio::select! {
                () = ended.cancelled() => {}
                () = self.clock.sleep_until(wake) => {}
                () = self.clock.sleep(span) => {}
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.shortest_wait(), self.overdue.min(self.times.ethereum_slot() / 4))
    }

    fn shortest_wait(&self) -> Duration {
        (self.times.ethereum_slot() / 25).min(self.overdue)
    }

    /// When the next block is due, or a while from now when it is overdue.
    fn next_look(&self, wait: Duration) -> UnixTime {
        let now = self.clock.now();
        if self.keeper.as_ref().is_some_and(ClockKeeper::is_settling) {
            return now + wait;
        }
        let head = self.head.borrow().timestamp;
        let due = UnixTime::from(head) + self.times.ethereum_slot() + AFTER_DUE;
        // A head far behind or ahead of the clock says nothing about when the next one comes.
        if due > now && due.since(now) <= self.times.ethereum_slot() { due } else { now + wait }
    }

    fn keep_clock(&mut self, head: &L1HeadInfo, tolerance: Duration) {
        if let Some(keeper) = &mut self.keeper {
            keeper.see(head.timestamp, tolerance);
        }
    }
}

async fn read_head(client: &L1Client) -> Result<L1HeadInfo> {
    let block = client
        .within("eth_getBlockByNumber", client.provider().get_block_by_number(BlockNumberOrTag::Latest))
        .await?
        .unwrap_or_default();
    let header = block.header;
    Ok(L1HeadInfo {
        number: header.number,
        hash: header.hash,
        timestamp: L1Timestamp(header.timestamp),
        base_fee: header.base_fee_per_gas.unwrap_or_default().into(),
        blob_base_fee: None,
        excess_blob_gas: header.excess_blob_gas,
    })
}
