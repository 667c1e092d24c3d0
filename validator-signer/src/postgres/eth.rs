//! What the shared store is asked about Ethereum duties.

use std::sync::Arc;

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PostgresProtection;
use super::asking::TOO_SLOW;
use super::eth_rows::public_keys;
use super::link::Fault;
use super::request::{EthReserve, Request, Stage};
use crate::eth::EthAsked;
use crate::eth::judging::{EthJudgement, EthWanted};
use crate::{EthDuty, EthPublicKey, EthSafe, SignerError};

/// Why duties have no judgements.
enum Unjudged {
    Closed,
    Fault(Fault),
    TooSlow { ambiguous: bool },
}

impl PostgresProtection {
    /// Records an Ethereum duty durably and gives leave to sign `root` for it, whichever of the nodes that share the store
    /// asks. A root of zeros stands for one that is not known: it is recorded, and equals nothing afterwards.
    ///
    /// # Errors
    /// [`SignerError::EthNotSafe`] is final for this data; [`SignerError::Unavailable`]: ask again with the same data;
    /// [`SignerError::Closed`]; what an operator must see to.
    ///
    /// # Cancel safety
    /// Dropped before anything is sent: nothing is recorded. After that: the duty may be spent, for all but the same data.
    pub async fn reserve_eth(
        &self,
        public_key: EthPublicKey,
        duty: EthDuty,
        root: B256,
    ) -> Result<EthSafe, SignerError> {
        let mut answers = self.reserve_eth_many(public_key, &[(duty, root)]).await;
        answers.pop().unwrap_or(Err(SignerError::Closed))
    }

    /// Records many duties of a key in one durable transaction. Each has an answer of its own, in the order asked, and is
    /// judged after those before it.
    ///
    /// # Cancel safety
    /// As [`reserve_eth`](Self::reserve_eth), for each duty.
    pub async fn reserve_eth_many(
        &self,
        public_key: EthPublicKey,
        duties: &[(EthDuty, B256)],
    ) -> Vec<Result<EthSafe, SignerError>> {
        let asked = EthAsked::new(public_key, duties, &self.eth);
        match self.judge_eth(asked.wanted()).await {
            Ok(judgements) => {
                let mut judgements = judgements.into_iter();
                asked.answers(|| judgements.next().ok_or(SignerError::Closed))
            }
            Err(failure) => asked.answers(|| Err(self.unjudged(&failure))),
        }
    }

    /// Forgets blocks through `slot` and attestations through `target`, and refuses those from then on to each key that
    /// had any; key by key. Gives the number of records removed.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`] (some keys may be pruned), [`SignerError::Closed`]; what an operator must see to.
    ///
    /// # Cancel safety
    /// Dropped: what is pruned stays pruned.
    pub async fn prune_eth(&self, slot: Slot, target: Epoch) -> Result<u64, SignerError> {
        let mut removed = 0;
        for public_key in self.once(|settling| Box::pin(public_keys(settling.session))).await? {
            removed += self.once(move |settling| Box::pin(settling.prune_eth(public_key, (slot, target)))).await?;
        }
        Ok(removed)
    }

    /// Refuses these keys everything, durably and for ever, to all nodes: another store signs with them.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`] (they may be retired), [`SignerError::Closed`]; what an operator must see to.
    ///
    /// # Cancel safety
    /// Dropped: the keys are retired all the same.
    pub async fn retire_eth(&self, public_keys: &[EthPublicKey]) -> Result<(), SignerError> {
        let public_keys = public_keys.to_vec();
        self.insist(move |settling| Box::pin(settling.retire_eth(public_keys))).await
    }

    async fn judge_eth(&self, wanted: Vec<EthWanted>) -> Result<Vec<EthJudgement>, Unjudged> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let stage = Arc::new(Stage::default());
        let reserve = EthReserve { wanted, stage: Arc::clone(&stage), reply };
        let asked = async {
            self.queue.send(Request::ReserveEth(reserve)).await.map_err(|_| Unjudged::Closed)?;
            answer.await.map_err(|_| Unjudged::Closed)?.map_err(Unjudged::Fault)
        };
        let outcome = timeout(self.patience, asked).await;
        outcome.unwrap_or_else(|_| Err(Unjudged::TooSlow { ambiguous: !stage.withdraw() }))
    }

    fn unjudged(&self, failure: &Unjudged) -> SignerError {
        match failure {
            Unjudged::Closed => SignerError::Closed,
            Unjudged::Fault(fault) => fault.of_store(&self.name),
            Unjudged::TooSlow { ambiguous } => SignerError::Unavailable {
                server: self.name.clone(),
                ambiguous: *ambiguous,
                reason: TOO_SLOW.to_owned(),
            },
        }
    }
}
