//! The transactions that proposed the checkpoints on L1.

use alloy::consensus::Transaction as _;
use alloy::primitives::{B256, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log, Transaction};
use alloy::sol_types::SolEvent;
use fermata_primitives::CheckpointNumber;
use fermata_rollup::contracts::IRollup::CheckpointProposed;
use fermata_rollup::{Propose, decode_proposes};

use super::{CheckpointMark, RollupView};
use crate::error::{Result, SequencerError};

/// Finds the transactions that proposed checkpoints, by the contract's events.
#[derive(Clone, Debug)]
pub struct Proposals {
    view: RollupView,
    from_block: u64,
}

impl Proposals {
    /// Looks from L1 block `from_block` on, in which the rollup was deployed.
    #[must_use]
    pub const fn new(view: RollupView, from_block: u64) -> Self {
        Self { view, from_block }
    }

    /// The event of the checkpoint's proposal. The same checkpoint may have been proposed, pruned and proposed again: the
    /// last counts.
    ///
    /// # Errors
    /// L1 did not answer; [`SequencerError::BadCheckpoint`] where it has no such event.
    pub async fn event_of(&self, number: CheckpointNumber, archive: B256) -> Result<Log> {
        self.events_of(number, archive).await?.pop().ok_or_else(|| bad(number, NO_EVENT.into()))
    }

    async fn events_of(&self, number: CheckpointNumber, archive: B256) -> Result<Vec<Log>> {
        let filter = Filter::new()
            .address(self.view.address())
            .event_signature(CheckpointProposed::SIGNATURE_HASH)
            .topic1(B256::from(U256::from(number.0)))
            .topic2(archive)
            .from_block(self.from_block);
        let client = self.view.client();
        client.within("eth_getLogs", client.provider().get_logs(&filter)).await
    }

    /// The transaction that emitted the event.
    ///
    /// # Errors
    /// L1 did not answer, or does not know the transaction.
    pub async fn transaction_of(&self, number: CheckpointNumber, event: &Log) -> Result<Transaction> {
        let client = self.view.client();
        let hash = event.transaction_hash.unwrap_or_default();
        let call = client.provider().get_transaction_by_hash(hash);
        let transaction = client.within("eth_getTransactionByHash", call).await?;
        transaction.ok_or_else(|| bad(number, format!("L1 does not know transaction {hash}")))
    }

    /// The call that proposed the checkpoint of this mark: all that it said, as L1 took it.
    ///
    /// # Errors
    /// As [`Proposals::transaction_of`]; [`SequencerError::BadCheckpoint`] where none of its calls is what the contract
    /// has, as when it went through a contract that is not known here.
    pub async fn propose_of(&self, number: CheckpointNumber, mark: &CheckpointMark) -> Result<Propose> {
        let is_it = |log: &Log| {
            CheckpointProposed::decode_log(&log.inner).is_ok_and(|event| {
                (event.payloadDigest, event.attestationsHash) == (mark.payload_digest, mark.attestations_hash)
            })
        };
        let event = self.events_of(number, mark.archive).await?.into_iter().rev().find(is_it);
        let event = event.ok_or_else(|| bad(number, NO_EVENT.into()))?;
        let transaction = self.transaction_of(number, &event).await?;
        let is_it = |propose: &Propose| {
            (propose.payload_digest(), propose.attestations_hash()) == (mark.payload_digest, mark.attestations_hash)
        };
        let found = decode_proposes(transaction.input(), self.view.address())?.into_iter().find(is_it);
        found.ok_or_else(|| bad(number, "the transaction of its event does not propose what the contract has".into()))
    }
}

const NO_EVENT: &str = "L1 has no event of its proposal";

pub(super) const fn bad(number: CheckpointNumber, reason: String) -> SequencerError {
    SequencerError::BadCheckpoint { number, reason }
}
