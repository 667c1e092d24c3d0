//! Another proposer's checkpoint: checked to the last bit, and attested.

use std::sync::Arc;

use alloy::primitives::B256;
use fermata_execution::Block;
use fermata_primitives::Slot;
use fermata_rollup::Committee;

use super::blocks::take_place;
use super::ledger::Progress;
use super::window::{Vouched, vouch};
use super::{Bench, refuse_what_is_wrong};
use crate::attestations::sign_for_members;
use crate::checkpoint::{self, MAX_BLOCKS, blobs_hash, check_block};
use crate::events::SequencerEvent;
use crate::network::{
    Attestation, Inbox, Incoming, NodeId, ProposedCheckpoint, Received, Recipient, Signable as _, Signed,
};
use crate::peers::execute;
use crate::pipeline::{Heard, Stage};
use crate::poll_loop::chain as error_chain;
use crate::refusal::Refusal;
use crate::workshop::before_it_ends;

/// A proposal as it was received.
type Proposal = Arc<Received<Signed<ProposedCheckpoint>>>;

/// Attends to the checkpoints of other proposers, one a slot.
impl Bench {
    /// Takes checkpoint proposals as they come, one after the other. One a slot is then worked on by itself: it waits for its
    /// parent, and the next need not.
    pub(super) async fn hear_checkpoints(self, mut inbox: Inbox<Signed<ProposedCheckpoint>>) {
        while let Some(incoming) = inbox.recv().await {
            let Incoming::Message(proposal) = incoming else { continue };
            if self.ledger.takes_up(proposal.message.content().slot()) {
                refuse_what_is_wrong(&self.workshop, &proposal, self.hear_checkpoint(&proposal)).await;
            }
        }
    }

    /// Begins to check a proposal, unless that is under way or done; then its attestations are sent again.
    async fn hear_checkpoint(&self, proposal: &Proposal) -> Result<(), Refusal> {
        let slot = proposal.message.content().slot();
        let vouched = vouch(&self.workshop, &proposal.message).await?;
        let again = match self.ledger.of(slot) {
            Some(Progress::Attested(attestations)) if vouched.is_known => Some(attestations),
            Some(Progress::Checking | Progress::Attested(_) | Progress::Refused(_)) => return Ok(()),
            Some(Progress::Heard | Progress::Told) | None => None,
        };
        if let Some(again) = again {
            self.send(&proposal.from, slot, again).await;
            return Ok(());
        }
        let (checking, proposal) = (self.begin(slot), Arc::clone(proposal));
        self.spawn(async move {
            let workshop = Arc::clone(&checking.bench.workshop);
            refuse_what_is_wrong(&workshop, &proposal, checking.check(&proposal, &vouched)).await;
        });
        Ok(())
    }

    fn begin(&self, slot: Slot) -> Checking {
        self.ledger.enter(slot, Progress::Checking);
        Checking { bench: self.clone(), slot, ended: None }
    }

    /// Checks the proposal and has our members attest it.
    async fn attend(&self, proposal: &Proposal, vouched: &Vouched) -> Result<Vec<Signed<Attestation>>, Refusal> {
        let (workshop, proposed) = (&self.workshop, proposal.message.content());
        let blocks = self.blocks_of(proposal, &vouched.committee).await?;
        execute(workshop.execution.as_ref(), &blocks).await?;
        let slot = proposed.slot();
        let (base, head) = (proposed.header.last_archive, proposed.archive());
        take_place(workshop, Heard { slot, base, head, blocks: blocks.len(), stage: Stage::Proposed }).await?;
        self.parent_landed(proposed).await?;
        self.check_header(proposed, &blocks).await?;
        let attestations = self.attest(proposed, &vouched.committee).await;
        if !attestations.is_empty() {
            workshop.events.emit(SequencerEvent::CheckpointAttested {
                slot,
                checkpoint: proposed.number,
                proposer: vouched.proposer,
                members: attestations.len(),
            });
        }
        self.send(&proposal.from, slot, attestations.clone()).await;
        Ok(attestations)
    }

    /// The blocks of the checkpoint, each at its place; those that were missed are asked for.
    async fn blocks_of(&self, proposal: &Proposal, committee: &Committee) -> Result<Vec<Block>, Refusal> {
        let (workshop, proposed) = (&self.workshop, proposal.message.content());
        if proposed.earlier.len() >= MAX_BLOCKS {
            return Err(Refusal::TooManyBlocks { found: proposed.earlier.len(), limit: MAX_BLOCKS - 1 });
        }
        let deadline = workshop.timetable.attestation_deadline(proposed.slot());
        let execution = workshop.execution.as_ref();
        let mut blocks = workshop.peers.fetch(execution, &proposed.earlier, &proposal.from, deadline).await?;
        blocks.push(proposed.last_block.clone());
        let mut parent = proposed.header.last_archive;
        for (index, block) in blocks.iter().enumerate() {
            let (header, hash) = (block.header(), block.hash());
            check_block(&workshop.view, committee, proposed.slot(), (index, block))?;
            if header.parent_hash != parent {
                return Err(Refusal::WrongBlock { block: hash, field: "parent" });
            }
            if header.beneficiary != proposed.header.coinbase {
                return Err(Refusal::WrongBlock { block: hash, field: "beneficiary" });
            }
            parent = hash;
        }
        Ok(blocks)
    }

    /// Waits for the checkpoint before it to land.
    async fn parent_landed(&self, proposed: &ProposedCheckpoint) -> Result<(), Refusal> {
        let workshop = &self.workshop;
        let wrong = || Refusal::WrongParent { number: proposed.number };
        let mut tip = workshop.chain.tip();
        let there = tip.wait_for(|tip| tip.is_some_and(|tip| tip.number.next() >= proposed.number));
        tokio::select! {
            biased;
            tip = there => {
                let is_parent = tip.is_ok_and(|tip| {
                    tip.is_some_and(|tip| {
                        tip.archive == proposed.header.last_archive && tip.number.next() == proposed.number
                    })
                });
                if is_parent { Ok(()) } else { Err(wrong()) }
            }
            () = workshop.clock.sleep_until(workshop.timetable.attestation_deadline(proposed.slot())) => Err(wrong()),
        }
    }

    /// Makes the header anew, from the blocks and L1.
    async fn check_header(&self, proposed: &ProposedCheckpoint, blocks: &[Block]) -> Result<(), Refusal> {
        let view = &self.workshop.view;
        let slot = proposed.slot();
        let parts = checkpoint::Parts {
            slot,
            base: proposed.header.last_archive,
            coinbase: proposed.header.coinbase,
            blocks,
            blobs_hash: blobs_hash(blocks).await?,
            l1: view.checkpoint_inputs(proposed.number, slot).await?,
        };
        match checkpoint::difference(&proposed.header, &checkpoint::header(view, &parts)) {
            Some(field) => Err(Refusal::WrongHeader(field)),
            None => Ok(()),
        }
    }

    async fn attest(&self, proposed: &ProposedCheckpoint, committee: &Committee) -> Vec<Signed<Attestation>> {
        let (workshop, slot) = (&self.workshop, proposed.slot());
        let attestation = proposed.attestation();
        let digest: B256 = attestation.digest(&workshop.peers.domain);
        let mut attestations = Vec::new();
        let by = workshop.timetable.attestation_deadline(slot);
        for (member, signed) in sign_for_members(workshop, committee, (slot, digest), by).await {
            match signed {
                Ok(signature) => attestations.push(Signed::new(attestation, signature)),
                Err(error) => workshop.miss_duty(slot, member, &error_chain(&error)),
            }
        }
        attestations
    }

    async fn send(&self, to: &NodeId, slot: Slot, attestations: Vec<Signed<Attestation>>) {
        let deadline = self.workshop.timetable.attestation_deadline(slot);
        for attestation in attestations {
            self.workshop.peers.send(Recipient::Node(to.clone()), attestation, deadline).await;
        }
    }

    fn miss(&self, slot: Slot, committee: &Committee, refusal: &Refusal) {
        for member in self.workshop.our_members(committee) {
            self.workshop.miss_duty(slot, member, &error_chain(refusal));
        }
    }
}

/// A check under way. Dropped without an end, as by a refusal that may pass, the next time it is heard it is checked anew.
struct Checking {
    bench: Bench,
    slot: Slot,
    ended: Option<Progress>,
}

impl Checking {
    /// Checks the proposal while its slot lasts, and has our members attest it.
    async fn check(mut self, proposal: &Proposal, vouched: &Vouched) -> Result<(), Refusal> {
        let bench = self.bench.clone();
        let attested = async { Ok(bench.attend(proposal, vouched).await) };
        match before_it_ends(&bench.workshop, self.slot, attested).await? {
            Ok(attestations) => {
                self.ended = Some(Progress::Attested(attestations));
                Ok(())
            }
            Err(refusal) => {
                if !refusal.is_for_now() {
                    bench.miss(self.slot, &vouched.committee, &refusal);
                    self.ended = Some(Progress::Refused(error_chain(&refusal)));
                }
                Err(refusal)
            }
        }
    }
}

impl Drop for Checking {
    fn drop(&mut self) {
        self.bench.ledger.enter(self.slot, self.ended.take().unwrap_or(Progress::Told));
    }
}
