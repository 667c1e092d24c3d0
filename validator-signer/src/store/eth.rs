//! What the store is asked about Ethereum duties.

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};
use tokio::sync::oneshot;

use super::eth_ledger::{EthJudgement, EthWanted};
use super::writer::{EthReserve, Request};
use super::{FarFutureGuard, SlashingProtection};
use crate::eth::rules::{EthVerdict, check_not_ahead};
use crate::{EthDuty, EthNotSafe, EthPermit, EthPolicy, EthPublicKey, EthReason, EthSafe, SignerError};

/// How a store treats Ethereum duties.
#[derive(Clone, Default, Debug)]
pub struct EthOptions {
    /// How much of what was signed is kept.
    pub policy: EthPolicy,
    /// Refuses slots that lie too far ahead, and targets of epochs that begin after them; `None` refuses none. Its time
    /// model is Ethereum's.
    pub far_future: Option<FarFutureGuard>,
}

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
        let not_safe = |duty, reason| SignerError::from(EthNotSafe { public_key, duty, reason });
        let ahead: Vec<_> = duties.iter().map(|&(duty, _)| self.check_eth_time(duty)).collect();
        let wanted = duties.iter().zip(&ahead).filter(|(_, ahead)| ahead.is_ok());
        let wanted = wanted.map(|(&(duty, root), _)| EthWanted { public_key, duty, root }).collect();
        let mut judged = match self.judge_eth(wanted).await {
            Ok(judged) => judged.into_iter(),
            Err(_) => Vec::new().into_iter(),
        };
        let answers = duties.iter().zip(ahead).map(|(&(duty, root), ahead)| {
            ahead.map_err(|reason| not_safe(duty, reason))?;
            let judgement = judged.next().unwrap_or_else(|| Err(self.gone()))?;
            let permit = || EthPermit::after_commit(public_key, duty, root);
            match judgement {
                Ok(EthVerdict::Record) => Ok(EthSafe::New(permit())),
                Ok(EthVerdict::SameData) => Ok(EthSafe::SameData(permit())),
                Err(reason) => Err(not_safe(duty, reason)),
            }
        });
        answers.collect()
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

    fn check_eth_time(&self, duty: EthDuty) -> Result<(), EthReason> {
        let Some(guard) = &self.eth.far_future else { return Ok(()) };
        let current = guard.times.slot_at_time(guard.clock.now());
        let latest = Slot(current.0.saturating_add(guard.slots_ahead));
        match duty {
            EthDuty::Block(block) => check_not_ahead(block.slot.0, latest.0, current),
            EthDuty::Attestation(vote) => check_not_ahead(vote.target.0, guard.times.epoch_of(latest).0, current),
        }
    }
}
