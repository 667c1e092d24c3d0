//! Several nodes, each with some of the validators.

use std::time::Duration;

use anyhow::Result;
use fermata_e2e::{Net, NetOptions, Seat, Watch};
use fermata_primitives::Slot;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::network::{LinkSettings, NodeId, Share};

use crate::nodes::{FOUR, Nodes, publishes};

/// Goes on by so many checkpoints at every node, or by as many as `STORY_SLOTS` asks for.
async fn go_on(all: &mut Nodes, usually: u64) -> Result<()> {
    let asked = std::env::var("STORY_SLOTS").ok().and_then(|asked| asked.parse().ok());
    let (mut left, every): (u64, Vec<usize>) = (asked.unwrap_or(usually), (0..all.nodes.len()).collect());
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

/// Waits until the node has heard another's block, and will be asked to attest.
async fn anothers_turn(watch: &mut Watch) -> Result<Slot> {
    watch
        .until("another's turn", |event| event.slot().filter(|_| matches!(event, SequencerEvent::BlockHeard { .. })))
        .await
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
    for (at, drain, is_proposing) in
        [(0, Drain::Graceful, true), (1, Drain::Interrupt, false), (2, Drain::Interrupt, true)]
    {
        let watch = &mut all.watches[at];
        if is_proposing {
            its_turn(watch).await?
        } else {
            anothers_turn(watch).await?
        };
        let report = all.nodes[at].stop(drain).await?.expect("it ran");
        assert!(report.failures.is_empty(), "{report:?}");
        let others: Vec<usize> = (0..FOUR.len()).filter(|other| *other != at).collect();
        all.go_on_by(2, &others).await?;
        all.watches[at] = all.net.watch(&all.nodes[at]);
        all.nodes[at].start().await?;
        publishes(&mut all.watches[at]).await?;
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
