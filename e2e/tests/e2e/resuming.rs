//! A proposer that comes back in the middle of a slot goes on with what it had signed for it.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use anyhow::{Context as _, ensure};
use fermata_e2e::{HeldTransactions, L1Block, Net, NetNode, NetOptions, SlotBegins, Watch};
use fermata_primitives::{Clock as _, Slot};
use fermata_sequencer::drain::{DrainedWork, Ending};
use fermata_sequencer::events::{PublishedCheckpoint, SequencerEvent};
use fermata_sequencer::lifecycle::Drain;
use fermata_validator_signer::{Duty, DutyKind};

type Result<T = ()> = anyhow::Result<T>;

/// Two blocks early in a slot, so that there is time to come back in it.
const EARLY: &[(&str, &str)] = &[("timetable.max_blocks", "2")];

async fn net() -> Result<Net> {
    Net::start_with(NetOptions { slot_secs: 6, ..NetOptions::default() }).await
}

/// Time to come back in a slot after half of the one before.
async fn long_slots() -> Result<Net> {
    Net::start_with(NetOptions { slot_secs: 10, ..NetOptions::default() }).await
}

fn proposed(event: &SequencerEvent) -> Option<(Slot, u16, B256)> {
    if let SequencerEvent::BlockProposed { slot, index, hash, .. } = event {
        Some((*slot, *index, *hash))
    } else {
        None
    }
}

fn resumed(event: &SequencerEvent) -> Option<(Slot, usize)> {
    if let SequencerEvent::SlotResumed { slot, blocks, .. } = event { Some((*slot, *blocks)) } else { None }
}

fn missed(event: &SequencerEvent) -> Option<(Slot, String)> {
    if let SequencerEvent::SlotMissed { slot, reason } = event { Some((*slot, reason.clone())) } else { None }
}

/// The next checkpoint of the node that lands, and its slot.
async fn landed(watch: &mut Watch) -> Result<(Slot, PublishedCheckpoint)> {
    let landed = |event: &SequencerEvent| {
        let SequencerEvent::CheckpointPublished { slot, landed } = event else { return None };
        Some((*slot, PublishedCheckpoint::clone(landed)))
    };
    watch.until("landing", landed).await
}

/// Stops the node at once, starts it again, and gives the slot it goes on with and its blocks.
async fn stopped_and_started(net: &Net, node: &NetNode) -> Result<(Watch, Slot, usize)> {
    node.stop(Drain::Interrupt).await?.context("it ran")?;
    let mut watch = net.watch(node);
    node.start().await?;
    let (slot, blocks) = watch.until("resumed slot", resumed).await?;
    Ok((watch, slot, blocks))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_cut_by_a_stop_lands_with_the_blocks_that_were_signed_and_the_others_attest_it() -> Result {
    let net = net().await?;
    let nodes = net.open_nodes(&["a", "b"], &[]).await?;
    let (mut watch, mut other) = (net.watch(&nodes[0]), net.watch(&nodes[1]));
    futures::future::try_join_all(nodes.iter().map(NetNode::start)).await?;
    // By the third block of a slot the checkpoint before it has landed.
    let third = |event: &SequencerEvent| proposed(event).filter(|(_, index, _)| *index == 2);
    let (slot, _, signed) = watch.until("third block", third).await?;
    let (mut watch, resumed, blocks) = stopped_and_started(&net, &nodes[0]).await?;
    ensure!(resumed == slot && blocks >= 3, "slot {resumed} goes on with {blocks} blocks, and slot {slot} was cut");
    let again = watch.until("third block again", third).await?;
    assert_eq!(again, (slot, 2, signed));
    let (of, landed) = landed(&mut watch).await?;
    assert_eq!(of, slot);
    assert!(landed.blocks >= blocks && landed.attestations >= 3, "{landed:?}");
    assert_eq!(watch.failures(), Vec::<&SequencerEvent>::new());
    other.catch_up();
    let is_wrong = |event: &&SequencerEvent| {
        matches!(event, SequencerEvent::EquivocationSeen { .. } | SequencerEvent::KeyHalted { .. })
    };
    assert_eq!(other.seen().iter().find(is_wrong), None, "what it says again is the same");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_was_signed_before_a_stop_is_the_one_that_lands() -> Result {
    let net = net().await?;
    let node = net.open_node_with("a", EARLY).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let is_proposed = |event: &SequencerEvent| {
        if let SequencerEvent::CheckpointProposed { slot, blocks, .. } = event { Some((*slot, *blocks)) } else { None }
    };
    let (slot, blocks) = watch.until("proposal", is_proposed).await?;
    let signed: Vec<_> = watch.seen().iter().filter_map(proposed).filter(|(of, ..)| *of == slot).collect();
    let (mut watch, resumed, resumed_blocks) = stopped_and_started(&net, &node).await?;
    assert_eq!((resumed, resumed_blocks), (slot, blocks));
    let (of, landed) = landed(&mut watch).await?;
    assert_eq!((of, landed.blocks), (slot, blocks));
    assert_eq!(Some(net.archive_at(landed.checkpoint).await?), signed.last().map(|(_, _, hash)| *hash));
    watch.assert_no_failures();
    node.close().await
}

/// A node whose checkpoint L1 has in its pool and does not mine is stopped in the slot that is built on it, and started again.
struct OnHeld<'a> {
    node: NetNode,
    held: HeldTransactions,
    /// What it has told since it was started again.
    watch: Watch,
    cut: Slot,
    net: &'a Net,
}

impl<'a> OnHeld<'a> {
    async fn begin(net: &'a Net) -> Result<Self> {
        let node = net.open_node("a").await?;
        let mut watch = net.watch(&node);
        node.start().await?;
        let (last, _) = landed(&mut watch).await?;
        let held = net.l1().hold_txs().await;
        // By then the checkpoint before it is in the pool.
        let fifth =
            |event: &SequencerEvent| proposed(event).filter(|(slot, index, _)| *slot > last.next() && *index == 4);
        let (cut, ..) = watch.until("fifth block", fifth).await?;
        let report = node.stop(Drain::Interrupt).await?.context("it ran")?;
        let is_in_flight = |work: &DrainedWork| matches!(work.ending, Ending::InFlight { .. });
        ensure!(report.work.iter().any(is_in_flight), "the checkpoint before was not sent: {report:?}");
        let watch = net.watch(&node);
        node.start().await?;
        Ok(Self { node, held, watch, cut, net })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_cut_waits_for_the_checkpoint_it_is_built_on() -> Result {
    let net = long_slots().await?;
    let OnHeld { node, held, mut watch, cut, net } = OnHeld::begin(&net).await?;
    net.wait(L1Block(net.l1().head().number + 1)).await?;
    watch.catch_up();
    assert_eq!(watch.seen().iter().find_map(resumed), None, "it stands on nothing yet");
    held.release();
    let (slot, blocks) = watch.until("resumed slot", resumed).await?;
    assert!(slot == cut && blocks >= 5, "slot {slot} goes on with {blocks} blocks, and slot {cut} was cut");
    assert_eq!(landed(&mut watch).await?.0, cut);
    watch.assert_no_failures();
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_cut_is_missed_where_the_checkpoint_it_is_built_on_does_not_land_in_time() -> Result {
    let net = long_slots().await?;
    let OnHeld { node, held, mut watch, cut, .. } = OnHeld::begin(&net).await?;
    let (slot, reason) = watch.until("missed slot", missed).await?;
    assert_eq!(slot, cut);
    assert!(reason.contains("is built on"), "{reason}");
    held.release();
    let (next, _) = landed(&mut watch).await?;
    assert!(next > cut, "slot {next}");
    assert_eq!(watch.seen().iter().find_map(resumed), None);
    node.close().await
}

async fn proposer(node: &NetNode, slot: Slot) -> Result<Address> {
    let committee = node.node().workshop().committees.of_slot(slot).await?;
    committee.proposer(slot).context("there is a committee")
}

/// Makes the duty of the slot's proposer for block `index` taken: by bytes that are no block, or by nobody knows what.
async fn take(node: &NetNode, slot: Slot, index: u16, kept: Option<&[u8]>) -> Result {
    let duty = Duty { validator: proposer(node, slot).await?, slot, kind: DutyKind::BlockProposal { index } };
    let (store, digest) = (Arc::clone(node.node().workshop().signer.protection()), B256::repeat_byte(7));
    let taken = match kept {
        Some(kept) => store.reserve_with_payload(duty, digest, kept, None).await,
        None => store.reserve(duty, digest).await,
    };
    drop(taken?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_signed_block_cannot_be_read_is_missed_for_that_reason_and_the_next_lands() -> Result {
    let net = net().await?;
    let node = net.open_node("a").await?;
    let now = net.wait(SlotBegins(net.slot().next())).await?;
    let slot = node.node().timetable().target_slot(net.clock().now());
    take(&node, slot, 0, Some(b"no block")).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let (of, reason) = watch.until("missed slot", missed).await?;
    assert_eq!(of, slot, "after {now:?}");
    assert!(reason.contains("cannot be read"), "{reason}");
    assert_eq!(landed(&mut watch).await?.0, slot.next());
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_may_not_be_signed_leaves_nothing_of_itself_in_the_blobs_which_the_others_compute_anew() -> Result
{
    let net = net().await?;
    let nodes = net.open_nodes(&["a", "b"], &[]).await?;
    let slot = Slot(nodes[0].node().timetable().target_slot(net.clock().now()).0 + 1);
    let validator = proposer(&nodes[0], slot).await?;
    let holds = |node: &&NetNode| node.node().workshop().signer.holds(validator);
    let node = nodes.iter().find(holds).context("one of them has its key")?;
    take(node, slot, 1, None).await?;
    let mut watch = net.watch(node);
    futures::future::try_join_all(nodes.iter().map(NetNode::start)).await?;
    let failed = |event: &SequencerEvent| {
        matches!(event, SequencerEvent::BlockBuildFailed { slot: of, .. } if *of == slot).then_some(())
    };
    watch.until("block that is not signed", failed).await?;
    let (of, landed) = landed(&mut watch).await?;
    assert_eq!((of, landed.blocks), (slot, 1));
    assert!(landed.attestations >= 3, "{landed:?}");
    Ok(())
}
