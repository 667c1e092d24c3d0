//! The last part: the checkpoint's L1 transaction, and the contract's own word that it landed.

use std::time::Duration;

use alloy::primitives::{I256, U256};
use alloy::sol_types::SolEvent;
use fermata_primitives::{Backoff, Slot};
use fermata_publisher::{L1Request, MinedTx, Outcome, RequestBlobs, SuccessRule};
use fermata_rollup::contracts::IRollup::CheckpointProposed;
use fermata_rollup::{BlobCommitments, Propose};
use tokio_util::sync::CancellationToken;

use crate::attestations::SignedAttestations;
use crate::drain::Ending;
use crate::error::{Result, SequencerError};
use crate::events::{PublishedCheckpoint, SequencerEvent};
use crate::l1::{revert_reason, unless_interrupted};
use crate::proposal::CheckpointProposal;
use crate::slot::{ProposerTurn, Workshop, before_it_ends};
use crate::verbs::LandedCheckpoint;

impl PublishedCheckpoint {
    /// Tells that the slot's checkpoint is on L1.
    pub(crate) fn tell(self, workshop: &Workshop, slot: Slot) -> Ending {
        tracing::info!(
            slot = slot.0,
            checkpoint = self.checkpoint.0,
            blocks = self.blocks,
            transactions = self.transactions,
            l1_block = self.l1_block,
            l1_gas = self.l1_gas,
            "published"
        );
        workshop.last_landed.send_replace(Some(LandedCheckpoint {
            number: self.checkpoint,
            slot,
            l1_tx: self.l1_tx,
            l1_block: self.l1_block,
        }));
        let l1_tx = self.l1_tx;
        workshop.events.emit(SequencerEvent::CheckpointPublished { slot, landed: Box::new(self) });
        Ending::Landed { l1_tx }
    }
}

/// Sends the checkpoint so that it lands in its slot, and reads back from the contract that it has.
///
/// # Errors
/// [`SequencerError::NotLanded`] and its reason; the contract would refuse it; [`SequencerError::Interrupted`] before
/// anything was sent, [`SequencerError::CutInFlight`] afterwards.
pub(crate) async fn land(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposal: &CheckpointProposal,
    signed: SignedAttestations,
    interrupt: CancellationToken,
) -> Result<PublishedCheckpoint> {
    let request = request(workshop, turn, proposal, &signed);
    let gas_limit = unless_interrupted(&interrupt, simulate(workshop, turn, &request)).await?;
    let request = L1Request { gas_limit: Some(gas_limit), ..request };
    let outcome = workshop.publisher.send(request, interrupt.clone()).await?;
    let mined = mined(outcome)?;
    match unless_interrupted(&interrupt, before_it_ends(workshop, turn.slot.next(), confirm(workshop, turn, proposal)))
        .await
    {
        Err(SequencerError::Interrupted | SequencerError::TooLate(_)) => {
            Err(SequencerError::CutInFlight { l1_tx: mined.tx_hash })
        }
        confirmed => confirmed,
    }?;
    Ok(PublishedCheckpoint {
        checkpoint: turn.place.number,
        blocks: proposal.blocks.len(),
        transactions: proposal.transactions(),
        attestations: signed.attestations.count(),
        committee: turn.committee.members.len(),
        l1_tx: mined.tx_hash,
        l1_block: mined.block_number,
        l1_gas: mined.gas_used,
        blobs: proposal.blobs.len(),
        payload_bytes: proposal.payload_bytes,
    })
}

fn request(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposal: &CheckpointProposal,
    signed: &SignedAttestations,
) -> L1Request {
    let propose = Propose {
        archive: proposal.archive,
        fee_asset_price_modifier: I256::ZERO,
        header: proposal.header,
        attestations: signed.attestations.pack(),
        signers: signed.attestations.signers(),
        attestations_and_signers_signature: signed.proposer_signature,
        commitments: BlobCommitments::new(proposal.blobs.commitments().to_vec()),
    };
    let times = workshop.view.times();
    L1Request {
        label: format!("propose checkpoint {} in slot {}", turn.place.number, turn.slot),
        dedup_key: Some(format!("propose {} {}", turn.slot, proposal.archive)),
        to: workshop.view.address(),
        calldata: propose.calldata(),
        value: U256::ZERO,
        blobs: RequestBlobs::Prepared(proposal.blobs.clone()),
        gas_limit: None,
        not_before: times.start_of(turn.slot),
        deadline: times.end_of(turn.slot),
        success: SuccessRule::Event { address: workshop.view.address(), topic0: CheckpointProposed::SIGNATURE_HASH },
    }
}

/// Has the contract judge the call as of its slot, and says how much gas to give it.
async fn simulate(workshop: &Workshop, turn: &ProposerTurn, request: &L1Request) -> Result<u64> {
    let at = workshop.view.times().start_of(turn.slot);
    let simulated = workshop
        .publisher
        .simulate_at(request, workshop.publisher_account, at, workshop.view.without_blob_check())
        .await?;
    if let Some(data) = simulated.revert_data {
        return Err(SequencerError::WouldRevert { reason: revert_reason(&data) });
    }
    // A sixty-fourth stays with each caller, and state may shift a little until then.
    Ok(simulated.gas_used * 64 / 63 * 12 / 10 + BLOB_CHECK_GAS)
}

/// What checking the blobs' hashes costs, which the simulation leaves out.
const BLOB_CHECK_GAS: u64 = 50_000;

fn mined(outcome: Outcome) -> Result<MinedTx> {
    match outcome {
        Outcome::Mined(tx) if tx.succeeded => Ok(tx),
        Outcome::Mined(tx) => {
            let why = tx.revert_data.map_or_else(|| "without a reason".into(), |data| revert_reason(&data));
            Err(SequencerError::NotLanded(format!("{} in block {} reverted: {why}", tx.tx_hash, tx.block_number)))
        }
        Outcome::Expired => Err(SequencerError::NotLanded("its slot ended before it was mined".into())),
        Outcome::Interrupted { sent: None } => Err(SequencerError::Interrupted),
        Outcome::Interrupted { sent: Some(l1_tx) } => Err(SequencerError::CutInFlight { l1_tx }),
        Outcome::Rejected { reason } => Err(SequencerError::NotLanded(reason.to_string())),
    }
}

/// Reads back from the contract what it has, as often as it takes: an endpoint that is down for a while says nothing about
/// a checkpoint that was mined.
async fn confirm(workshop: &Workshop, turn: &ProposerTurn, proposal: &CheckpointProposal) -> Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        match workshop.view.archive_at(turn.place.number).await {
            Ok(archive) if archive == proposal.archive => return Ok(()),
            Ok(other) => {
                let number = turn.place.number;
                return Err(SequencerError::NotLanded(format!("the contract has {other} as checkpoint {number}")));
            }
            Err(SequencerError::L1Unreachable { .. } | SequencerError::L1Timeout { .. }) => {
                workshop.clock.sleep(backoff.wait()).await;
            }
            Err(error) => return Err(error),
        }
    }
}
