//! Batches of Ethereum duties, served: tried for as long as anybody waits for them.

use futures::future::join_all;
use tokio::time::timeout;
use tracing::{debug, error};

use super::eth_ledger::EthTry;
use super::link::Trouble;
use super::owner::Owner;
use super::request::EthReserve;
use super::serving::retries;
use crate::eth::judging::{EthJudgement, EthWanted};

impl Owner {
    /// Settles a batch, and tries again while anybody waits for it. It stays whole until then: only the same duties tell
    /// whether an earlier try was committed.
    pub(super) async fn serve_eth(&mut self, mut batch: Vec<EthReserve>) {
        // Whoever stopped waiting before the first try has nothing recorded.
        batch.retain(|reserve| !reserve.reply.is_closed() && reserve.stage.send());
        let wanted: Vec<EthWanted> = batch.iter().flat_map(|reserve| reserve.wanted.iter().copied()).collect();
        let (mut backoff, mut tried) = (retries(), None);
        while batch.iter().any(|reserve| !reserve.reply.is_closed()) {
            match self.settle_eth(&wanted, &mut tried).await {
                Ok(judgements) => return answer(batch, &judgements),
                Err(Trouble::Lasting(fault)) => {
                    let failure = fault.of_store(&self.link.name);
                    error!(%failure, "the signing database is not to be used; nothing is signed");
                    for EthReserve { reply, .. } in batch {
                        let _ = reply.send(Err(fault.clone()));
                    }
                    return;
                }
                Err(Trouble::Passing(reason)) => {
                    debug!(store = %self.link.name, %reason, "the signing database did not answer");
                }
            }
            // Ends early when nobody waits any more.
            let left = join_all(batch.iter_mut().map(|reserve| reserve.reply.closed()));
            let _ = timeout(backoff.wait(), left).await;
        }
    }

    /// One try.
    async fn settle_eth(
        &mut self,
        wanted: &[EthWanted],
        tried: &mut Option<EthTry>,
    ) -> Result<Vec<EthJudgement>, Trouble> {
        let (patience, policy) = (self.patience, self.eth_policy);
        let mut settling = self.settling().await?;
        let outcome = timeout(patience, settling.settle_eth(wanted, policy, tried)).await;
        self.outcome(outcome)
    }
}

/// Gives each caller of a batch its judgements.
fn answer(batch: Vec<EthReserve>, judgements: &[EthJudgement]) {
    let mut judgements = judgements.iter().copied();
    for EthReserve { wanted, reply, .. } in batch {
        // Nobody may be waiting any more; the duties stay on record.
        let _ = reply.send(Ok(judgements.by_ref().take(wanted.len()).collect()));
    }
}
