//! How a run's parts are started and stopped, and what closing releases.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use alloy::primitives::{B256, U256};
use fermata_execution::Execution as _;
use fermata_primitives::crash_point;
use fermata_publisher::AccountBalance;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Held, InRun, Inner, funds};
use crate::catalogue::Reason;
use crate::engine::{Parts, Rest, Wish};
use crate::error::{Result, SequencerError};
use crate::l1::unless_interrupted;
use crate::listening::Listening;
use crate::poll_loop::{Tick, chain as error_chain};
use crate::pruning::Pruning;
use crate::requests_tracker::RequestsTracker;
use crate::roles::Role;
use crate::run::RunTokens;
use crate::slot::SlotTick;
use crate::verbs::{Head, HeadGap, PartsError, StartRequest};

impl Inner {
    /// Signer, then publisher (in-flight transactions reconciled), then the chain at what L1 says.
    async fn bring_up(&self, request: &StartRequest) -> Result<()> {
        let (workshop, roles) = (&self.workshop, self.config.roles);
        if !roles.has_a_start() {
            return Err(SequencerError::NotSequencer { roles });
        }
        if let Some(want) = request.at {
            self.synced_to(want, request.wait).await?;
        }
        workshop.signer.start()?;
        workshop.publisher.start().await?;
        if roles.has(Role::Sequencer) {
            self.funded().await?;
        }
        self.followed().await?;
        self.staked().await?;
        // The reader has gone on meanwhile.
        match request.at {
            Some(want) => self.synced_to(want, Duration::ZERO).await,
            None => Ok(()),
        }
    }

    /// Waits until `want` is the L2 head, no longer than `wait`. Not for a block at or below the head: the chain has passed it.
    /// One above may still become the head, as when the L1 transaction of a checkpoint that was cut lands.
    async fn synced_to(&self, want: B256, wait: Duration) -> Result<()> {
        let waited = self.clock.sleep(wait);
        futures::pin_mut!(waited);
        let mut tip = self.workshop.chain.tip();
        loop {
            tip.mark_unchanged();
            let have = self.head().await?;
            if have.hash == want {
                return Ok(());
            }
            let known = self.execution.block(want).await?;
            if known.is_some_and(|block| block.header().number <= have.number) {
                return Err(SequencerError::HeadMismatch { have, want });
            }
            tokio::select! {
                biased;
                () = &mut waited => return Err(SequencerError::HeadNotSynced { have, want }),
                _ = tip.changed() => {}
            }
        }
    }

    async fn head(&self) -> Result<Head> {
        let heads = self.workshop.chain.heads().await?;
        Ok(Head { number: heads.unsafe_head.number, hash: heads.unsafe_head.hash })
    }

    /// Waits until the chain has been at what L1 says once.
    async fn followed(&self) -> Result<()> {
        let mut tip = self.workshop.chain.tip();
        let followed = tip.wait_for(Option::is_some).map(|_| ());
        let patience = FOLLOW_PATIENCE;
        tokio::time::timeout(patience, followed)
            .await
            .map_err(|_| SequencerError::L1Timeout { what: "the rollup's tip", after: patience })
    }

    /// A node whose every publisher is empty would miss each of its slots; one that runs dry later is told so, and goes on
    /// when somebody sends to it.
    async fn funded(&self) -> Result<()> {
        let balances = funds::balances(self).await?;
        if balances.iter().any(|(_, balance)| !balance.is_zero()) {
            return Ok(());
        }
        let accounts = balances.into_iter().map(|(account, balance)| AccountBalance { account, balance }).collect();
        Err(fermata_publisher::Error::Unfunded { needed: U256::ONE, accounts }.into())
    }

    async fn staked(&self) -> Result<()> {
        let keys = self.workshop.signer.addresses();
        let has_committee = self.workshop.view.constants().committee_size > 0;
        if has_committee && self.workshop.view.staked(&keys).await? == 0 {
            return Err(SequencerError::NotStaked { keys: keys.len() });
        }
        Ok(())
    }

    /// One that hangs does not keep the others from stopping.
    async fn take_down(&self) {
        let in_run = self.in_run.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(InRun { listening, pruning }) = in_run {
            futures::join!(listening.end(), pruning.end());
        }
        let settled = async {
            if let Err(error) = self.workshop.chain.settle().await {
                tracing::error!(error = %error_chain(&error), "the L2 head is not where it belongs; the next L1 block moves it");
            }
        };
        futures::join!(self.workshop.publisher.stop(), self.workshop.signer.stop(), settled);
    }

    async fn release(&self) -> Vec<String> {
        self.background.end().await;
        let publisher = async {
            if let Err(error) = self.workshop.publisher.close().await {
                tracing::error!(error = %error_chain(&error), "the publisher's store was not closed");
            }
        };
        let prover = async {
            let Some(prover) = &self.prover else { return };
            if let Err(error) = prover.publisher().close().await {
                tracing::error!(error = %error_chain(&error), "the prover's store was not closed");
            }
        };
        let execution = async {
            if let Err(error) = self.execution.close().await {
                tracing::error!(error = %error_chain(&error), "the execution store was not closed");
            }
        };
        futures::join!(publisher, prover, self.workshop.signer.close(), execution, self.store.close());
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Held { data_dir, endpoint, socket }) = held {
            crash_point!("sequencer.after_stores_closed");
            drop((endpoint, socket));
            crash_point!("data_dir.after_endpoint_removed");
            data_dir.close();
        }
        let prover = self.prover.as_ref().map(|_| "prover");
        let all = ["publisher", "signer", "execution", "node", "data directory"];
        prover.into_iter().chain(all).map(str::to_owned).collect()
    }
}

/// How long a start waits for the first look at the rollup's tip; rebuilding a long chain from L1 takes its time.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(600);

/// The parts of a node, as the engine knows them.
#[derive(Debug)]
pub(super) struct NodeParts(pub(super) Arc<Inner>);

impl Parts for NodeParts {
    fn start(
        &self,
        tokens: RunTokens,
        request: StartRequest,
    ) -> BoxFuture<'_, std::result::Result<Arc<dyn Tick>, PartsError>> {
        async move {
            unless_interrupted(&tokens.interrupt, self.0.bring_up(&request))
                .await
                .map_err(|error| parts_error(&error))?;
            let in_run = InRun {
                listening: Listening::begin(&self.0.workshop, &tokens.interrupt),
                pruning: Pruning::begin(&self.0.pruner, self.0.head.clone(), &tokens.interrupt),
            };
            *self.0.in_run.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_run);
            Ok(Arc::new(SlotTick::new(Arc::clone(&self.0.workshop))) as Arc<dyn Tick>)
        }
        .boxed()
    }

    fn see_through(&self, requests: &RequestsTracker) {
        if let Some(in_run) = &*self.0.in_run.lock().unwrap_or_else(PoisonError::into_inner) {
            in_run.listening.see_through(requests);
        }
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.0.take_down().boxed()
    }

    fn rest(&self) -> BoxFuture<'_, std::result::Result<Rest, PartsError>> {
        async {
            let head = self.0.head().await.map_err(|error| parts_error(&error))?;
            Ok(Rest { head, last_checkpoint: self.0.workshop.last_landed.borrow().clone() })
        }
        .boxed()
    }

    fn record(&self, wish: Wish) -> BoxFuture<'_, std::result::Result<(), PartsError>> {
        async move {
            let recorded = self.0.store.record_wish(wish).await;
            recorded.map_err(|error| PartsError::new(Reason::NotRecorded, error_chain(&error)))
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Vec<String>> {
        self.0.release().boxed()
    }
}

fn parts_error(error: &SequencerError) -> PartsError {
    if let SequencerError::HeadMismatch { have, want } = *error {
        return PartsError::elsewhere(have, want);
    }
    let mut of_parts = PartsError::new(error.reason(), error_chain(error));
    if let SequencerError::HeadNotSynced { have, want } = *error {
        of_parts.heads = Some(HeadGap { have, want });
    }
    of_parts
}
