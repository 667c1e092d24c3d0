//! Proposals of checkpoints as they landed: their events, and the calldata of the transactions that carried them.

use alloy::consensus::Transaction as _;
use alloy::primitives::{B256, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use fermata_primitives::CheckpointNumber;
use fermata_rollup::contracts::IRollup::CheckpointProposed;
use fermata_rollup::{Propose, decode_proposes};

use super::{CheckpointMark, RollupView};
use crate::error::{Result, SequencerError};

/// Finds proposals on L1.
#[derive(Clone, Debug)]
pub struct LandedProposals {
    view: RollupView,
    from_block: u64,
}

impl LandedProposals {
    /// Proposals from L1 block `from_block` on, in which the rollup was deployed.
    #[must_use]
    pub const fn new(view: RollupView, from_block: u64) -> Self {
        Self { view, from_block }
    }

    /// The event of the checkpoint's proposal. The same checkpoint may have been proposed, pruned and proposed again: it
    /// is the last one's.
    ///
    /// # Errors
    /// L1 did not answer; [`SequencerError::BadCheckpoint`] where it has none.
    pub(crate) async fn event(&self, number: CheckpointNumber, archive: B256) -> Result<Log> {
        self.events(number, archive).await?.pop().ok_or_else(|| unknown(number))
    }

    /// All that the proposal said, as L1 took it.
    ///
    /// # Errors
    /// L1 did not answer; [`SequencerError::BadCheckpoint`] where its transaction does not show it, as when it went
    /// through a contract that is not known here.
    pub async fn read(&self, number: CheckpointNumber, mark: &CheckpointMark) -> Result<Propose> {
        let is_it = |log: &Log| {
            CheckpointProposed::decode_log(&log.inner).is_ok_and(|event| {
                (event.payloadDigest, event.attestationsHash) == (mark.payload_digest, mark.attestations_hash)
            })
        };
        let log = self.events(number, mark.archive).await?.into_iter().rev().find(is_it);
        let hash = log.and_then(|log| log.transaction_hash).ok_or_else(|| unknown(number))?;
        let client = self.view.client();
        let call = client.provider().get_transaction_by_hash(hash);
        let transaction = client.within("eth_getTransactionByHash", call).await?;
        let transaction = transaction.ok_or_else(|| bad(number, format!("L1 does not know transaction {hash}")))?;
        let proposes = decode_proposes(transaction.input(), self.view.address())?;
        let is_it = |propose: &Propose| {
            (propose.payload_digest(), propose.attestations_hash()) == (mark.payload_digest, mark.attestations_hash)
        };
        let propose = proposes.into_iter().find(is_it);
        propose.ok_or_else(|| bad(number, format!("transaction {hash} does not show its proposal")))
    }

    async fn events(&self, number: CheckpointNumber, archive: B256) -> Result<Vec<Log>> {
        let filter = Filter::new()
            .address(self.view.address())
            .event_signature(CheckpointProposed::SIGNATURE_HASH)
            .topic1(B256::from(U256::from(number.0)))
            .topic2(archive)
            .from_block(self.from_block);
        let client = self.view.client();
        client.within("eth_getLogs", client.provider().get_logs(&filter)).await
    }
}

fn unknown(number: CheckpointNumber) -> SequencerError {
    bad(number, "L1 has no event of its proposal".to_owned())
}

pub(super) const fn bad(number: CheckpointNumber, reason: String) -> SequencerError {
    SequencerError::BadCheckpoint { number, reason }
}
