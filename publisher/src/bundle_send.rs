//! A bundle on its way: entries that would revert are taken out, and what is left goes as one request.

use std::time::Duration;

use alloy::primitives::Bytes;
use fermata_primitives::{Backoff, L1Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bundle_simulation::{Setting, Simulated, capped, simulate};
use crate::core::Core;
use crate::front::prepared;
use crate::simulate::MAX_TX_GAS;
use crate::window::{Window, pause, wait_for_window, with_cause};
use crate::{
    Bundle, BundleEntry, BundleOutcome, EntryOutcome, Error, InvalidRequest, L1Request, MinedTx, Outcome,
    PublisherManager, RejectReason, RequestBlobs,
};

impl PublisherManager {
    /// Sends the entries of `bundle` in one transaction, and answers how each ended. In its window it is simulated at the
    /// first and the last block it can land in; an entry that would revert is left out, and the rest simulated again.
    /// Where the node cannot simulate, all go, and each may fail by itself. While it fails to, nothing goes.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Closed`], [`Error::Unfunded`], [`Error::NoMulticall`], and what the store answers.
    /// Nothing was sent then.
    ///
    /// # Cancel safety
    /// As for [`PublisherManager::send`] once it is sent; dropped before, nothing is.
    pub async fn send_bundle(&self, bundle: Bundle, interrupt: CancellationToken) -> Result<BundleOutcome, Error> {
        let mut draft = Draft::new(bundle);
        if let Err(invalid) = draft.bundle.validate() {
            return Ok(draft.end(Outcome::Rejected { reason: invalid.into() }));
        }
        loop {
            let ready = tokio::select! {
                biased;
                () = interrupt.cancelled() => Ready::Ended(Box::new(Outcome::Interrupted { sent: None })),
                ready = self.ready(&mut draft) => ready?,
            };
            let outcome = match ready {
                Ready::Send(request) => self.send(*request, interrupt.clone()).await?,
                Ready::Ended(outcome) => *outcome,
                Ready::Nothing => return Ok(draft.close(None)),
            };
            if !draft.take_out_duplicate(&outcome) {
                return Ok(draft.end(outcome));
            }
        }
    }

    /// Resolves once the next L1 block can lie in the window from `not_before` to `deadline`, or must lie behind it.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Closed`], [`Error::Interrupted`] by a stop.
    ///
    /// # Cancel safety
    /// Dropping it ends the wait.
    pub async fn until_window(&self, not_before: L1Timestamp, deadline: L1Timestamp) -> Result<(), Error> {
        let run = self.run()?;
        let mut heads = run.core.heads.clone();
        let window = Window { not_before, deadline };
        tokio::select! {
            biased;
            () = run.stopped.cancelled() => Err(Error::Interrupted),
            _ = wait_for_window(&run.core, &mut heads, window) => Ok(()),
        }
    }

    async fn ready(&self, draft: &mut Draft) -> Result<Ready, Error> {
        let run = self.run()?;
        let setting = Setting { from: self.first_account(), assumed: draft.bundle.assumed.clone() };
        tokio::select! {
            biased;
            () = run.stopped.cancelled() => Ok(Ready::Ended(Box::new(Outcome::Interrupted { sent: None }))),
            ready = draft.until_ready(&run.core, &setting) => ready,
        }
    }
}

/// What is to be done with a bundle now.
enum Ready {
    /// What is left of it does what it is meant to.
    Send(Box<L1Request>),
    /// It ended before it was sent.
    Ended(Box<Outcome>),
    /// No entry is left.
    Nothing,
}

/// A bundle, and the ends of those of its entries that were taken out.
struct Draft {
    bundle: Bundle,
    ends: Vec<Option<EntryOutcome>>,
}

impl Draft {
    fn new(bundle: Bundle) -> Self {
        let ends = bundle.entries.iter().map(|_| None).collect();
        Self { bundle, ends }
    }

    /// Indices of the entries that are left.
    fn left(&self) -> Vec<usize> {
        (0..self.ends.len()).filter(|index| self.ends[*index].is_none()).collect()
    }

    fn entries_left(&self) -> Vec<&BundleEntry> {
        self.left().into_iter().map(|index| &self.bundle.entries[index]).collect()
    }

    /// Waits for the window, and takes out what would revert in it, one entry at a time: each changes what the others do.
    async fn until_ready(&mut self, core: &Core, setting: &Setting) -> Result<Ready, Error> {
        if let Err(invalid) = self.prepare_blobs(core).await? {
            return Ok(Ready::Ended(Box::new(Outcome::Rejected { reason: invalid.into() })));
        }
        let mut heads = core.heads.clone();
        let mut backoff = Backoff::new(Duration::from_millis(100), core.config.ethereum_slot);
        let mut failure = None;
        while !self.entries_left().is_empty() {
            let Some(head) = wait_for_window(core, &mut heads, self.window()).await else {
                return Ok(Ready::Ended(Box::new(too_late(failure))));
            };
            let request = self.bundle.request_of(&self.entries_left());
            match simulate(core, &request, setting, &head).await {
                Ok(Simulated::Clean { gas }) => return Ok(self.send_with(request, gas)),
                Ok(Simulated::Unsupported) => {
                    warn!(label = request.label, "L1 does not simulate: the bundle goes unseen");
                    return Ok(self.send_with(request, MAX_TX_GAS));
                }
                Ok(Simulated::Reverts { index, data }) => self.drop_reverting(index, data),
                Err(error) if error.is_of_l1() => {
                    warn!(label = request.label, error = with_cause(&error), "the bundle could not be simulated");
                    failure = Some(RejectReason::L1Unusable { message: with_cause(&error) });
                    pause(core, &mut heads, backoff.wait()).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ready::Nothing)
    }

    fn window(&self) -> Window {
        Window { not_before: self.bundle.not_before, deadline: self.bundle.deadline }
    }

    fn send_with(&self, request: L1Request, gas: u64) -> Ready {
        let unsimulated: u64 = self.entries_left().iter().map(|entry| entry.unsimulated_gas).sum();
        Ready::Send(Box::new(L1Request { gas_limit: Some(capped(gas.saturating_add(unsimulated))), ..request }))
    }

    /// Makes the proofs that are missing, once for all simulations and the send.
    async fn prepare_blobs(&mut self, core: &Core) -> Result<Result<(), InvalidRequest>, Error> {
        for entry in &mut self.bundle.entries {
            match prepared(core, &entry.blobs).await {
                Ok(blobs) => entry.blobs = blobs.map_or(RequestBlobs::None, RequestBlobs::Prepared),
                Err(Error::Blob(why)) => return Ok(Err(InvalidRequest::Blob(why))),
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(()))
    }

    /// `index` counts the entries that are left.
    fn drop_reverting(&mut self, index: usize, revert_data: Bytes) {
        let Some(entry) = self.left().get(index).copied() else { return };
        info!(bundle = self.bundle.label, entry = self.bundle.entries[entry].label, %revert_data, "would revert: left out");
        self.ends[entry] = Some(EntryOutcome::Dropped { revert_data });
    }

    /// Takes out the entry because of which the bundle was refused; false when it ended otherwise.
    fn take_out_duplicate(&mut self, outcome: &Outcome) -> bool {
        let Outcome::Rejected { reason } = outcome else { return false };
        let RejectReason::Duplicate { dedup_key, .. } = reason else { return false };
        let of_key = |index: &usize| self.bundle.entries[*index].dedup_key.as_ref() == Some(dedup_key);
        let Some(entry) = self.left().into_iter().find(of_key) else { return false };
        self.ends[entry] = Some(EntryOutcome::Rejected { reason: reason.clone() });
        true
    }

    /// Gives every entry that is left the end of their transaction.
    fn end(mut self, outcome: Outcome) -> BundleOutcome {
        for (number, entry) in self.left().into_iter().enumerate() {
            self.ends[entry] = Some(EntryOutcome::of(&outcome, number));
        }
        let mined = if let Outcome::Mined(mined) = outcome { Some(mined) } else { None };
        self.close(mined)
    }

    /// Every entry has its end.
    fn close(self, mined: Option<MinedTx>) -> BundleOutcome {
        BundleOutcome { mined, entries: self.ends.into_iter().flatten().collect() }
    }
}

impl EntryOutcome {
    /// The end of entry `number` of a transaction that ended in `outcome`.
    fn of(outcome: &Outcome, number: usize) -> Self {
        match outcome {
            Outcome::Mined(tx) => match tx.entries.get(number) {
                Some(entry) if entry.succeeded => Self::Succeeded,
                entry => {
                    let own = entry.and_then(|entry| entry.revert_data.clone());
                    Self::Failed { revert_data: own.or_else(|| tx.revert_data.clone()) }
                }
            },
            Outcome::Expired => Self::Expired,
            Outcome::Interrupted { sent: None } => Self::NotSent,
            Outcome::Interrupted { sent: Some(tx_hash) } => Self::InFlight { tx_hash: *tx_hash },
            Outcome::Rejected { reason } => Self::Rejected { reason: reason.clone() },
        }
    }
}

/// The window passed: what stood in the way, or nobody asked in time.
fn too_late(failure: Option<RejectReason>) -> Outcome {
    failure.map_or(Outcome::Expired, |reason| Outcome::Rejected { reason })
}
