//! Several nodes, each with some of the validators.

use std::time::Duration;

use anyhow::Result;
use fermata_e2e::{Net, NetOptions, Seat, Watch};
use fermata_primitives::Slot;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::network::{LinkSettings, NodeId, Share};

use crate::nodes::{FOUR, Nodes, publishes, story_slots};

/// Goes on by so many checkpoints at every node, or by as many as are asked for.
async fn go_on(all: &mut Nodes, usually: u64) -> Result<()> {
    let (mut left, every): (u64, Vec<usize>) = (story_slots(usually)?, (0..all.nodes.len()).collect());
    while left > 0 {
        let some = left.min(10);
        all.go_on_by(some, &every).await?;
        left -= some;
    }
    Ok(())
}

/// Waits until it is the node's turn.
async fn its_turn(watch: &mut Watch) -> Result<Slot> {
    watch.until("turn", |event| event.slot().filter(|_| matches!(event, SequencerEvent::BlockProposed { .. }))).await
}

/// Whether an event is the moment that is waited for.
type Moment = fn(&SequencerEvent) -> bool;

/// The node at which such an event comes first, from now on.
async fn first_with(all: &mut Nodes, wanted: Moment) -> Result<usize> {
    all.watches.iter_mut().for_each(Watch::catch_up);
    let (at, ()) = all.next_with("turn", |event| wanted(event).then_some(())).await?;
    Ok(at)
}

const fn proposes(event: &SequencerEvent) -> bool {
    matches!(event, SequencerEvent::BlockProposed { .. })
}

/// It has heard another's block, and will be asked to attest.
const fn attests(event: &SequencerEvent) -> bool {
    matches!(event, SequencerEvent::BlockHeard { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_with_a_validator_each_land_a_checkpoint_in_every_slot() -> Result<()> {
    let options = NetOptions { slot_secs: 4, ..NetOptions::default() };
    let mut all = Nodes::start(options, &FOUR, &[]).await?;
    let first = all.next_whole_slot();
    go_on(&mut all, 7).await?;
    all.assert_every_slot(first).await?;
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_with_sixteen_validators_each_land_a_checkpoint_in_every_slot() -> Result<()> {
    let options = NetOptions { slot_secs: 4, validators: 48, ..NetOptions::default() };
    let mut all = Nodes::start(options, &["a", "b", "c"], &[]).await?;
    let first = all.next_whole_slot();
    go_on(&mut all, 5).await?;
    all.assert_every_slot(first).await?;
    all.assert_one_chain().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_is_no_sequencer_attests_and_never_proposes() -> Result<()> {
    let net = Net::start_with(NetOptions { slot_secs: 4, ..NetOptions::default() }).await?;
    let proposer = net.open_member("a", Seat { place: 0, of: 2 }, &[]).await?;
    let attester = net.open_member("b", Seat { place: 1, of: 2 }, &[("node.roles", "validator")]).await?;
    let (mut proposing, mut attesting) = (net.watch(&proposer), net.watch(&attester));
    attester.start().await?;
    proposer.start().await?;
    // Neither has a quorum by itself.
    proposing.checkpoint(2).await?;
    let attested = |event: &SequencerEvent| matches!(event, SequencerEvent::CheckpointAttested { .. });
    attesting.until("attestation", |event| attested(event).then_some(())).await?;
    attesting.catch_up();
    assert!(!attesting.seen().iter().any(|event| matches!(event, SequencerEvent::BlockBuilt { .. })));
    proposer.close().await?;
    attester.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_late_messages_cost_no_slot() -> Result<()> {
    let options = NetOptions { slot_secs: 4, ..NetOptions::default() };
    let mut all = Nodes::start(options, &FOUR, &[("timetable.peer_ms", "300")]).await?;
    all.net.hub().set_every_link(LinkSettings {
        latency: Duration::from_millis(250),
        jitter: Duration::from_millis(40),
        loss: Share::percent(10),
        ..LinkSettings::default()
    });
    all.go_on_by(1, &[0]).await?;
    let first = all.next_whole_slot();
    all.go_on_by(6, &[0, 1, 2, 3]).await?;
    all.assert_every_slot(first).await?;
    all.assert_one_chain().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stopped_while_it_proposes_or_attests_stops_nobody_else_and_publishes_when_it_is_back()
-> Result<()> {
    let options = NetOptions { slot_secs: 4, ..NetOptions::default() };
    let mut all = Nodes::start(options, &FOUR, &[]).await?;
    all.go_on_by(1, &[0, 1, 2, 3]).await?;
    let mut stopped = Vec::new();
    let moments: [(Drain, Moment); 3] =
        [(Drain::Graceful, proposes), (Drain::Interrupt, attests), (Drain::Interrupt, proposes)];
    for (drain, moment) in moments {
        let at = first_with(&mut all, moment).await?;
        let report = all.nodes[at].stop(drain).await?.expect("it ran");
        assert!(report.failures.is_empty(), "{report:?}");
        let others: Vec<usize> = (0..FOUR.len()).filter(|other| *other != at).collect();
        all.go_on_by(1, &others).await?;
        all.watches[at] = all.net.watch(&all.nodes[at]);
        all.nodes[at].start().await?;
        stopped.push(at);
    }
    for at in stopped {
        all.watches[at].catch_up();
        let published = |event: &SequencerEvent| matches!(event, SequencerEvent::CheckpointPublished { .. });
        if !all.watches[at].seen().iter().any(published) {
            publishes(&mut all.watches[at]).await?;
        }
    }
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_vanishes_while_it_proposes_comes_back_to_its_stores_and_publishes() -> Result<()> {
    let options = NetOptions { slot_secs: 4, ..NetOptions::default() };
    let mut all = Nodes::start(options, &FOUR, &[]).await?;
    its_turn(&mut all.watches[3]).await?;
    // Without a stop: what it was about to do is not done, and nobody is told.
    all.watches.pop();
    let vanished = all.nodes.pop().expect("there are four");
    vanished.close().await?;
    all.go_on_by(2, &[0, 1, 2]).await?;
    let back = all.net.open_member("d", Seat { place: 3, of: 4 }, &[]).await?;
    all.watches.push(all.net.watch(&back));
    all.nodes.push(back);
    all.nodes[3].start().await?;
    publishes(&mut all.watches[3]).await?;
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_leaves_the_majority_working_and_when_it_heals_all_agree() -> Result<()> {
    let options = NetOptions { slot_secs: 4, ..NetOptions::default() };
    let mut all = Nodes::start(options, &FOUR, &[]).await?;
    all.go_on_by(1, &[0, 1, 2, 3]).await?;
    let ids: Vec<NodeId> = FOUR.iter().map(|name| NodeId::new(name)).collect();
    all.net.hub().partition(&[&ids[..3], &ids[3..]]);
    let cut = all.next_whole_slot();
    // The one that is cut off still follows L1.
    all.go_on_by(3, &[0, 1, 2, 3]).await?;
    let alone = |slot: &Slot, at: &usize| *slot > cut && *at == 3;
    assert!(!all.published(cut).iter().any(|(slot, at)| alone(slot, at)), "a minority of one is no quorum");
    all.net.hub().heal();
    all.watches[3] = all.net.watch(&all.nodes[3]);
    publishes(&mut all.watches[3]).await?;
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}
