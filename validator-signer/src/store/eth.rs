//! What the store is asked about Ethereum duties.

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};
use tokio::sync::oneshot;

use super::SlashingProtection;
use super::writer::{EthReserve, Request};
use crate::eth::EthAsked;
use crate::eth::judging::{EthJudgement, EthWanted};
use crate::{EthDuty, EthPublicKey, EthSafe, SignerError};

impl SlashingProtection {
    /// Records an Ethereum duty durably and gives leave to sign `root` for it. A root of zeros stands for one that is
    /// not known: it is recorded, and equals nothing afterwards.
    ///
    /// # Errors
    /// [`SignerError::EthNotSafe`] is final for this data; [`SignerError::NoSpace`] recorded nothing;
    /// [`SignerError::StoreFailed`] and [`SignerError::Closed`] refuse all.
    ///
    /// # Cancel safety
    /// Dropped before its transaction begins: nothing is recorded. After that: the duty is spent, for all but the same
    /// data.
    pub async fn reserve_eth(
        &self,
        public_key: EthPublicKey,
        duty: EthDuty,
        root: B256,
    ) -> Result<EthSafe, SignerError> {
        self.reserve_eth_many(public_key, &[(duty, root)]).await.pop().unwrap_or_else(|| Err(self.thread_ended()))
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
        let mut judged = match self.judge_eth(asked.wanted()).await {
            Ok(judged) => judged.into_iter(),
            Err(_) => Vec::new().into_iter(),
        };
        asked.answers(|| judged.next().unwrap_or_else(|| Err(self.gone())))
    }

    /// Forgets blocks through `slot` and attestations through `target`, and refuses those from then on to each key that
    /// had any. Gives the number of records removed.
    ///
    /// # Errors
    /// [`SignerError::NoSpace`], [`SignerError::StoreFailed`], [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped: the pruning goes on.
    pub async fn prune_eth(&self, slot: Slot, target: Epoch) -> Result<u64, SignerError> {
        self.on_ledger(move |ledger| ledger.prune_eth((slot, target))).await
    }

    /// Refuses these keys everything, durably and for ever: another store signs with them.
    ///
    /// # Errors
    /// As [`prune_eth`](Self::prune_eth).
    ///
    /// # Cancel safety
    /// Dropped: the keys are retired all the same.
    pub async fn retire_eth(&self, public_keys: &[EthPublicKey]) -> Result<(), SignerError> {
        let public_keys = public_keys.to_vec();
        self.on_ledger(move |ledger| ledger.retire_eth(&public_keys)).await
    }

    async fn judge_eth(&self, wanted: Vec<EthWanted>) -> Result<Vec<Result<EthJudgement, SignerError>>, SignerError> {
        let (reply, answers) = oneshot::channel();
        let reserve = EthReserve { wanted, policy: self.eth.policy, reply };
        self.queue.send(Request::ReserveEth(reserve)).await.map_err(|_| SignerError::Closed)?;
        answers.await.map_err(|_| self.thread_ended())
    }
}
