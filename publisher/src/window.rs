//! When L1 can include what: the window of a request, and the wait for it.

use std::time::Duration;

use fermata_primitives::{L1Timestamp, UnixTime};
use tokio::sync::watch;

use crate::core::Core;
use crate::{Error, L1HeadInfo};

/// The heads one task has seen and not seen.
pub(crate) type Heads = watch::Receiver<L1HeadInfo>;

/// The L1 blocks a transaction may land in, by their timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    pub(crate) not_before: L1Timestamp,
    pub(crate) deadline: L1Timestamp,
}

/// An error with what is behind it.
pub(crate) fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// An L1 slot whose block is not there this long after it began is taken to have none: other nodes would not follow it.
pub(crate) const MISSED_AFTER: Duration = Duration::from_secs(8);

/// Waits until the next L1 block can lie in the window; `None` once it must lie behind.
///
/// # Cancel safety
/// Dropping it ends the wait.
pub(crate) async fn wait_for_window(core: &Core, heads: &mut Heads, window: Window) -> Option<L1HeadInfo> {
    loop {
        let head = *heads.borrow_and_update();
        let next = core.next_block_at(&head);
        if next >= window.deadline {
            return None;
        }
        if next >= window.not_before {
            return Some(head);
        }
        tokio::select! {
            () = next_head(heads) => {}
            () = until_missed(core, next, window) => return Some(head),
        }
    }
}

/// Resolves once the L1 slot that begins at `next` must have gone without a block, where the window opens right behind it.
/// One slot is missed now and then; a head that is further behind is a node that is, and says nothing about the next block.
/// Where slots are shorter than the wait, the next block tells sooner.
async fn until_missed(core: &Core, next: L1Timestamp, window: Window) {
    let slot = core.config.ethereum_slot;
    if slot > MISSED_AFTER && next.plus_secs(slot.as_secs()) >= window.not_before {
        core.clock.sleep_until(UnixTime::from(next) + MISSED_AFTER).await;
        if core.clock.now() < UnixTime::from(window.deadline) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Resolves at the next head; never, once the head has no watcher any more.
pub(crate) async fn next_head(heads: &mut Heads) {
    if heads.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves at the next head, or after `span`: L1 may be reachable again before it has a new block.
pub(crate) async fn pause(core: &Core, heads: &mut Heads, span: Duration) {
    tokio::select! {
        () = next_head(heads) => {}
        () = core.clock.sleep(span) => {}
    }
}
