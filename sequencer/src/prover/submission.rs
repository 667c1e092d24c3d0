//! The L1 transaction that proves an epoch.

use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolEvent;
use fermata_publisher::{L1Request, MinedTx, Outcome, RejectReason, RequestBlobs, SimSetting, SuccessRule};
use fermata_rollup::contracts::IRollup::L2ProofVerified;
use fermata_rollup::{EpochProof, EpochProofSubmission};
use tokio_util::sync::CancellationToken;

use super::proofs::refused;
use super::{EpochToProve, Prover};
use crate::error::{Result, SequencerError};
use crate::l1::revert_reason;

/// What became of a submission.
#[derive(Debug)]
pub(super) enum Submitted {
    /// The contract took the proof.
    Proven(Box<MinedTx>),
    /// A transaction that does the same may be live: L1 will tell.
    InFlight,
    /// One that does the same has landed, in this L1 block.
    Landed(u64),
}

impl Prover {
    /// Has the contract judge the proof, sends it, and waits until it has landed or cannot any more. `taken_back` tells
    /// attempts apart that L1 had and lost.
    pub(super) async fn submit(
        &self,
        epoch: &EpochToProve,
        proof: EpochProof,
        taken_back: u32,
        ended: &CancellationToken,
    ) -> Result<Submitted> {
        let (claim, attestations) = (epoch.claim.clone(), epoch.attestations.clone());
        let calldata =
            EpochProofSubmission { claim, attestations, proof }.calldata().map_err(|error| refused(&error))?;
        let request = self.request(epoch, calldata, taken_back);
        let gas_limit = self.simulate(&request).await?;
        let request = L1Request { gas_limit: Some(gas_limit), ..request };
        let not_proven = |why: String| Err(SequencerError::NotProven(why));
        match self.parts.publisher.send(request, ended.clone()).await? {
            Outcome::Mined(tx) if tx.succeeded => Ok(Submitted::Proven(Box::new(tx))),
            Outcome::Mined(tx) => {
                let why = tx.revert_data.map_or_else(|| "without a reason".into(), |data| revert_reason(&data));
                not_proven(format!("{} in L1 block {} reverted: {why}", tx.tx_hash, tx.block_number))
            }
            Outcome::Expired => not_proven("its L1 transaction was not mined before the deadline".into()),
            Outcome::Interrupted { .. } => Err(SequencerError::Interrupted),
            Outcome::Rejected { reason: RejectReason::Duplicate { tx_hash, .. } } => self.earlier(tx_hash).await,
            Outcome::Rejected { reason } => not_proven(reason.to_string()),
        }
    }

    /// What has become of an earlier transaction that does the same.
    async fn earlier(&self, tx_hash: Option<alloy::primitives::B256>) -> Result<Submitted> {
        let Some(hash) = tx_hash else { return Ok(Submitted::InFlight) };
        let settled = self.parts.publisher.settled(hash).await?;
        let in_block = settled.and_then(|settled| settled.mined).map(|mined| mined.block_number);
        Ok(in_block.map_or(Submitted::InFlight, Submitted::Landed))
    }

    fn request(&self, epoch: &EpochToProve, calldata: Bytes, taken_back: u32) -> L1Request {
        let (span, rollup) = (&epoch.span, self.parts.frontier.rollup());
        L1Request {
            label: format!("prove epoch {}, checkpoints {} to {}", span.epoch, span.from, span.to),
            dedup_key: Some(format!("prove {} {} {taken_back}", span.epoch, span.end_archive)),
            to: rollup,
            calldata,
            value: U256::ZERO,
            blobs: RequestBlobs::None,
            gas_limit: None,
            not_before: self.parts.frontier.times().epoch_start(span.epoch.next()),
            deadline: span.deadline,
            success: SuccessRule::Event { address: rollup, topic0: L2ProofVerified::SIGNATURE_HASH },
        }
    }

    /// Has the contract judge the call as of the next L1 block, and says how much gas to give it.
    async fn simulate(&self, request: &L1Request) -> Result<u64> {
        let at = self.next_block_at(&self.parts.head.borrow());
        let simulated = self.parts.publisher.simulate_at(request, SimSetting::new(self.parts.account, at)).await?;
        if let Some(data) = simulated.revert_data {
            return Err(SequencerError::ProofRefused { reason: revert_reason(&data) });
        }
        // A sixty-fourth stays with each caller, and state may shift a little until then.
        Ok(simulated.gas_used * 64 / 63 * 12 / 10)
    }
}
