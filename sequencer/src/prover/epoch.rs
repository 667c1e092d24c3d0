//! The epoch that is to be proven next, and all that its proof is about.

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{CheckpointNumber, Epoch, L1Timestamp, Slot, SlotTimes};
use fermata_publisher::L1HeadInfo;
use fermata_rollup::contracts::{CheckpointLog, CommitteeAttestations};
use fermata_rollup::{CheckpointFee, EpochClaim, Propose};

use crate::error::Result;
use crate::l1::{CheckpointMark, Proposals, RollupView};

/// The checkpoints of an epoch that is over, as one proof is about them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochSpan {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first checkpoint.
    pub from: CheckpointNumber,
    /// Its last checkpoint.
    pub to: CheckpointNumber,
    /// The archive of the last one.
    pub end_archive: B256,
    /// The L1 time from which on the contract takes no proof of it, and prunes it.
    pub deadline: L1Timestamp,
}

impl EpochSpan {
    /// Whether an L1 block of this time or later cannot take its proof.
    pub(super) fn is_out_of_time(&self, next_block: L1Timestamp) -> bool {
        next_block >= self.deadline
    }
}

/// All that an epoch's proof is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochToProve {
    /// Its checkpoints.
    pub span: EpochSpan,
    /// What is claimed of them.
    pub claim: EpochClaim,
    /// Attestations of the last, as they were proposed.
    pub attestations: CommitteeAttestations,
    /// The rollup contract.
    pub rollup: Address,
    /// The chain that has it.
    pub l1_chain_id: u64,
}

/// Reads from L1 how far the chain is proven, and what comes next.
#[derive(Clone, Debug)]
pub struct Frontier {
    view: RollupView,
    proposals: Proposals,
    l1_chain_id: u64,
    prover_id: Address,
}

impl Frontier {
    /// Reads for a prover whose rewards go to `prover_id`.
    #[must_use]
    pub const fn new(view: RollupView, proposals: Proposals, l1_chain_id: u64, prover_id: Address) -> Self {
        Self { view, proposals, l1_chain_id, prover_id }
    }

    /// Who gets the rewards.
    pub(super) const fn prover_id(&self) -> Address {
        self.prover_id
    }

    pub(super) fn rollup(&self) -> Address {
        self.view.address()
    }

    pub(super) const fn times(&self) -> &SlotTimes {
        self.view.times()
    }

    /// The oldest epoch that is over at `head` and has checkpoints that are not proven. No checkpoint of it can come any
    /// more: one lands in its slot or not at all.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn unproven(&self, head: &L1HeadInfo) -> Result<Option<EpochSpan>> {
        let tip = self.view.tip(head.hash).await?;
        if tip.number <= tip.proven {
            return Ok(None);
        }
        let first_unproven = tip.proven.next();
        let first = self.view.checkpoint(first_unproven, head.hash).await?;
        let epoch = self.epoch_of(&first);
        if head.timestamp < self.times().epoch_start(Epoch(epoch.0 + 1)) {
            return Ok(None);
        }
        let from = self.first_of(epoch, first_unproven, head).await?;
        let (to, last) = self.last_of(epoch, (first_unproven, first), (tip.number, head)).await?;
        let deadline = self.times().epoch_start(self.view.constants().prune_epoch(epoch));
        Ok(Some(EpochSpan { epoch, from, to, end_archive: last.archive, deadline }))
    }

    /// Reads all that the proof is about.
    ///
    /// # Errors
    /// L1 did not answer, or has no transaction that proposed one of the checkpoints.
    pub async fn gather(&self, span: EpochSpan, head: &L1HeadInfo) -> Result<EpochToProve> {
        let mut checkpoints = Vec::new();
        for number in span.from.0..=span.to.0 {
            let number = CheckpointNumber(number);
            let log = self.view.checkpoint(number, head.hash).await?;
            let propose = self.proposals.propose_of(number, &CheckpointMark::from(&log)).await?;
            checkpoints.push((log, propose));
        }
        let previous_archive = self.view.archive_at(span.from.previous()).await?;
        let fees = checkpoints.iter().map(|(log, propose)| fee(log, propose)).collect();
        let (last, proposed) = checkpoints.pop().expect("a span has a checkpoint");
        let claim = EpochClaim {
            start: span.from,
            previous_archive,
            end_archive: last.archive,
            out_hash: last.outHash,
            prover_id: self.prover_id,
            fees,
        };
        let attestations = proposed.attestations;
        Ok(EpochToProve { span, claim, attestations, rollup: self.view.address(), l1_chain_id: self.l1_chain_id })
    }

    /// The epoch's first checkpoint: the contract takes a proof from there on only, also where some of it is proven.
    async fn first_of(&self, epoch: Epoch, unproven: CheckpointNumber, head: &L1HeadInfo) -> Result<CheckpointNumber> {
        let mut from = unproven;
        while from.0 > 1 {
            let before = self.view.checkpoint(from.previous(), head.hash).await?;
            if self.epoch_of(&before) < epoch {
                break;
            }
            from = from.previous();
        }
        Ok(from)
    }

    async fn last_of(
        &self,
        epoch: Epoch,
        (mut to, mut last): (CheckpointNumber, CheckpointLog),
        (tip, head): (CheckpointNumber, &L1HeadInfo),
    ) -> Result<(CheckpointNumber, CheckpointLog)> {
        while to < tip {
            let after = self.view.checkpoint(to.next(), head.hash).await?;
            if self.epoch_of(&after) > epoch {
                break;
            }
            (to, last) = (to.next(), after);
        }
        Ok((to, last))
    }

    fn epoch_of(&self, checkpoint: &CheckpointLog) -> Epoch {
        self.times().epoch_of(Slot(checkpoint.slotNumber.saturating_to()))
    }
}

/// What a checkpoint's sequencer gets out of the contract's fee portal: what its users paid there, which is nothing, since
/// they pay in the L2 chain's own ether. What congestion cost is burnt by the contract, and so at least that is claimed.
fn fee(log: &CheckpointLog, propose: &Propose) -> CheckpointFee {
    let burnt = log.feeHeader.congestionCost.saturating_mul(log.feeHeader.manaUsed);
    CheckpointFee { recipient: propose.header.coinbase, value: U256::from(burnt) }
}
