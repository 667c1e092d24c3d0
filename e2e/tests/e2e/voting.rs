//! What a slot votes for, with its checkpoint or without one, as the contracts count it.

use std::collections::BTreeSet;

use alloy::consensus::BlockHeader as _;
use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolEvent as _;
use anyhow::{Context as _, ensure};
use fermata_anvil::{EscapeHatchConfig, SlashingConfig};
use fermata_e2e::{Net, NetOptions, Seat, WarpOptions, Watch};
use fermata_primitives::{Epoch, L1Timestamp, Slot};
use fermata_rollup::contracts::{IErc20, IEscapeHatch, IGovernanceProposer, ISlashingProposer};
use fermata_sequencer::actions::ActionKind::{self, GovernanceSignal, Propose, SlashingVote};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::network::ProposedBlock;
use futures::FutureExt as _;
use futures::future::select_all;

use crate::hostile::Arena;

type Result<T = ()> = anyhow::Result<T>;

/// A slot's transaction on L1, and which of its actions took effect.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) slot: Slot,
    pub(crate) l1_tx: B256,
    pub(crate) succeeded: Vec<ActionKind>,
}

/// Takes the end of a bundle in which an action of this kind took effect.
pub(crate) fn landed(kind: ActionKind) -> impl Fn(&SequencerEvent) -> Option<Landed> {
    move |event| {
        let SequencerEvent::ActionsEnded { slot, l1_tx: Some(l1_tx), actions } = event else { return None };
        let succeeded = actions.succeeded.clone();
        succeeded.contains(&kind).then_some(Landed { slot: *slot, l1_tx: *l1_tx, succeeded })
    }
}

/// Waits until one of the nodes does what `wanted` takes.
pub(crate) async fn any_of<T: Send>(
    watches: &mut [Watch],
    what: &str,
    wanted: impl Fn(&SequencerEvent) -> Option<T> + Send + Sync,
) -> Result<T> {
    let (first, ..) = select_all(watches.iter_mut().map(|watch| watch.until(what, &wanted).boxed())).await;
    first
}

/// The transaction's receipt, where its block lies in the slot it was made for.
async fn in_its_slot(net: &Net, landed: &Landed) -> Result<TransactionReceipt> {
    let provider = &net.chain().provider;
    let receipt = provider.get_transaction_receipt(landed.l1_tx).await?.context("it is in a block")?;
    let block = provider.get_block(receipt.block_number.context("it is in a block")?.into()).await?;
    let mined = L1Timestamp(block.context("L1 has the block")?.header.timestamp());
    ensure!(net.times().slot_at(mined) == landed.slot, "{landed:?} was mined at {mined}");
    Ok(receipt)
}

/// The block that holds the transaction, and the one before.
fn around(receipt: &TransactionReceipt) -> Result<[BlockId; 2]> {
    let number = receipt.block_number.context("it is in a block")?;
    Ok([number - 1, number].map(BlockId::from))
}

/// The contract counts one signal more for `payload`, of the slot it was made for.
async fn assert_signal_counts(net: &Net, landed: &Landed, payload: Address) -> Result {
    let receipt = in_its_slot(net, landed).await?;
    let addresses = &net.chain().deployment.addresses;
    let contract = IGovernanceProposer::new(addresses.governance_proposer, net.chain().provider.clone());
    let round = U256::from(landed.slot.0) / contract.ROUND_SIZE().call().await?;
    let signals = async |at: BlockId| contract.signalCount(addresses.rollup, round, payload).block(at).call().await;
    let [before, after] = around(&receipt)?;
    ensure!(signals(after).await? == signals(before).await? + U256::ONE, "{landed:?} does not count");
    Ok(())
}

/// What the slot's slashing vote says of each seat of the epoch before, as the contract has counted it.
async fn counted_vote(net: &Net, landed: &Landed) -> Result<Vec<(Address, u8)>> {
    let receipt = in_its_slot(net, landed).await?;
    let cast = receipt.logs().iter().find_map(|log| ISlashingProposer::VoteCast::decode_log(&log.inner).ok());
    let cast = cast.context("the contract tells of the vote")?;
    ensure!(cast.slot == U256::from(landed.slot.0), "{landed:?} counts for slot {}", cast.slot);
    let contract = ISlashingProposer::new(cast.address, net.chain().provider.clone());
    let [_, after] = around(&receipt)?;
    let votes = contract.getRound(cast.round).block(after).call().await?.voteCount;
    let index = votes.checked_sub(U256::ONE).context("the vote counts")?;
    let vote: Bytes = contract.getVotes(cast.round, index).call().await?;
    let accused = cast.round - U256::ONE;
    let committee = net.rollup().getEpochCommittee(accused).call().await?;
    Ok(committee
        .into_iter()
        .enumerate()
        .map(|(seat, member)| (member, vote[seat / 4] >> (2 * (seat % 4)) & 3))
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_for_governance_lands_in_one_transaction_with_the_checkpoint_and_counts_in_its_slot() -> Result {
    let net = Net::start().await?;
    // Any contract will do as a payload, as long as nobody carries it out.
    let payload = net.chain().deployment.addresses.registry;
    let node = net.open_node_with("a", &[("votes.governance_payload", &payload.to_string())]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    for _ in 0..2 {
        // The slot that the start fell into may be too far gone for a checkpoint.
        let signal = watch.until("bundle with a checkpoint", landed(Propose)).await?;
        assert_eq!(signal.succeeded, [Propose, GovernanceSignal]);
        let checkpoint = watch.until("the slot's checkpoint", |event| {
            let SequencerEvent::CheckpointPublished { slot, landed } = event else { return None };
            (*slot == signal.slot).then_some(landed.l1_tx)
        });
        assert_eq!(checkpoint.await?, signal.l1_tx, "one slot sends one transaction");
        assert_signal_counts(&net, &signal, payload).await?;
    }
    watch.assert_no_failures();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_alone_and_no_quorum_votes_in_its_slots_and_lands_no_checkpoint() -> Result {
    let net = Net::start().await?;
    let payload = net.chain().deployment.addresses.registry;
    let half = Seat { place: 0, of: 2 };
    let node = net.open_member("a", half, &[("votes.governance_payload", &payload.to_string())]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    for _ in 0..2 {
        let missed = watch.until("slot without others", |event| {
            let SequencerEvent::SlotMissed { slot, reason } = event else { return None };
            reason.contains("there is no other node").then_some(*slot)
        });
        let missed = missed.await?;
        let signal = watch.until("its signal", |event| landed(GovernanceSignal)(event).filter(|it| it.slot == missed));
        let signal = signal.await?;
        assert_eq!(signal.succeeded, [GovernanceSignal]);
        assert_signal_counts(&net, &signal, payload).await?;
    }
    assert_eq!(net.pending().await?.0, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposer_whose_committee_does_not_attest_votes_all_the_same() -> Result {
    let net = Net::start_with(NetOptions { slot_secs: 4, ..NetOptions::default() }).await?;
    let payload = net.chain().deployment.addresses.registry;
    let proposer = Seat { place: 0, of: 2 };
    let node = net.open_member("a", proposer, &[("votes.governance_payload", &payload.to_string())]).await?;
    // It is there, and hears nothing: nobody has started it.
    let silent = net.open_member("b", Seat { place: 1, of: 2 }, &[]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let failed = watch.until("checkpoint without a quorum", |event| {
        let SequencerEvent::CheckpointPublishFailed { slot, reason, .. } = event else { return None };
        reason.contains("2 of 4 attested").then_some(*slot)
    });
    let failed = failed.await?;
    let signal = watch.until("its signal", |event| landed(GovernanceSignal)(event).filter(|it| it.slot == failed));
    let signal = signal.await?;
    assert_eq!(signal.succeeded, [GovernanceSignal]);
    assert_signal_counts(&net, &signal, payload).await?;
    assert_eq!(net.pending().await?.0, 0);
    node.close().await?;
    silent.close().await
}

/// Epochs of two slots, and a hatch that fits them.
async fn with_escape_hatch() -> Result<(Net, EscapeHatchConfig)> {
    let hatch = EscapeHatchConfig::default();
    let options = NetOptions { epoch_slots: 2, proof_submission_epochs: 1, ..NetOptions::default() };
    Ok((Net::start_deployed(options, |deploy| deploy.escape_hatch = Some(hatch)).await?, hatch))
}

/// Has a candidate drawn for the escape hatch, and goes on to just before it opens: the epoch in which it does.
async fn draw_candidate(net: &Net, config: EscapeHatchConfig) -> Result<Epoch> {
    let (provider, times) = (net.chain().provider.clone(), net.times());
    let candidate = net.chain().accounts.deployer.address();
    let hatch = IEscapeHatch::new(net.rollup().getEscapeHatch().call().await?, provider.clone());
    let stake = IErc20::new(net.chain().deployment.addresses.staking_asset, provider);
    for call in [stake.mint(candidate, config.bond).calldata(), stake.approve(*hatch.address(), config.bond).calldata()]
    {
        send(net, candidate, *stake.address(), call.clone()).await?;
    }
    // Who joins in the first epoch of a hatch is in the set that the next draw is made from.
    let now = times.epoch_of(times.slot_at(net.chain().l1_clock.head().timestamp));
    let joins = now.next().0.next_multiple_of(config.frequency_epochs);
    let draws = joins + config.frequency_epochs;
    for (epoch, call) in
        [(joins, hatch.joinCandidateSet().calldata().clone()), (draws, hatch.selectCandidates().calldata().clone())]
    {
        drop(net.warp_to_epoch([], Epoch(epoch), WarpOptions::default()).await?);
        send(net, candidate, *hatch.address(), call).await?;
    }
    let opens = Epoch(draws + config.lag_hatches * config.frequency_epochs);
    let before = Slot(times.first_slot(opens).0 - 3);
    drop(net.warp_to_slot([], before, WarpOptions::default()).await?);
    Ok(opens)
}

/// Sends a call of an account that anvil signs for, and waits until it is mined.
async fn send(net: &Net, from: Address, to: Address, call: Bytes) -> Result {
    let request = alloy::rpc::types::TransactionRequest::default().from(from).to(to).input(call.into());
    let receipt = net.chain().provider.send_transaction(request).await?.get_receipt().await?;
    ensure!(receipt.status(), "{to} refuses: {receipt:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_escape_hatch_is_open_a_node_votes_and_proposes_nothing_and_afterwards_it_proposes_again() -> Result {
    let (net, config) = with_escape_hatch().await?;
    let opens = draw_candidate(&net, config).await?;
    let payload = net.chain().deployment.addresses.registry;
    let node = net.open_node_with("a", &[("votes.governance_payload", &payload.to_string())]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;

    let (first, closed) =
        (net.times().first_slot(opens), net.times().first_slot(Epoch(opens.0 + config.active_epochs)));
    let signal = watch.until("signal", |event| landed(GovernanceSignal)(event).filter(|it| it.slot >= first)).await?;
    assert_eq!((signal.slot, signal.succeeded.as_slice()), (first, [GovernanceSignal].as_slice()));
    assert_signal_counts(&net, &signal, payload).await?;

    let published = |event: &SequencerEvent| {
        let SequencerEvent::CheckpointPublished { slot, .. } = event else { return None };
        (*slot >= first).then_some(*slot)
    };
    let again = watch.until("checkpoint", published).await?;
    assert!(again >= closed, "slot {again} belongs to the hatch, which closes with {closed}");
    let left_out: BTreeSet<Slot> = watch.seen().iter().filter_map(left_out_for_the_hatch).collect();
    assert_eq!(left_out, (first.0..closed.0).map(Slot).collect());
    Ok(())
}

fn left_out_for_the_hatch(event: &SequencerEvent) -> Option<Slot> {
    let SequencerEvent::CheckpointLeftOut { slot, reason } = event else { return None };
    reason.contains("the escape hatch is open").then_some(*slot)
}

/// Three honest nodes with `changes`, and a round of slashing votes each epoch of four slots, on the one before.
async fn arena_with_short_rounds(changes: &[(&str, &str)]) -> Result<Arena> {
    let options = NetOptions { slot_secs: 4, epoch_slots: 4, ..NetOptions::default() };
    let slashing = SlashingConfig { round_epochs: 1, offset_rounds: 1, ..SlashingConfig::default() };
    let net = Net::start_deployed(options, |deploy| deploy.slashing = slashing).await?;
    Arena::over(net, changes).await
}

/// The next slashing vote of one of the honest nodes is against the fourth validator alone, of this many units.
async fn assert_voted_against(arena: &mut Arena, units: u8) -> Result<Landed> {
    let vote = any_of(&mut arena.watches, "slashing vote", landed(SlashingVote)).await?;
    for (member, found) in counted_vote(&arena.net, &vote).await? {
        let wanted = if member == arena.key.address() { units } else { 0 };
        assert_eq!(found, wanted, "{member} in {vote:?}");
    }
    Ok(vote)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_absent_for_an_epoch_is_voted_against_in_the_next_and_the_vote_counts_in_its_slot() -> Result {
    let mut arena = arena_with_short_rounds(&[("votes.inactivity_units", "2")]).await?;
    let vote = assert_voted_against(&mut arena, 2).await?;
    assert_eq!(vote.succeeded, [Propose, SlashingVote]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_proposes_two_things_for_a_slot_is_voted_against_in_the_next_epoch() -> Result {
    let mut arena = arena_with_short_rounds(&[("votes.inactivity_units", "0")]).await?;
    let (slot, committee) = arena.its_turn().await?;
    for garbage in [1, 2] {
        let block = arena.forged_block(slot, &committee, vec![Bytes::from(vec![garbage])]).await?;
        arena.send(arena.signed(ProposedBlock { slot, index: 0, block }, &arena.key)?).await?;
    }
    let vote = assert_voted_against(&mut arena, 3).await?;
    let times = arena.net.times();
    assert_eq!(times.epoch_of(vote.slot), times.epoch_of(slot).next());
    Ok(())
}
