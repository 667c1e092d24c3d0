//! Checkpoints that their proposer attests and keeps from L1, since its operator switched publishing off.

use anyhow::{Context as _, Result, ensure};
use fermata_anvil::Warp;
use fermata_e2e::{NetNode, NetOptions, WarpOptions, Watch};
use fermata_primitives::Slot;
use fermata_sequencer::config::Setting;
use fermata_sequencer::drain::{DrainOutcome, Ending};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::explain::Verdict;
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::status::{HealthStatus, StatusSource as _};
use futures::future::try_join_all;

use crate::nodes::{FOUR, Nodes, head, publishes};
use crate::orphans::{places_on_l1, send};

/// Four nodes of which the next proposer publishes nothing, and which that is.
async fn four_with_one_that_withholds() -> Result<(Nodes, usize)> {
    let options = NetOptions { slot_secs: 4, ..NetOptions::default() };
    let mut all = Nodes::start(options, &FOUR, &[]).await?;
    all.go_on_by(1, &[0, 1, 2, 3]).await?;
    let slot = all.next_whole_slot();
    let committee = all.nodes[0].node().workshop().committees.of_slot(slot).await?;
    let proposer = committee.proposer(slot).context("there is a committee")?;
    let keys = |node: &NetNode| node.node().workshop().signer.addresses();
    let at = all.nodes.iter().position(|node| keys(node).contains(&proposer)).context("it is one of theirs")?;
    set_publishing(&all.nodes[at], "no")?;
    all.watches[at] = all.net.watch(&all.nodes[at]);
    Ok((all, at))
}

/// Waits until the one has withheld a checkpoint that all others have attested: its slot.
async fn withheld_and_attested(all: &mut Nodes, by: usize) -> Result<Slot> {
    let slot = all.watches[by].until("withheld checkpoint", withheld).await?;
    for (_, watch) in all.watches.iter_mut().enumerate().filter(|(at, _)| *at != by) {
        sees(watch, "attestation", slot, attested).await?;
    }
    Ok(slot)
}

/// Sets, in the running node, whether its checkpoints go to L1.
fn set_publishing(node: &NetNode, word: &str) -> Result<()> {
    let set = node.node().settings().set(&[Setting::new("sequencer.publish_checkpoints", word, "the test")])?;
    ensure!(set.applied == ["sequencer.publish_checkpoints"], "{set:?}");
    Ok(())
}

fn withheld(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::CheckpointWithheld { slot, .. } = event { Some(*slot) } else { None }
}

fn dropped(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::ProposalDropped { slot, .. } = event { Some(*slot) } else { None }
}

fn attested(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::CheckpointAttested { slot, .. } = event { Some(*slot) } else { None }
}

fn built(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::BlockBuilt { slot, .. } = event { Some(*slot) } else { None }
}

fn heard(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::BlockHeard { slot, .. } = event { Some(*slot) } else { None }
}

/// Waits until the node has seen, or sees, an event that `wanted` takes for `slot`.
async fn sees(watch: &mut Watch, what: &str, slot: Slot, wanted: fn(&SequencerEvent) -> Option<Slot>) -> Result<()> {
    if watch.seen().iter().any(|event| wanted(event) == Some(slot)) {
        return Ok(());
    }
    watch.until(what, |event| wanted(event).filter(|of| *of == slot)).await.map(drop)
}

/// The node says, wherever it is asked, that it is its operator's wish that nothing lands.
async fn tells_why_nothing_lands(node: &NetNode, slot: Slot) -> Result<()> {
    let source = node.node().status_source();
    let status = source.status().await;
    let is_told = status.unready.iter().any(|reason| reason.contains("sequencer.publish_checkpoints"));
    ensure!(is_told && status.health.status == HealthStatus::Ok, "{status:?}");
    let explained = source.explain(Some(slot)).await;
    ensure!(explained.answer.contains("was withheld"), "{explained:?}");
    let check = explained.checks.iter().find(|check| check.name == "publishing").context("it is looked at")?;
    ensure!(check.verdict == Verdict::Fail, "{explained:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withheld_is_dropped_by_every_node_in_time_and_no_failure_of_its_proposer() -> Result<()> {
    let (mut all, by) = four_with_one_that_withholds().await?;
    let users = send(&all.nodes[by], 3).await?;
    let slot = withheld_and_attested(&mut all, by).await?;
    tells_why_nothing_lands(&all.nodes[by], slot).await?;
    for watch in &mut all.watches {
        sees(watch, "drop", slot, dropped).await?;
    }
    assert_eq!(all.watches[by].failures(), Vec::<&SequencerEvent>::new());
    places_on_l1(&mut all, &[users]).await?;

    set_publishing(&all.nodes[by], "yes")?;
    all.watches[by] = all.net.watch(&all.nodes[by]);
    publishes(&mut all.watches[by]).await?;
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_the_head_of_stopped_nodes_until_its_slot_has_passed_and_then_dropped_by_all() -> Result<()> {
    let (mut all, by) = four_with_one_that_withholds().await?;
    let users = send(&all.nodes[by], 3).await?;
    let slot = all.watches[by].until("block of its slot", built).await?;
    for (_, watch) in all.watches.iter_mut().enumerate().filter(|(at, _)| *at != by) {
        sees(watch, "block of its slot", slot, heard).await?;
    }
    all.watches = all.nodes.iter().map(|node| all.net.watch(node)).collect();

    let stops = try_join_all(all.nodes.iter().map(|node| node.stop(Drain::Graceful))).await?;
    let orphan = head(&all.nodes[by]).await?;
    for (at, (node, report)) in all.nodes.iter().zip(stops).enumerate() {
        let report = report.context("it ran")?;
        assert_eq!(report.outcome, DrainOutcome::Drained, "{report:?}");
        let ending = if at == by { Ending::Withheld } else { Ending::Attested { members: 1 } };
        assert!(report.work.iter().any(|work| (work.slot, &work.ending) == (slot, &ending)), "{report:?}");
        assert_eq!((report.head.hash, head(node).await?), (orphan, orphan), "{}: {report:?}", node.name());
    }
    let (in_time, sequencers) =
        (all.net.chain().l1_clock.head().timestamp.plus_secs(600), all.nodes.iter().map(NetNode::sequencer));
    let warped = all.net.warp_with_sequencers_stopped(sequencers, in_time, WarpOptions::default()).await?;
    assert!(matches!(warped.l1(), Warp::Mined(_)), "{warped:?}");
    for (node, watch) in all.nodes.iter().zip(&mut all.watches) {
        sees(watch, "drop", slot, dropped).await?;
        assert_ne!(head(node).await?, orphan, "{} is stopped, and follows time all the same", node.name());
    }

    set_publishing(&all.nodes[by], "yes")?;
    for node in &all.nodes {
        node.start().await?;
    }
    places_on_l1(&mut all, &[users]).await?;
    all.watches.iter_mut().for_each(Watch::assert_no_failures);
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}
