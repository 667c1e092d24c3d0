//! The last part: the checkpoint's L1 transaction, and the contract's own word that it landed.

use std::time::Duration;

use alloy::primitives::I256;
use alloy::sol_types::SolEvent;
use fermata_primitives::{Backoff, Slot};
use fermata_publisher::{BundleEntry, EntryOutcome, MinedTx, RequestBlobs, SuccessRule};
use fermata_rollup::contracts::IRollup::CheckpointProposed;
use fermata_rollup::{BlobCommitments, Propose};
use tokio_util::sync::CancellationToken;

use crate::actions::{ActionKind, L1Action, why_failed};
use crate::attestations::SignedAttestations;
use crate::drain::Ending;
use crate::error::{Result, SequencerError};
use crate::events::{PublishedCheckpoint, SequencerEvent};
use crate::l1::{revert_reason, unless_interrupted};
use crate::proposal::CheckpointProposal;
use crate::slot::ProposerTurn;
use crate::slot_bundle::{Sender, SlotBundle, SlotBundleEnd};
use crate::verbs::LandedCheckpoint;
use crate::workshop::{Workshop, before_it_ends};

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

/// What a slot with a checkpoint sends to L1, in one bundle.
#[derive(Debug)]
pub(crate) struct Landing<'a> {
    /// The checkpoint.
    pub(crate) proposal: &'a CheckpointProposal,
    /// Its attestations.
    pub(crate) signed: SignedAttestations,
    /// What else the slot has for L1: votes, a prune, an invalidation.
    pub(crate) extra: Vec<L1Action>,
}

/// Sends the checkpoint so that it lands in its slot, and reads back from the contract that it has. What else the slot
/// sends goes along; where the contract would refuse the checkpoint, the rest goes without it.
///
/// # Errors
/// [`SequencerError::NotLanded`] and its reason; [`SequencerError::WouldRevert`] when the contract would refuse it;
/// [`SequencerError::Interrupted`] before anything was sent, [`SequencerError::CutInFlight`] afterwards.
pub(crate) async fn land(
    workshop: &Workshop,
    turn: &ProposerTurn,
    landing: Landing<'_>,
    interrupt: CancellationToken,
) -> Result<PublishedCheckpoint> {
    let Landing { proposal, signed, extra } = landing;
    let mut bundle = SlotBundle::new(turn.slot, extra);
    bundle.add(ActionKind::Propose, propose(workshop, turn, proposal, &signed));
    let sender = Sender {
        publisher: &workshop.publisher,
        times: workshop.view.times(),
        assumed: workshop.view.without_blob_check(),
        events: &workshop.events,
    };
    let mined = proposed(bundle.send(sender, interrupt.clone()).await?)?;
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

fn propose(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposal: &CheckpointProposal,
    signed: &SignedAttestations,
) -> BundleEntry {
    let propose = Propose {
        archive: proposal.archive,
        fee_asset_price_modifier: I256::ZERO,
        header: proposal.header,
        attestations: signed.attestations.pack(),
        signers: signed.attestations.signers(),
        attestations_and_signers_signature: signed.proposer_signature,
        commitments: BlobCommitments::new(proposal.blobs.commitments().to_vec()),
    };
    BundleEntry {
        label: format!("propose checkpoint {} in slot {}", turn.place.number, turn.slot),
        dedup_key: Some(format!("propose {} {}", turn.slot, proposal.archive)),
        to: workshop.view.address(),
        calldata: propose.calldata(),
        blobs: RequestBlobs::Prepared(proposal.blobs.clone()),
        unsimulated_gas: BLOB_CHECK_GAS,
        success: SuccessRule::Event { address: workshop.view.address(), topic0: CheckpointProposed::SIGNATURE_HASH },
    }
}

/// What checking the blobs' hashes costs, which the simulation leaves out.
const BLOB_CHECK_GAS: u64 = 50_000;

/// The transaction in whose block the contract took the checkpoint.
fn proposed(end: SlotBundleEnd) -> Result<MinedTx> {
    match (end.of(ActionKind::Propose).cloned(), end.mined) {
        (Some(EntryOutcome::Succeeded), Some(mined)) => Ok(mined),
        (Some(EntryOutcome::Failed { revert_data }), Some(mined)) => {
            let why = why_failed(revert_data.as_ref());
            Err(SequencerError::NotLanded(format!("{} in block {} failed: {why}", mined.tx_hash, mined.block_number)))
        }
        (Some(EntryOutcome::Dropped { revert_data }), _) => {
            Err(SequencerError::WouldRevert { reason: revert_reason(&revert_data) })
        }
        (Some(EntryOutcome::Expired), _) => Err(SequencerError::NotLanded("its slot ended before it was mined".into())),
        (Some(EntryOutcome::NotSent), _) => Err(SequencerError::Interrupted),
        (Some(EntryOutcome::InFlight { tx_hash }), _) => Err(SequencerError::CutInFlight { l1_tx: tx_hash }),
        (Some(EntryOutcome::Rejected { reason }), _) => Err(SequencerError::NotLanded(reason.to_string())),
        (Some(EntryOutcome::Succeeded | EntryOutcome::Failed { .. }) | None, _) => {
            Err(SequencerError::NotLanded("the publisher did not say what became of it; please report this".into()))
        }
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

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, Bytes};
    use alloy::sol_types::SolError;
    use fermata_publisher::RejectReason;
    use fermata_rollup::contracts::L1Errors;

    use super::*;
    use crate::actions::ActionsReport;

    /// A bundle whose vote took effect, and whose checkpoint ended so.
    fn ended(propose: EntryOutcome) -> SlotBundleEnd {
        let mined = MinedTx {
            tx_hash: B256::repeat_byte(1),
            block_number: 7,
            block_hash: B256::ZERO,
            block_timestamp: Default::default(),
            gas_used: 1,
            effective_gas_price: 1,
            blob_gas_used: None,
            blob_gas_price: None,
            reverted: false,
            succeeded: propose == EntryOutcome::Succeeded,
            revert_data: None,
            entries: Vec::new(),
        };
        let ends = vec![(ActionKind::Propose, propose), (ActionKind::SlashingVote, EntryOutcome::Succeeded)];
        SlotBundleEnd { mined: Some(mined), ends, report: ActionsReport::default() }
    }

    fn bad_attestations() -> Bytes {
        L1Errors::Rollup__InvalidAttestations {}.abi_encode().into()
    }

    #[test]
    fn a_checkpoint_landed_where_its_own_entry_did_whatever_else_the_bundle_held() {
        assert_eq!(proposed(ended(EntryOutcome::Succeeded)).expect("it landed").block_number, 7);
        let failed = proposed(ended(EntryOutcome::Failed { revert_data: Some(bad_attestations()) }));
        let reason = failed.expect_err("the vote alone landed").to_string();
        assert!(reason.contains("block 7") && reason.contains("InvalidAttestations"), "{reason}");
    }

    #[test]
    fn a_checkpoint_that_did_not_land_is_told_by_what_its_caller_does_next() {
        let dropped = proposed(ended(EntryOutcome::Dropped { revert_data: bad_attestations() }));
        assert!(
            matches!(&dropped, Err(SequencerError::WouldRevert { reason }) if reason.contains("InvalidAttestations")),
            "{dropped:?}"
        );
        assert!(matches!(proposed(ended(EntryOutcome::NotSent)), Err(SequencerError::Interrupted)));
        let tx_hash = B256::repeat_byte(3);
        let cut = proposed(ended(EntryOutcome::InFlight { tx_hash }));
        assert!(matches!(cut, Err(SequencerError::CutInFlight { l1_tx }) if l1_tx == tx_hash));
        let reason = RejectReason::L1Unusable { message: "down".to_owned() };
        for lost in [EntryOutcome::Expired, EntryOutcome::Rejected { reason }] {
            assert!(matches!(proposed(ended(lost)), Err(SequencerError::NotLanded(_))));
        }
    }
}
