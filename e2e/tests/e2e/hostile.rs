//! A node that means harm: whatever it sends is dropped and counted, and the others go on.

use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::Header;
use alloy::primitives::{B256, Bytes, keccak256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context as _, Result};
use fermata_e2e::{Net, NetNode, NetOptions, Seat, Watch};
use fermata_execution::Block;
use fermata_primitives::{CheckpointNumber, Slot, UnixTime};
use fermata_rollup::{CheckpointHeader, Committee, L1Signature};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::network::{
    Attestation, Dropped, InProcessNetwork, Inbox, Incoming, Message, Network as _, NodeId, ProposedBlock,
    ProposedCheckpoint, Received, Recipient, Signable, Signed,
};
use fermata_sequencer::status::StatusSource as _;
use fermata_validator_signer::KeyChange;

/// Three honest nodes, and the place of the fourth in the hands of the test.
pub(crate) struct Arena {
    pub(crate) net: Net,
    pub(crate) honest: Vec<NetNode>,
    pub(crate) watches: Vec<Watch>,
    /// The fourth validator's key.
    pub(crate) key: PrivateKeySigner,
    evil: Arc<InProcessNetwork>,
}

impl Arena {
    async fn start() -> Result<Self> {
        Self::over(Net::start_with(NetOptions { slot_secs: 4, ..NetOptions::default() }).await?, &[]).await
    }

    /// On a chain of four validators, with some keys of the honest nodes set otherwise.
    pub(crate) async fn over(net: Net, changes: &[(&str, &str)]) -> Result<Self> {
        let (mut honest, mut watches) = (Vec::new(), Vec::new());
        for (place, name) in (0..).zip(["a", "b", "c"]) {
            honest.push(net.open_member(name, Seat { place, of: 4 }, changes).await?);
        }
        for node in &honest {
            watches.push(net.watch(node));
            node.start().await?;
        }
        watches[0].until("first checkpoint", |event| on_l1(event, 1)).await?;
        let key = net.chain().accounts.validators[3].clone();
        let evil = net.hub().join(NodeId::new("d"))?;
        Ok(Self { net, honest, watches, key, evil })
    }

    fn now(&self) -> UnixTime {
        self.honest[0].node().clock().now()
    }

    fn target(&self) -> Slot {
        self.honest[0].node().timetable().target_slot(self.now())
    }

    /// Signs as `key` does, whatever its duties say.
    pub(crate) fn signed<T: Signable>(&self, content: T, key: &PrivateKeySigner) -> Result<Signed<T>> {
        let digest = content.digest(&self.honest[0].node().workshop().peers.domain);
        let signature = key.sign_message_sync(digest.as_slice())?;
        Ok(Signed::new(content, L1Signature::from(signature)))
    }

    pub(crate) async fn send(&self, message: impl Into<Message>) -> Result<()> {
        self.evil.send(Recipient::Everyone, message.into(), self.now() + Duration::from_secs(10)).await?;
        Ok(())
    }

    /// Every honest node refuses what was sent, for this reason.
    async fn assert_refused(&mut self, reason: &str) -> Result<()> {
        for (node, watch) in self.honest.iter().zip(&mut self.watches) {
            let what = format!("refusal at {} because {reason:?}", node.name());
            watch
                .until(&what, |event| {
                    refused(event).filter(|(from, why)| *from == "d" && why.contains(reason)).map(|_| ())
                })
                .await?;
        }
        Ok(())
    }

    /// Waits until it is the fourth validator's turn, just now.
    pub(crate) async fn its_turn(&self) -> Result<(Slot, Arc<Committee>)> {
        let node = self.honest[0].node();
        let mut head = node.l1_head();
        let mut before = self.target();
        loop {
            tokio::time::timeout(Duration::from_secs(60), head.changed()).await??;
            let slot = self.target();
            let committee = node.workshop().committees.of_slot(slot).await?;
            if slot > before && committee.proposer(slot) == Some(self.key.address()) {
                return Ok((slot, committee));
            }
            before = slot;
        }
    }

    /// A block that would be the slot's first, were its state root not made up.
    pub(crate) async fn forged_block(
        &self,
        slot: Slot,
        committee: &Committee,
        transactions: Vec<Bytes>,
    ) -> Result<Block> {
        let workshop = self.honest[0].node().workshop();
        let parent = workshop.chain.heads().await?.unsafe_head.hash;
        let parent = workshop.execution.block(parent).await?.context("the head is stored")?;
        let place = [slot.0.to_be_bytes(), 0_u64.to_be_bytes()].concat();
        let header = Header {
            parent_hash: parent.hash(),
            number: parent.header().number + 1,
            timestamp: workshop.view.times().start_of(slot).0,
            mix_hash: keccak256([committee.seed.to_be_bytes::<32>().as_slice(), &place].concat()),
            state_root: B256::repeat_byte(3),
            ..parent.header().clone()
        };
        Ok(Block::new(header, transactions))
    }
}

/// Who was refused, and why.
fn refused(event: &SequencerEvent) -> Option<(&str, &str)> {
    let SequencerEvent::ProposalRefused { from, reason, .. } = event else { return None };
    Some((from, reason))
}

pub(crate) fn on_l1(event: &SequencerEvent, number: u64) -> Option<()> {
    matches!(event, SequencerEvent::L1TipMoved { checkpoint, .. } if checkpoint.0 >= number).then_some(())
}

/// A block of nobody's for `slot`.
fn some_block(slot: Slot, seed: u8) -> ProposedBlock {
    let header = Header { number: u64::from(seed), ..Header::default() };
    ProposedBlock { slot, index: 0, block: Block::new(header, Vec::new()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_out_of_time_or_garbage_is_dropped_by_reason_and_costs_the_others_nothing() -> Result<()> {
    let mut arena = Arena::start().await?;
    let failures_before: Vec<usize> = arena.watches.iter().map(|watch| watch.failures().len()).collect();
    let slot = arena.target();

    let nobodys = Signed::new(some_block(slot, 1), L1Signature { v: 5, ..L1Signature::EMPTY });
    arena.send(nobodys).await?;
    arena.assert_refused("nobody's").await?;

    let stranger = PrivateKeySigner::from_bytes(&B256::repeat_byte(9))?;
    let of_stranger = arena.signed(some_block(arena.target(), 2), &stranger)?;
    arena.send(of_stranger).await?;
    arena.assert_refused("should have").await?;

    let far = arena.signed(some_block(Slot(slot.0 + 500), 3), &arena.key)?;
    arena.send(far).await?;
    arena.assert_refused("is not being built yet").await?;
    let past = arena.signed(some_block(Slot(slot.0 - 3), 4), &arena.key)?;
    arena.send(past).await?;
    arena.assert_refused("has passed").await?;

    let header = CheckpointHeader { slot: arena.target(), ..CheckpointHeader::default() };
    let last_block = some_block(arena.target(), 5).block;
    let checkpoint = ProposedCheckpoint { number: CheckpointNumber(1), header, earlier: Vec::new(), last_block };
    arena.send(arena.signed(checkpoint, &stranger)?).await?;
    arena.assert_refused("should have").await?;

    for garbage in [vec![], vec![1], vec![9; 40], vec![1, 1, 0xf9, 0xff, 0xff], vec![1, 3, 0xc0], vec![1, 77]] {
        arena.evil.send_bytes(garbage.into(), arena.now() + Duration::from_secs(10))?;
    }
    let huge = [vec![1, 3], vec![0; 1 << 20]].concat();
    arena.evil.send_bytes(huge.into(), arena.now() + Duration::from_secs(10))?;
    // What came after it has been judged, so the garbage has been read.
    arena.send(arena.signed(some_block(arena.target(), 6), &stranger)?).await?;
    arena.assert_refused("should have").await?;
    for node in &arena.honest {
        let traffic = node.node().workshop().peers.network.traffic();
        let dropped = [Dropped::Malformed, Dropped::UnknownVersion, Dropped::UnknownKind, Dropped::TooLarge];
        assert!(dropped.iter().all(|reason| traffic.dropped(*reason) > 0), "{traffic:?}");
        let refusals = node.node().workshop().peers.refusals.all();
        for reason in ["forged", "not-the-proposer", "far-slot", "past-slot"] {
            assert!(refusals.contains_key(reason), "{reason}: {refusals:?}");
        }
    }
    let newest = arena.net.pending().await?.0;
    for (watch, before) in arena.watches.iter_mut().zip(failures_before) {
        watch.until("two more checkpoints", |event| on_l1(event, newest + 2)).await?;
        assert_eq!(watch.failures().len(), before, "{:?}", watch.failures());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposer_that_lies_or_says_two_things_is_not_attested_and_the_evidence_is_kept() -> Result<()> {
    let mut arena = Arena::start().await?;
    let (slot, committee) = arena.its_turn().await?;
    let wrong_root = arena.forged_block(slot, &committee, Vec::new()).await?;
    let first = ProposedBlock { slot, index: 0, block: wrong_root.clone() };
    arena.send(arena.signed(first, &arena.key)?).await?;
    arena.assert_refused("is not valid").await?;

    let no_transaction = arena.forged_block(slot, &committee, vec![Bytes::from_static(&[2, 3, 4])]).await?;
    let second = ProposedBlock { slot, index: 0, block: no_transaction.clone() };
    arena.send(arena.signed(second, &arena.key)?).await?;
    arena.assert_refused("has signed another one").await?;
    let with_garbage = ProposedBlock { slot, index: 1, block: no_transaction };
    arena.send(arena.signed(with_garbage, &arena.key)?).await?;
    arena.assert_refused("is not").await?;

    let base = wrong_root.header().parent_hash;
    let header = CheckpointHeader { slot, last_archive: base, ..CheckpointHeader::default() };
    let number = CheckpointNumber(arena.net.pending().await?.0 + 1);
    let lie = ProposedCheckpoint { number, header, earlier: Vec::new(), last_block: wrong_root };
    let signed = arena.signed(lie, &arena.key)?;
    let mut answers = arena.evil.attestations();
    arena.send(signed).await?;
    arena.assert_refused("is not").await?;

    for node in &arena.honest {
        let evidence = node.node().workshop().peers.evidence.all();
        assert_eq!(evidence.len(), 1, "{evidence:?}");
        assert_eq!((evidence[0].duty.validator, evidence[0].duty.slot), (arena.key.address(), slot));
        let signers = [evidence[0].first, evidence[0].second].map(|proof| proof.signature.signer(proof.digest));
        assert_eq!(signers, [Some(arena.key.address()); 2], "anybody can check it");
    }
    let kept = arena.honest[0].node().store().equivocations().await?;
    assert_eq!(kept, arena.honest[0].node().workshop().peers.evidence.all(), "for the next process, too");
    let newest = arena.net.pending().await?.0;
    arena.watches[0].until("the others' checkpoints", |event| on_l1(event, newest + 2)).await?;
    let none = tokio::time::timeout(Duration::from_millis(1), answers.recv()).await;
    assert!(none.is_err(), "nobody attested it: {none:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_node_signs_with_is_halted_at_its_own_node_until_the_halt_is_lifted() -> Result<()> {
    let mut arena = Arena::start().await?;
    let mut proposals = arena.evil.checkpoint_proposals();
    let states = |node: &NetNode| node.node().workshop().signer.protection().key_states();
    let is_halted = |node: &NetNode| states(node).values().any(|state| state.halt.is_some());
    // What comes when a proposer has stopped collecting is not heard: then the next one is told.
    let mut told = 0..TOLD_AT_MOST;
    let at = loop {
        told.next().context("no proposer heard its twin in time")?;
        let (from, proposal) = next_proposal(&mut proposals).await?;
        if let Some(at) = arena.honest.iter().position(is_halted) {
            break at;
        }
        let twin = &arena.net.chain().accounts.validators[from];
        let other = Attestation { archive: B256::repeat_byte(1), ..proposal.message.content().attestation() };
        let by = arena.now() + Duration::from_secs(10);
        arena.evil.send(Recipient::Node(proposal.from.clone()), arena.signed(other, twin)?.into(), by).await?;
    };
    let twin = arena.net.chain().accounts.validators[at].clone();
    arena.watches[at]
        .until("the key's halt", |event| {
            let SequencerEvent::KeyHalted { validator, .. } = event else { return None };
            (*validator == twin.address()).then_some(())
        })
        .await?;
    for (place, node) in arena.honest.iter().enumerate() {
        let halt = states(node).get(&twin.address()).and_then(|state| state.halt);
        assert_eq!(halt.is_some(), place == at, "{}: {halt:?}", node.name());
    }
    let status = arena.honest[at].node().status_source().status().await;
    assert!(status.health.reasons.iter().any(|reason| reason.contains("another node signs")), "{:?}", status.health);

    let signer = &arena.honest[at].node().workshop().signer;
    signer.protection().change_key(twin.address(), KeyChange::LiftHalt).await?;
    let newest = arena.net.pending().await?.0;
    arena.watches[at].until("checkpoints of all three", |event| on_l1(event, newest + 2)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attestations_of_strangers_of_something_else_or_said_twice_do_not_count() -> Result<()> {
    let mut arena = Arena::start().await?;
    let stranger = PrivateKeySigner::from_bytes(&B256::repeat_byte(9))?;
    // What comes when a proposer has stopped collecting is not heard: then the next one is told.
    for _ in 0..TOLD_AT_MOST {
        let (at, proposal) = next_proposal(&mut arena.evil.checkpoint_proposals()).await?;
        let attestation = proposal.message.content().attestation();
        let other = Attestation { archive: B256::repeat_byte(1), ..attestation };
        let by = arena.now() + Duration::from_secs(10);
        let truly = arena.signed(attestation, &arena.key)?;
        // The same member says the same with another signature: the nonce of a signature is free.
        let again = Signed::new(attestation, L1Signature { r: B256::repeat_byte(1), ..truly.signature() });
        for bad in [arena.signed(attestation, &stranger)?, arena.signed(other, &arena.key)?, again] {
            arena.evil.send(Recipient::Node(proposal.from.clone()), bad.into(), by).await?;
        }
        let slot = proposal.message.content().slot();
        if let Some(attestations) = arena.watches[at].until("its checkpoint", |event| outcome(event, slot)).await? {
            assert_eq!(attestations, 3, "the three honest ones");
        }
        let refusals = arena.honest[at].node().workshop().peers.refusals.all();
        if ["not-a-member", "other-checkpoint"].iter().all(|reason| refusals.contains_key(*reason)) {
            return Ok(());
        }
    }
    anyhow::bail!("none of {TOLD_AT_MOST} proposers has refused what was sent to it")
}

/// Proposers that are told something false, one after another, until one heard it in time.
const TOLD_AT_MOST: usize = 12;

/// The next proposal that the fourth node hears, and the honest node that made it.
async fn next_proposal(
    proposals: &mut Inbox<Signed<ProposedCheckpoint>>,
) -> Result<(usize, Arc<Received<Signed<ProposedCheckpoint>>>)> {
    let heard = tokio::time::timeout(Duration::from_secs(60), proposals.recv()).await?.context("a proposal")?;
    let Incoming::Message(proposal) = heard else { anyhow::bail!("a proposal was missed: {heard:?}") };
    let at = ["a", "b", "c"].iter().position(|name| *name == proposal.from.as_str()).context("an honest node")?;
    Ok((at, proposal))
}

/// How the checkpoint of `slot` ended at its proposer: with so many attestations on L1, or not there.
fn outcome(event: &SequencerEvent, slot: Slot) -> Option<Option<usize>> {
    if let SequencerEvent::CheckpointPublished { slot: of, landed } = event {
        return (*of == slot).then_some(Some(landed.attestations));
    }
    let (SequencerEvent::CheckpointPublishFailed { slot: of, .. }
    | SequencerEvent::CheckpointDiscarded { slot: of, .. }
    | SequencerEvent::SlotMissed { slot: of, .. }) = event
    else {
        return None;
    };
    (*of == slot).then_some(None)
}
