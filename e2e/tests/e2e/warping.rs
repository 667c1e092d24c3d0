//! L1 time jumps while sequencers stand still, and nobody notices but the clock.

use std::time::Duration;

use fermata_anvil::{AnvilError, Warp};
use fermata_e2e::{Net, NetNode, NetOptions, WarpError, WarpOptions, Watch};
use fermata_primitives::{CheckpointNumber, Clock as _, Epoch, L1Timestamp, SystemClock, UnixTime};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::{Drain, Lifecycle};
use fermata_sequencer::verbs::DrainOutcome;

type Result<T = ()> = anyhow::Result<T>;

const HOUR: u64 = 3_600;

/// A sequencer that runs and never has transactions enough to propose: beside one that does, no key signs for both.
const WAITS_FOR_USERS: (&str, &str) = ("sequencer.min_transactions", "1000000");

fn l1_time(net: &Net) -> L1Timestamp {
    net.chain().l1_clock.head().timestamp
}

fn lifecycle(node: &NetNode) -> Lifecycle {
    node.node().engine().status().borrow().lifecycle
}

async fn proposal(watch: &mut Watch) -> Result {
    watch.until("proposal", |event| matches!(event, SequencerEvent::CheckpointProposed { .. }).then_some(())).await
}

/// The next three L1 blocks come a second after each other, on the rollup's grid.
async fn assert_mining_is_in_phase(net: &Net) -> Result {
    let mut heads = net.chain().l1_clock.heads();
    let mut times = Vec::new();
    while times.len() < 3 {
        tokio::time::timeout(Duration::from_secs(20), heads.changed()).await??;
        times.push(heads.borrow_and_update().timestamp);
    }
    // A busy machine may miss a block; none is ever off the grid or out of order.
    assert!(times.windows(2).all(|pair| pair[0] < pair[1] && pair[1].0 - pair[0].0 <= 3), "{times:?}");
    let every = net.times().ethereum_slot().as_secs();
    assert!(times.iter().all(|time| (time.0 - net.times().genesis().0).is_multiple_of(every)), "{times:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warp_drains_all_sequencers_at_once_moves_every_clock_and_publishing_goes_on_without_a_failure() -> Result {
    let net = Net::start().await?;
    let (publishing, waiting) = (net.open_node("a").await?, net.open_node_with("b", &[WAITS_FOR_USERS]).await?);
    let follower = net.open_node("c").await?;
    let mut before = net.watch(&publishing);
    publishing.start().await?;
    waiting.start().await?;
    before.checkpoint(1).await?;
    proposal(&mut before).await?;

    let mut watch = net.watch(&publishing);
    let (from, target) = (SystemClock.monotonic(), l1_time(&net).plus_secs(HOUR));
    let warped = net
        .warp_with_sequencers_stopped([publishing.sequencer(), waiting.sequencer()], target, WarpOptions::default())
        .await?;
    let took = SystemClock.monotonic() - from;
    let Warp::Mined(head) = warped.l1() else { panic!("{warped:?}") };
    assert_eq!(head.timestamp, target);
    let outcomes: Vec<_> = warped.drains().iter().map(|d| (d.node.as_str(), d.report.outcome)).collect();
    assert_eq!(outcomes, [("a", DrainOutcome::Drained), ("b", DrainOutcome::Drained)]);
    let landed = warped.drains()[0].report.last_checkpoint.as_ref().expect("the slot in flight landed").number;
    let drain = warped.drains().iter().map(|d| d.report.took_ms).max().map(Duration::from_millis).expect("two");
    println!("drain {drain:?}, the warp beyond it {:?}", took.saturating_sub(drain));
    for node in [&publishing, &waiting, &follower] {
        let now = node.node().clock().now();
        assert!(now >= target.into() && now.since(target.into()) < Duration::from_secs(30), "{now}");
    }
    assert_eq!((lifecycle(&publishing), lifecycle(&waiting)), (Lifecycle::Running, Lifecycle::Running));
    assert_eq!(lifecycle(&follower), Lifecycle::Idle, "what was not given is left as it is");

    assert_mining_is_in_phase(&net).await?;
    let newest = watch.checkpoint(landed.0 + 1).await?.checkpoint;
    for reader in [&waiting, &follower] {
        let mut tip = reader.node().workshop().chain.tip();
        tip.wait_for(|tip| tip.is_some_and(|tip| tip.number >= newest)).await?;
    }
    watch.assert_no_failures();
    publishing.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_l1_has_reached_once_all_stand_is_skipped_and_the_sequencers_run_on() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut before = net.watch(&node);
    node.start().await?;
    before.checkpoint(1).await?;
    proposal(&mut before).await?;
    let mut watch = net.watch(&node);
    // Ahead of L1 now, and behind it when the slot in flight has landed.
    let target = l1_time(&net).plus_secs(1);
    let warped = net.warp_with_sequencers_stopped([node.sequencer()], target, WarpOptions::default()).await?;
    let Warp::Skipped { head } = warped.l1() else { panic!("{warped:?}") };
    assert!(head.timestamp >= target);
    let landed = warped.drains()[0].report.last_checkpoint.as_ref().expect("the slot in flight landed").number;
    let behind = node.node().clock().now().since(UnixTime::from(head.timestamp));
    assert!(behind < Duration::from_secs(30), "the clock was moved");

    let past = net.times().genesis();
    let warped = net.warp_with_sequencers_stopped([node.sequencer()], past, WarpOptions::default()).await?;
    assert!(matches!(warped.l1(), Warp::Skipped { .. }), "{warped:?}");
    assert_eq!(lifecycle(&node), Lifecycle::Running);
    watch.checkpoint(landed.0 + 1).await?;
    watch.assert_no_failures();
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn sequencers_left_stopped_see_the_prune_that_time_brings_and_a_later_restart_builds_on_it() -> Result {
    let options = NetOptions { epoch_slots: 16, proof_submission_epochs: 1, ..NetOptions::default() };
    let net = Net::start_with(options).await?;
    let (node, follower) = (net.open_node("a").await?, net.open_node("b").await?);
    let mut before = net.watch(&node);
    node.start().await?;
    let landed = before.checkpoint(1).await?;
    let mut watch = net.watch(&node);

    let out_of_time = net.times().epoch_of(net.times().slot_at(l1_time(&net))).0 + 4;
    let warped = net.warp_to_epoch([node.sequencer()], Epoch(out_of_time), WarpOptions::restart_later()).await?;
    assert_eq!(l1_time(&net), net.times().epoch_start(Epoch(out_of_time)));
    assert_eq!(lifecycle(&node), Lifecycle::Stopped);
    assert!(warped.drains()[0].report.head.number > 0);
    assert!(net.pending().await? >= landed.checkpoint);

    // Anyone may ask the contract for it once the proofs are out of time, and not a second before.
    net.prune().await?;
    for pruned in [&node, &follower] {
        let mut tip = pruned.node().workshop().chain.tip();
        tip.wait_for(|tip| tip.is_some_and(|tip| tip.number == CheckpointNumber(0))).await?;
        assert_eq!(pruned.node().workshop().chain.heads().await?.unsafe_head.number, 0);
    }
    assert_eq!(lifecycle(&node), Lifecycle::Stopped);
    let prune =
        |event: &SequencerEvent| matches!(event, SequencerEvent::L1TipMoved { checkpoint: CheckpointNumber(0), .. });
    watch.until("prune", |event| prune(event).then_some(())).await?;
    warped.restart().await?;
    assert_eq!(watch.checkpoint(1).await?.checkpoint, CheckpointNumber(1), "the chain begins anew");
    watch.assert_no_failures();
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warp_that_fails_starts_what_it_stopped_tells_why_and_mining_goes_on_in_phase() -> Result {
    let net = Net::start().await?;
    let (publishing, waiting) = (net.open_node("a").await?, net.open_node_with("b", &[WAITS_FOR_USERS]).await?);
    let mut watch = net.watch(&publishing);
    publishing.start().await?;
    waiting.start().await?;
    watch.checkpoint(1).await?;
    let sequencers = || [publishing.sequencer(), waiting.sequencer()];
    let states = || (lifecycle(&publishing), lifecycle(&waiting));

    let before = l1_time(&net);
    let beyond_time = L1Timestamp(u64::MAX);
    let failed = net.warp_with_sequencers_stopped(sequencers(), beyond_time, WarpOptions::restart_later()).await;
    assert!(matches!(failed, Err(WarpError::L1(AnvilError::BeyondTime { .. }))), "{failed:?}");
    assert_eq!(states(), (Lifecycle::Running, Lifecycle::Running), "also where they were to be left stopped");
    assert!(l1_time(&net).0 - before.0 < 60, "L1 time has moved");
    assert_mining_is_in_phase(&net).await?;

    // Without L1 blocks the checkpoint in flight cannot land, and so its sequencer does not drain.
    let paused = net.chain().l1_clock.pause_interval().await;
    proposal(&mut watch).await?;
    let before = l1_time(&net);
    let options = WarpOptions { drain_within: Duration::from_millis(500), ..WarpOptions::default() };
    let failed = net.warp_with_sequencers_stopped(sequencers(), before.plus_secs(HOUR), options).await;
    let Err(WarpError::NotDrained { node, report, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!((node.as_str(), report.outcome), ("a", DrainOutcome::Deadline));
    assert_eq!(l1_time(&net), before);
    assert_eq!(states(), (Lifecycle::Running, Lifecycle::Running));
    drop(paused);
    assert_mining_is_in_phase(&net).await?;
    let newest = net.pending().await?;
    watch.checkpoint(newest.0 + 1).await?;
    publishing.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_take_part_is_an_error_before_anything_stops_and_one_at_rest_is_not_started() -> Result {
    let net = Net::start().await?;
    let (running, at_rest) = (net.open_node_with("a", &[WAITS_FOR_USERS]).await?, net.open_node("b").await?);
    let (closed, unmoved) = (net.open_node("c").await?, net.open_node_with("d", &[("clock", "system")]).await?);
    running.start().await?;
    closed.node().engine().close().await?;
    let in_an_hour = l1_time(&net).plus_secs(HOUR);
    for (name, unfit) in [("c", &closed), ("d", &unmoved)] {
        let failed = net
            .warp_with_sequencers_stopped([running.sequencer(), unfit.sequencer()], in_an_hour, WarpOptions::default())
            .await;
        assert!(matches!(&failed, Err(WarpError::CannotTakePart { node, .. }) if node == name), "{failed:?}");
        assert_eq!(running.node().engine().status().borrow().runs, 1, "it was stopped");
    }
    assert!(l1_time(&net) < in_an_hour);

    let (first, second) = tokio::join!(
        net.warp_with_sequencers_stopped(
            [running.sequencer(), at_rest.sequencer()],
            in_an_hour,
            WarpOptions::default()
        ),
        net.warp_with_sequencers_stopped([], in_an_hour, WarpOptions::default()),
    );
    assert!(matches!(second, Err(WarpError::UnderWay)), "{second:?}");
    let drained: Vec<_> = first?.drains().iter().map(|drain| drain.node.clone()).collect();
    assert_eq!(drained, ["a"]);
    assert_eq!((lifecycle(&running), lifecycle(&at_rest)), (Lifecycle::Running, Lifecycle::Idle));
    running.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_stopped_warped_and_started_over_its_admin_rpc_and_publishes_on() -> Result {
    let net = Net::start().await?;
    let mut child = net.spawn_node("a").await?;
    let node = net.open_node_with("b", &[WAITS_FOR_USERS]).await?;
    node.start().await?;
    child.log_line("\"published\"").await?;
    for _ in 0..2 {
        let target = l1_time(&net).plus_secs(HOUR);
        let sequencers = [child.sequencer(), node.sequencer()];
        let warped = net.warp_with_sequencers_stopped(sequencers, target, WarpOptions::default()).await?;
        assert!(matches!(warped.l1(), Warp::Mined(head) if head.timestamp == target), "{warped:?}");
        let outcomes: Vec<_> = warped.drains().iter().map(|d| (d.node.as_str(), d.report.outcome)).collect();
        assert_eq!(outcomes, [("a", DrainOutcome::Drained), ("b", DrainOutcome::Drained)]);
        let before = net.pending().await?;
        drop(warped);
        while net.pending().await? <= before {
            child.log_line("\"published\"").await?;
        }
    }
    let stopped = node.stop(Drain::Graceful).await?.expect("it ran");
    assert_eq!(stopped.outcome, DrainOutcome::Drained);
    child.kill().await
}
