//! What the contract says besides the chain of checkpoints itself: pruning, escape hatch, and who counts votes.

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{CheckpointNumber, Epoch, Slot};
use fermata_rollup::contracts::{CheckpointLog, IEscapeHatch, IGovernance};

use super::RollupView;
use crate::error::Result;

/// A checkpoint of the pending chain, as the contract remembers it. No two proposals have the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckpointMark {
    /// Its slot.
    pub slot: Slot,
    /// Its last block.
    pub archive: B256,
    /// What its committee was to sign.
    pub payload_digest: B256,
    /// Hash of its attestations.
    pub attestations_hash: B256,
}

impl From<&CheckpointLog> for CheckpointMark {
    fn from(log: &CheckpointLog) -> Self {
        Self {
            slot: Slot(log.slotNumber.saturating_to()),
            archive: log.archive,
            payload_digest: log.payloadDigest,
            attestations_hash: log.attestationsHash,
        }
    }
}

impl RollupView {
    /// What the contract remembers of a checkpoint that is not proven yet.
    ///
    /// # Errors
    /// L1 did not answer, or there is no such checkpoint.
    pub async fn checkpoint_mark(&self, number: CheckpointNumber) -> Result<CheckpointMark> {
        let log = self.client.within("getCheckpoint", self.rollup.getCheckpoint(U256::from(number.0)).call()).await?;
        Ok(CheckpointMark::from(&log))
    }

    /// Whether there is something to prune in the slot: in its last L1 block at the latest.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn can_prune_in(&self, slot: Slot) -> Result<bool> {
        let last_block = self.times().end_of(slot).minus_secs(self.times().ethereum_slot().as_secs());
        let call = self.rollup.canPruneAtTime(U256::from(last_block.0));
        self.client.within("canPruneAtTime", call.call()).await
    }

    /// Whether the epoch belongs to the escape hatch: then its candidate alone proposes, and everybody else only votes.
    /// False where the rollup has no escape hatch.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn escape_hatch_open(&self, epoch: Epoch) -> Result<bool> {
        let epoch = U256::from(epoch.0);
        let hatch =
            self.client.within("getEscapeHatchForEpoch", self.rollup.getEscapeHatchForEpoch(epoch).call()).await?;
        if hatch.is_zero() {
            return Ok(false);
        }
        let hatch = IEscapeHatch::new(hatch, self.client.provider().clone());
        let answer = self.client.within("isHatchOpen", hatch.isHatchOpen(epoch).call()).await?;
        Ok(answer.isOpen)
    }

    /// Where the proposers signal for governance.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn governance_proposer(&self) -> Result<Address> {
        let governance = self.client.within("getGovernance", self.gse.getGovernance().call()).await?;
        let governance = IGovernance::new(governance, self.client.provider().clone());
        self.client.within("governanceProposer", governance.governanceProposer().call()).await
    }

    /// Who carries out slashes; `None` where nobody does.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn slasher(&self) -> Result<Option<Address>> {
        let slasher = self.client.within("getSlasher", self.rollup.getSlasher().call()).await?;
        Ok((!slasher.is_zero()).then_some(slasher))
    }
}
