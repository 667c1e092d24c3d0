//! Warps: L1 time jumps while the sequencers stand still.

mod error;
mod sequencer;
mod warped;

use std::time::Duration;

use anyhow::anyhow;
use fermata_anvil::{L1Head, Warp};
use fermata_primitives::{Epoch, L1Timestamp, Slot};
use fermata_sequencer::verbs::{DrainOutcome, DrainReport};
use futures::future::join_all;

pub use self::error::WarpError;
pub use self::sequencer::{Activity, Sequencer, SharedSequencer};
pub(crate) use self::sequencer::{InProcess, OwnProcess};
pub use self::warped::{Drained, Warped};
use crate::Net;

/// When the sequencers that a warp stopped are started again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Restart {
    /// Before the warp answers.
    #[default]
    Now,
    /// When [`Warped::restart`] is called.
    Later,
}

/// How a warp is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WarpOptions {
    /// When the sequencers are started again.
    pub restart: Restart,
    /// How long all of them together may take to drain; a slot in flight ends with its L1 transaction in a block.
    pub drain_within: Duration,
}

impl Default for WarpOptions {
    fn default() -> Self {
        Self { restart: Restart::Now, drain_within: Duration::from_secs(30) }
    }
}

impl WarpOptions {
    /// A warp that leaves the sequencers stopped until [`Warped::restart`].
    #[must_use]
    pub fn restart_later() -> Self {
        Self { restart: Restart::Later, ..Self::default() }
    }
}

/// How long a sequencer may take to answer beyond the deadline it was given, and L1 to mine a block.
const PATIENCE: Duration = Duration::from_secs(10);

impl Net {
    /// Stops `sequencers` gracefully, all at once; mines one L1 block at `target`; moves every node's clock there in the same
    /// step; and starts the sequencers again, now or later.
    ///
    /// The target is absolute, and compared with L1's head once the sequencers stand: where L1 has reached or passed it,
    /// the warp is skipped, which is no error. Mining is paused meanwhile and goes on in phase. Readers, monitors and
    /// other nodes keep running, so what time brings about happens, also to the nodes that stand still. A sequencer that
    /// did not run is not started. Nodes that are processes of their own have seen the block when this returns.
    ///
    /// ```no_run
    /// # async fn story() -> anyhow::Result<()> {
    /// use fermata_e2e::{Net, WarpOptions};
    ///
    /// let net = Net::start().await?;
    /// let node = net.open_node("a").await?;
    /// node.start().await?;
    /// let in_an_hour = net.chain().l1_clock.head().timestamp.plus_secs(3600);
    /// let warped = net.warp_with_sequencers_stopped([node.sequencer()], in_an_hour, WarpOptions::restart_later()).await?;
    /// assert_eq!(net.chain().l1_clock.head().timestamp, in_an_hour);
    /// warped.restart().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`WarpError`]. Before [`WarpError::NotStopped`] nothing was stopped; after it, all that was stopped is started again.
    ///
    /// # Cancel safety
    /// Dropped: mining goes on, the sequencers may stay stopped, and L1 may have been warped.
    pub async fn warp_with_sequencers_stopped(
        &self,
        sequencers: impl IntoIterator<Item = SharedSequencer>,
        target: L1Timestamp,
        options: WarpOptions,
    ) -> Result<Warped, WarpError> {
        let _turn = self.warping.try_lock().map_err(|_| WarpError::UnderWay)?;
        let sequencers: Vec<_> = sequencers.into_iter().collect();
        let running = running(&sequencers).await?;
        let stopped = stop_all(&running, options.drain_within).await;
        let done = match stopped {
            Ok(drains) => self.jump(target, &sequencers).await.map(|l1| (l1, drains)),
            Err(error) => Err(error),
        };
        match (done, options.restart) {
            (Ok((l1, drains)), Restart::Later) => Ok(Warped { l1, drains, standing: running }),
            (Ok((l1, drains)), Restart::Now) => {
                start_all(running).await?;
                Ok(Warped { l1, drains, standing: Vec::new() })
            }
            (Err(error), Restart::Now | Restart::Later) => Err(start_after(error, running).await),
        }
    }

    /// [`Net::warp_with_sequencers_stopped`] to the start of a slot.
    ///
    /// # Errors
    /// As there.
    pub async fn warp_to_slot(
        &self,
        sequencers: impl IntoIterator<Item = SharedSequencer>,
        slot: Slot,
        options: WarpOptions,
    ) -> Result<Warped, WarpError> {
        self.warp_with_sequencers_stopped(sequencers, self.times().start_of(slot), options).await
    }

    /// [`Net::warp_with_sequencers_stopped`] to the start of an epoch.
    ///
    /// # Errors
    /// As there.
    pub async fn warp_to_epoch(
        &self,
        sequencers: impl IntoIterator<Item = SharedSequencer>,
        epoch: Epoch,
        options: WarpOptions,
    ) -> Result<Warped, WarpError> {
        self.warp_with_sequencers_stopped(sequencers, self.times().epoch_start(epoch), options).await
    }

    /// The jump itself, once everything stands.
    async fn jump(&self, target: L1Timestamp, sequencers: &[SharedSequencer]) -> Result<Warp, WarpError> {
        let silent = |_| WarpError::L1Silent(PATIENCE);
        let warp = tokio::time::timeout(PATIENCE, self.mine_at(target)).await.map_err(silent)??;
        if let Warp::Mined(head) = warp {
            all_follow(sequencers, head).await?;
        }
        Ok(warp)
    }

    /// Mines one block at `target` and moves the clocks there, while no other block can come.
    async fn mine_at(&self, target: L1Timestamp) -> Result<Warp, WarpError> {
        let l1_clock = &self.chain().l1_clock;
        let _paused = l1_clock.pause_interval().await;
        let warp = l1_clock.warp_to(target).await?;
        if let Warp::Mined(head) = warp {
            self.move_clocks(head.timestamp);
        }
        Ok(warp)
    }
}

/// Those that run. An error where one cannot take part.
async fn running(sequencers: &[SharedSequencer]) -> Result<Vec<SharedSequencer>, WarpError> {
    let mut running = Vec::new();
    for sequencer in sequencers {
        let told = tokio::time::timeout(PATIENCE, sequencer.activity()).await;
        let told = told.unwrap_or_else(|_| Err(anyhow!("it has not answered within {PATIENCE:?}")));
        let cannot = |source| WarpError::CannotTakePart { node: sequencer.name().to_owned(), source };
        match told.map_err(cannot)? {
            Activity::Running => running.push(SharedSequencer::clone(sequencer)),
            Activity::AtRest => {}
        }
    }
    Ok(running)
}

/// Stops all at once, and waits for all, also where one fails.
async fn stop_all(running: &[SharedSequencer], within: Duration) -> Result<Vec<Drained>, WarpError> {
    let stops = join_all(running.iter().map(|sequencer| stop(sequencer.as_ref(), within))).await;
    let drains = stops.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(drains.into_iter().flatten().collect())
}

async fn stop(sequencer: &dyn Sequencer, within: Duration) -> Result<Option<Drained>, WarpError> {
    let node = sequencer.name().to_owned();
    let failed = |source| WarpError::NotStopped { node: node.clone(), source };
    let silent = |_| failed(anyhow!("it has not answered {PATIENCE:?} after its deadline"));
    let answer = tokio::time::timeout(within + PATIENCE, sequencer.drain(within)).await.map_err(silent)?;
    let Some(report) = answer.map_err(failed)? else { return Ok(None) };
    match report.outcome {
        DrainOutcome::Drained if report.failures.is_empty() => Ok(Some(Drained { node, report })),
        DrainOutcome::Drained => Err(failed(anyhow!(report.failures.join("; ")))),
        DrainOutcome::Interrupted | DrainOutcome::Deadline => Err(not_drained(node, within, report)),
    }
}

fn not_drained(node: String, within: Duration, report: DrainReport) -> WarpError {
    WarpError::NotDrained { node, within, report: Box::new(report) }
}

async fn all_follow(sequencers: &[SharedSequencer], head: L1Head) -> Result<(), WarpError> {
    let follows = sequencers.iter().map(|sequencer| async move {
        let late = || anyhow!("it has not seen L1 block {} within {PATIENCE:?}", head.number);
        let followed = tokio::time::timeout(PATIENCE, sequencer.follow(head)).await;
        let not_following = |source| WarpError::NotFollowing { node: sequencer.name().to_owned(), source };
        followed.unwrap_or_else(|_| Err(late())).map_err(not_following)
    });
    join_all(follows).await.into_iter().collect()
}

/// Starts all at once, and waits for all, also where one fails.
async fn start_all(standing: Vec<SharedSequencer>) -> Result<(), WarpError> {
    let starts = join_all(standing.iter().map(|sequencer| sequencer.start())).await;
    let mut failed = standing.iter().zip(starts).filter_map(|(sequencer, start)| Some((sequencer, start.err()?)));
    let Some((first, source)) = failed.next() else { return Ok(()) };
    let nodes = std::iter::once(first).chain(failed.map(|(sequencer, _)| sequencer)).map(|s| s.name().to_owned());
    Err(WarpError::NotStarted { nodes: nodes.collect(), source })
}

/// The warp failed with `error`: starts what it stopped, and tells both where that fails too.
async fn start_after(error: WarpError, stopped: Vec<SharedSequencer>) -> WarpError {
    match start_all(stopped).await {
        Ok(()) => error,
        Err(WarpError::NotStarted { nodes, .. }) => WarpError::NotStarted { nodes, source: error.into() },
        Err(other) => other,
    }
}

#[cfg(test)]
mod tests;
