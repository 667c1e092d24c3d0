//! All nodes of a network stopped at once: each sees through what the others have in flight.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fermata_e2e::{NetNode, NetOptions, Watch};
use fermata_primitives::Slot;
use fermata_sequencer::drain::{DrainOutcome, DrainReport, Ending, WorkKind};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::network::LinkSettings;
use fermata_sequencer::phases::Phase;
use futures::future::{join_all, try_join_all};

use crate::nodes::{FOUR, Nodes, head};

/// The slot, where the event is the one that all are stopped at.
type Moment = fn(&SequencerEvent) -> Option<Slot>;

fn frame_opened(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::PreparingCheckpoint { slot, .. } = event { Some(*slot) } else { None }
}

fn second_block_built(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::BlockBuilt { slot, index: 1, .. } = event { Some(*slot) } else { None }
}

fn last_block_told(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::CheckpointProposed { slot, .. } = event { Some(*slot) } else { None }
}

fn collecting(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::PhaseEntered { slot, phase: Phase::Collecting } = event { Some(*slot) } else { None }
}

fn publishing(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::PhaseEntered { slot, phase: Phase::Publishing } = event { Some(*slot) } else { None }
}

fn published(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::CheckpointPublished { slot, .. } = event { Some(*slot) } else { None }
}

/// Four nodes of one validator each, whose messages take a tenth of a second.
async fn four_far_apart() -> Result<Nodes> {
    let options = NetOptions { slot_secs: 4, ..NetOptions::default() };
    let all = Nodes::start(options, &FOUR, &[("timetable.peer_ms", "100")]).await?;
    all.net.hub().set_every_link(LinkSettings { latency: Duration::from_millis(100), ..LinkSettings::default() });
    Ok(all)
}

/// Stops all at once at that moment of a slot, and gives the slot and what each reported.
async fn stop_all_at(all: &mut Nodes, what: &str, moment: Moment) -> Result<(Slot, Vec<DrainReport>)> {
    all.watches = all.nodes.iter().map(|node| all.net.watch(node)).collect();
    let (_, slot) = all.first_with(what, moment).await?;
    let reports = try_join_all(all.nodes.iter().map(|node| node.stop(Drain::Graceful))).await?;
    let reports = reports.into_iter().collect::<Option<Vec<_>>>().context("all of them ran")?;
    all.watches.iter_mut().for_each(Watch::catch_up);
    Ok((slot, reports))
}

/// Nothing failed anywhere, what was proposed has landed, and nothing of it was cut.
fn assert_all_was_seen_through(all: &mut Nodes, what: &str, reports: &[DrainReport]) -> Result<()> {
    for (watch, report) in all.watches.iter_mut().zip(reports) {
        watch.assert_no_failures();
        ensure!(report.outcome == DrainOutcome::Drained && report.failures.is_empty(), "{what}: {report:?}");
        for work in &report.work {
            let is_well = match work.kind {
                WorkKind::Build => false,
                WorkKind::Checkpoint => matches!(work.ending, Ending::Landed { .. }),
                WorkKind::Attestation => matches!(work.ending, Ending::Attested { members: 1 }),
                WorkKind::Fallback => work.ending == Ending::Cut,
            };
            ensure!(is_well, "{what}: {report:?}");
        }
        let slots = |wanted: Moment| watch.seen().iter().filter_map(wanted).collect::<Vec<_>>();
        let landed = slots(published);
        ensure!(slots(last_block_told).iter().all(|slot| landed.contains(slot)), "{what}: {:?}", watch.seen());
    }
    Ok(())
}

/// All have the head that the contract has.
async fn assert_one_head(all: &Nodes, what: &str, reports: &[DrainReport]) -> Result<()> {
    let on_l1 = all.net.archive_at(all.net.pending().await?).await?;
    for (node, report) in all.nodes.iter().zip(reports) {
        let heads = (report.head.hash, head(node).await?);
        ensure!(heads == (on_l1, on_l1), "{what}: {} is at {heads:?}, L1 at {on_l1}: {report:?}", node.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_stopped_at_once_land_what_was_proposed_whatever_they_were_busy_with() -> Result<()> {
    let mut all = four_far_apart().await?;
    all.go_on_by(1, &[0, 1, 2, 3]).await?;
    let moments: [(&str, Moment, usize); 5] = [
        ("the frame has opened", frame_opened, 3),
        ("in the middle of building", second_block_built, 3),
        ("the last block is told", last_block_told, 3),
        ("collecting", collecting, 3),
        ("publishing", publishing, 0),
    ];
    for (what, moment, least) in moments {
        let (slot, reports) = stop_all_at(&mut all, what, moment).await?;
        assert_all_was_seen_through(&mut all, what, &reports)?;
        assert_one_head(&all, what, &reports).await?;
        let attested = |report: &&DrainReport| {
            report.work.iter().any(|work| (work.kind, work.slot) == (WorkKind::Attestation, slot))
        };
        let seen_through = reports.iter().filter(attested).count();
        ensure!(
            seen_through >= least,
            "{what}: {seen_through} nodes attested slot {slot} while they stopped: {reports:?}"
        );
        try_join_all(all.nodes.iter().map(NetNode::start)).await?;
        all.go_on_by(1, &[0, 1, 2, 3]).await?;
    }
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_of_all_waits_for_nobody() -> Result<()> {
    let mut all = four_far_apart().await?;
    all.first_with("a block", second_block_built).await?;
    let drains = all.nodes.iter().map(|node| async {
        let graceful = node.stop(Drain::Graceful);
        let (graceful, interrupted) = futures::join!(graceful, node.stop(Drain::Interrupt));
        anyhow::Ok((graceful?.context("it ran")?, interrupted?.context("it ran")?))
    });
    for drained in join_all(drains).await {
        let (graceful, interrupted) = drained?;
        assert_eq!(graceful, interrupted);
        assert_eq!(graceful.outcome, DrainOutcome::Interrupted);
        assert!(graceful.work.iter().all(|work| work.ending == Ending::Cut), "{graceful:?}");
        assert!(graceful.took_ms < 1_000, "{graceful:?}");
    }
    Ok(())
}
