//! The prover's role: has each epoch proven that is over, and submits the proof before the contract prunes the epoch.
//!
//! ```text
//! L1 head -> EpochSpan (over, not proven) -> EpochToProve -> ProofSource -> EpochProofSubmission -> L1Request -> proven
//! ```
//!
//! It outlives every run: stopping the sequencer does not stop it, closing the node does. So it sends from an account of its
//! own, through a publisher manager of its own. What is proven is read from the contract each time; nothing is kept of it
//! but the records of the transactions that are in flight.

mod epoch;
mod mock;
mod progress;
mod proofs;
mod service;
mod submission;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use fermata_primitives::{Backoff, L1Timestamp, SharedClock};
use fermata_publisher::{L1HeadInfo, PublisherManager};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use epoch::{EpochSpan, EpochToProve, Frontier};
pub use mock::MockProofs;
pub use progress::{ProvenEpoch, ProverProgress};
pub use proofs::ProofSource;
pub use service::{ProofAnswer, ProofRequest, ProverService};

use self::submission::Submitted;
use crate::error::{Result, SequencerError};
use crate::events::{Events, SequencerEvent};
use crate::l1::HeadReceiver;
use crate::poll_loop::chain as error_chain;

/// What a prover is made from.
#[derive(Debug)]
pub struct ProverParts {
    /// What waits are measured on.
    pub clock: SharedClock,
    /// What the contract says of its epochs.
    pub frontier: Frontier,
    /// L1's head: it is looked at each.
    pub head: HeadReceiver,
    /// Sends the proofs; nobody else sends with it.
    pub publisher: Arc<PublisherManager>,
    /// One of its accounts: who simulated calls come from.
    pub account: Address,
    /// Makes the proofs.
    pub source: Arc<dyn ProofSource>,
    /// How often a proof that is being made is asked for.
    pub poll_interval: Duration,
    /// Tells what happens.
    pub events: Events,
}

/// Has epochs proven, from the node's opening to its closing.
#[derive(Debug)]
pub struct Prover {
    parts: ProverParts,
    progress: watch::Sender<ProverProgress>,
}

/// What comes after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// Nothing can have changed before L1 has a new block.
    AtNextHead,
    /// The proof is being made.
    AskAgain,
}

/// What one step leaves to the next.
#[derive(Debug, Default)]
struct Desk {
    /// The epoch that was gathered last: while it is the one to prove, it is not gathered again.
    epoch: Option<EpochToProve>,
    /// The L1 block that holds our newest proof: a head below it does not know of it yet.
    landed_in: u64,
    /// How often a proof of the epoch has landed and was taken back by L1.
    taken_back: u32,
}

impl Prover {
    /// Waits at the longest this long after a failure.
    const LONGEST_WAIT: Duration = Duration::from_secs(30);

    /// A prover that does nothing yet.
    #[must_use]
    pub fn new(parts: ProverParts) -> Self {
        Self { parts, progress: watch::Sender::default() }
    }

    /// What it is at.
    #[must_use]
    pub fn progress(&self) -> ProverProgress {
        self.progress.borrow().clone()
    }

    /// Who makes the proofs, in words.
    #[must_use]
    pub fn proofs(&self) -> String {
        self.parts.source.describe()
    }

    /// Who gets the rewards.
    #[must_use]
    pub const fn id(&self) -> Address {
        self.parts.frontier.prover_id()
    }

    /// Sends the proofs.
    #[must_use]
    pub const fn publisher(&self) -> &Arc<PublisherManager> {
        &self.parts.publisher
    }

    /// Proves until `ended` is cancelled. What is in flight then stays as it is, and the next start reconciles it.
    pub async fn run(self: Arc<Self>, ended: CancellationToken) {
        let mut head = self.parts.head.clone();
        let mut desk = Desk::default();
        let mut backoff = Backoff::new(Duration::from_millis(500), Self::LONGEST_WAIT);
        while !ended.is_cancelled() {
            let seen = *head.borrow_and_update();
            let Some(step) = ended.run_until_cancelled(self.step(seen, &mut desk, &ended)).await else { break };
            let wait = match step {
                Ok(next) => {
                    backoff.reset();
                    self.progress.send_if_modified(ProverProgress::recover);
                    (next == Next::AskAgain).then_some(self.parts.poll_interval)
                }
                Err(error) => {
                    self.tell_failure(&error);
                    Some(backoff.wait())
                }
            };
            let _ = ended.run_until_cancelled(self.pause(&mut head, wait)).await;
        }
        self.parts.publisher.stop().await;
    }

    /// For this long, or until L1 has a new block.
    async fn pause(&self, head: &mut HeadReceiver, wait: Option<Duration>) {
        let changed = match wait {
            Some(wait) => {
                self.parts.clock.sleep(wait).await;
                return;
            }
            None => head.changed().await,
        };
        if changed.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Looks for an epoch to prove and goes as far with it as can be gone now.
    ///
    /// # Cancel safety
    /// Dropped, what was sent is still followed by the publisher manager until that is stopped.
    async fn step(&self, head: L1HeadInfo, desk: &mut Desk, ended: &CancellationToken) -> Result<Next> {
        self.parts.publisher.start().await?;
        if head.number < desk.landed_in {
            return Ok(Next::AtNextHead);
        }
        let Some(span) = self.parts.frontier.unproven(&head).await? else {
            self.progress.send_modify(ProverProgress::rest);
            return Ok(Next::AtNextHead);
        };
        self.progress.send_modify(|progress| progress.work_on(span));
        if span.is_out_of_time(self.next_block_at(&head)) {
            return Err(SequencerError::ProofTooLate { epoch: span.epoch, deadline: span.deadline });
        }
        if desk.epoch.as_ref().is_none_or(|epoch| epoch.span != span) {
            *desk = Desk { epoch: Some(self.parts.frontier.gather(span, &head).await?), ..Desk::default() };
        }
        let Some(epoch) = &desk.epoch else { return Ok(Next::AtNextHead) };
        let Some(proof) = self.parts.source.proof_of(epoch).await? else { return Ok(Next::AskAgain) };
        match self.submit(epoch, proof, desk.taken_back, ended).await? {
            Submitted::Proven(mined) => {
                desk.landed_in = mined.block_number;
                self.tell_proven(span, mined.tx_hash);
            }
            Submitted::InFlight => {}
            Submitted::Landed(in_block) if in_block > head.number => desk.landed_in = in_block,
            Submitted::Landed(_) => desk.taken_back += 1,
        }
        Ok(Next::AtNextHead)
    }

    /// The earliest timestamp the next L1 block can have.
    fn next_block_at(&self, head: &L1HeadInfo) -> L1Timestamp {
        head.timestamp.plus_secs(self.parts.frontier.times().ethereum_slot().as_secs())
    }

    fn tell_proven(&self, span: EpochSpan, l1_tx: alloy::primitives::B256) {
        let EpochSpan { epoch, from, to, .. } = span;
        tracing::info!(epoch = epoch.0, from = from.0, to = to.0, %l1_tx, "epoch proven");
        self.progress.send_modify(|progress| progress.proven(ProvenEpoch { epoch, from, to, l1_tx }));
        self.parts.events.emit(SequencerEvent::EpochProven { epoch, from, to, l1_tx });
    }

    /// Tells what went wrong, once: an epoch is tried again and again.
    fn tell_failure(&self, error: &SequencerError) {
        let reason = error_chain(error);
        let working_on = self.progress.borrow().epoch;
        if !self.progress.send_if_modified(|progress| progress.fail(&reason)) {
            return;
        }
        tracing::warn!(error = reason, epoch = working_on.map(|span| span.epoch.0), "no epoch could be proven");
        if let Some(EpochSpan { epoch, from, to, .. }) = working_on {
            self.parts.events.emit(SequencerEvent::EpochProofFailed { epoch, from, to, reason });
        }
    }
}
