//! How a run's parts are started and stopped, and what closing releases.

use std::sync::{Arc, PoisonError};

use alloy::primitives::U256;
use alloy::providers::Provider;
use fermata_publisher::AccountBalance;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Held, Inner};
use crate::catalogue::Reason;
use crate::engine::{Parts, Wish};
use crate::error::{Result, SequencerError};
use crate::l1::unless_interrupted;
use crate::poll_loop::{Tick, chain as error_chain};
use crate::run::RunTokens;
use crate::slot::SlotTick;
use crate::verbs::{Head, LandedCheckpoint, PartsError};

impl Inner {
    /// Signer, then publisher (in-flight transactions reconciled), then the chain at what L1 says.
    async fn bring_up(&self, tokens: &RunTokens) -> Result<()> {
        let workshop = &self.workshop;
        workshop.signer.start()?;
        unless_interrupted(&tokens.interrupt, async { Ok(workshop.publisher.start().await?) }).await?;
        unless_interrupted(&tokens.interrupt, self.funded()).await?;
        unless_interrupted(&tokens.interrupt, self.followed()).await?;
        unless_interrupted(&tokens.interrupt, self.staked()).await
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
        let client = self.workshop.view.client();
        let mut accounts = Vec::new();
        for account in self.workshop.publisher.status().await?.accounts {
            let balance = client.within("eth_getBalance", client.provider().get_balance(account.address)).await?;
            accounts.push(AccountBalance { account: account.address, balance });
        }
        if accounts.iter().any(|account| !account.balance.is_zero()) {
            return Ok(());
        }
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

    async fn take_down(&self) {
        self.workshop.publisher.stop().await;
        self.workshop.signer.stop().await;
    }

    async fn release(&self) -> Vec<String> {
        self.background.end().await;
        if let Err(error) = self.workshop.publisher.close().await {
            tracing::error!(error = %error_chain(&error), "the publisher's store was not closed");
        }
        self.workshop.signer.close().await;
        if let Err(error) = self.execution.close().await {
            tracing::error!(error = %error_chain(&error), "the execution store was not closed");
        }
        self.store.close().await;
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Held { data_dir, endpoint }) = held {
            drop(endpoint);
            data_dir.close();
        }
        ["publisher", "signer", "execution", "node", "data directory"].map(str::to_owned).to_vec()
    }
}

/// How long a start waits for the first look at the rollup's tip; rebuilding a long chain from L1 takes its time.
const FOLLOW_PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// The parts of a node, as the engine knows them.
#[derive(Debug)]
pub(super) struct NodeParts(pub(super) Arc<Inner>);

impl Parts for NodeParts {
    fn start(&self, tokens: RunTokens) -> BoxFuture<'_, std::result::Result<Arc<dyn Tick>, PartsError>> {
        async move {
            match self.0.bring_up(&tokens).await {
                Ok(()) => Ok(Arc::new(SlotTick::new(Arc::clone(&self.0.workshop))) as Arc<dyn Tick>),
                Err(error) => {
                    self.0.take_down().await;
                    Err(parts_error(&error))
                }
            }
        }
        .boxed()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.0.take_down().boxed()
    }

    fn rest(&self) -> BoxFuture<'_, (Head, Option<LandedCheckpoint>)> {
        async {
            let heads = self.0.workshop.chain.heads().await.unwrap_or_default();
            let head = Head { number: heads.unsafe_head.number, hash: heads.unsafe_head.hash };
            (head, self.0.workshop.last_landed.borrow().clone())
        }
        .boxed()
    }

    fn record(&self, wish: Wish) -> BoxFuture<'_, std::result::Result<(), PartsError>> {
        async move {
            let recorded = self.0.store.record_wish(wish).await;
            recorded.map_err(|error| PartsError { reason: Reason::NotRecorded.word(), message: error_chain(&error) })
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Vec<String>> {
        self.0.release().boxed()
    }
}

fn parts_error(error: &SequencerError) -> PartsError {
    PartsError { reason: error.reason().word(), message: error_chain(error) }
}
