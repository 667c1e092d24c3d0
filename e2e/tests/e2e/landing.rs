//! Checkpoints land, slot after slot; and when one does not, the head goes back.

use alloy::primitives::U256;
use fermata_e2e::{Net, NetOptions, WarpOptions};
use fermata_execution::Execution;
use fermata_primitives::{CheckpointNumber, Epoch, Slot};
use fermata_sequencer::dev::prefunded_accounts;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::Drain;

use crate::nodes::story_slots;

type Result<T = ()> = anyhow::Result<T>;

/// Slots of the checkpoints that landed, in order, with how many blocks each had.
fn landed(watch: &fermata_e2e::Watch) -> Vec<(Slot, usize)> {
    let slot_and_blocks = |event: &SequencerEvent| {
        if let SequencerEvent::CheckpointPublished { slot, landed } = event {
            return Some((*slot, landed.blocks));
        }
        None
    };
    watch.seen().iter().filter_map(slot_and_blocks).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_in_a_row_land_a_checkpoint_of_several_blocks_and_a_fresh_node_rebuilds_them_from_l1_alone() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.checkpoint(story_slots(12)?).await?;
    watch.assert_no_failures();
    let slots = landed(&watch);
    let consecutive = slots.windows(2).all(|pair| pair[0].0.next() == pair[1].0);
    assert!(consecutive, "{slots:?}");
    assert!(slots.iter().all(|(_, blocks)| *blocks > 1), "{slots:?}");

    let head = node.stop(Drain::Graceful).await?.expect("it ran").head;
    let pending = net.pending().await?;
    assert_eq!(net.archive_at(pending).await?, head.hash, "the contract has our head");
    let state_root = state_root(&node, head.hash).await?;

    let fresh = net.open_node("b").await?;
    let mut tip = fresh.node().workshop().chain.tip();
    tip.wait_for(|tip| tip.is_some_and(|tip| tip.number == pending)).await?;
    assert_eq!(fresh.node().workshop().chain.heads().await?.unsafe_head.hash, head.hash);
    assert_eq!(self::state_root(&fresh, head.hash).await?, state_root);
    fresh.close().await?;
    node.close().await
}

async fn state_root(node: &fermata_e2e::NetNode, block: alloy::primitives::B256) -> Result<alloy::primitives::B256> {
    let block = node.node().execution().block(block).await?.expect("the head is stored");
    Ok(block.header().state_root)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_names_the_committee_and_the_proposer_that_the_node_computed() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let workshop = node.node().workshop();
    let slot = workshop.timetable.target_slot(workshop.clock.now());
    for slot in (slot.0..slot.0 + 8).map(Slot) {
        let committee = workshop.committees.of_slot(slot).await?;
        let start = U256::from(workshop.view.times().start_of(slot).0);
        assert_eq!(net.rollup().getCommitteeAt(start).call().await?, committee.members, "slot {slot}");
        let proposer = committee.proposer(slot).expect("there is a committee");
        assert_eq!(net.rollup().getProposerAt(start).call().await?, proposer, "slot {slot}");
    }
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committee_that_is_drawn_anew_before_it_is_settled_is_read_anew() -> Result {
    let net = Net::start_with(NetOptions { epoch_slots: 8, ..NetOptions::default() }).await?;
    let node = net.open_node("a").await?;
    let workshop = node.node().workshop();
    let epoch_now = net.times().epoch_of(net.times().slot_at(net.chain().l1_clock.head().timestamp));
    let (epoch, next) = (Epoch(epoch_now.0 + 1), net.times().first_slot(Epoch(epoch_now.0 + 2)));
    net.warp_to_epoch([], epoch, WarpOptions::default()).await?.leave_stopped();
    let before = workshop.committees.of_slot(next).await?;
    // What the first checkpoint of an epoch does besides landing: it gives the next epoch its randomness.
    let anyone = prefunded_accounts()[9].address();
    let receipt = net.rollup().setupEpoch().from(anyone).send().await?.get_receipt().await?;
    assert!(receipt.status(), "{receipt:?}");
    let after = workshop.committees.of_slot(next).await?;
    let seed = net.rollup().getSampleSeedAt(U256::from(net.times().start_of(next).0)).call().await?;
    assert_eq!(after.seed, seed);
    assert_ne!(before.seed, seed, "the draw was settled before it could be");
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_inclusion_fails_is_reported_and_the_head_goes_back_to_what_l1_has() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.checkpoint(1).await?;
    let paused = net.chain().l1_clock.pause_interval().await;
    let proposed = |event: &SequencerEvent| {
        if let SequencerEvent::CheckpointProposed { slot, .. } = event { Some(*slot) } else { None }
    };
    let slot = watch.until("proposal", proposed).await?;
    // L1 stands still while the slot goes by; when it goes on, the slot is over.
    let later = |event: &SequencerEvent| event.slot().filter(|of| of.0 >= slot.0 + 2);
    watch.until("slot after the next", later).await?;
    drop(paused);
    let failed = |event: &SequencerEvent| matches!(event, SequencerEvent::CheckpointPublishFailed { .. }).then_some(());
    watch.until("failure", failed).await?;
    node.stop(Drain::Graceful).await?;
    let heads = node.node().workshop().chain.heads().await?;
    assert_eq!(heads.unsafe_head.hash, net.archive_at(net.pending().await?).await?);

    let before = net.pending().await?;
    node.start().await?;
    watch.checkpoint(before.0 + 1).await?;
    assert!(net.pending().await? > CheckpointNumber(1), "publishing goes on");
    node.close().await
}
