//! Nets as a test writer asks for them, and waits that say what happened instead.

use std::time::Duration;

use fermata_e2e::{Block, Checkpoint, Happens, InState, Mark, Net, SlotBegins, WaitError};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::{Drain, Lifecycle};

type Result<T = ()> = anyhow::Result<T>;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_a_net_is_built_with_hear_one_another_and_what_they_do_can_be_waited_for() -> Result {
    let latency = Duration::from_millis(20);
    let net = Net::builder().nodes(2).validators(4).followers(1).latency(latency).build().await?;
    let attested = |event: &SequencerEvent| {
        if let SequencerEvent::CheckpointAttested { slot, .. } = event { Some(*slot) } else { None }
    };
    let (slot, reached) = tokio::join!(net.wait(Happens::new("attestation", attested)), net.wait(Checkpoint(2)));
    net.wait(SlotBegins(slot?)).await?;
    let block = net.wait(Block(2)).await?;
    assert!(reached?.0 >= 2 && block >= 2);
    assert_eq!(net.nodes().iter().map(fermata_e2e::NetNode::name).collect::<Vec<_>>(), ["a", "b", "follower-0"]);
    assert_eq!(net.sequencers().len(), 2, "who follows has no sequencer");
    net.wait(InState::at("follower-0", Lifecycle::Idle)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_comes_to_nothing_names_the_file_that_tells_what_happened_instead() -> Result {
    let net = Net::builder().build().await?;
    let landed = net.wait(Checkpoint(1)).await?;
    net.nodes()[0].stop(Drain::Graceful).await?;
    net.wait(InState::at("a", Lifecycle::Stopped)).await?;
    let error = net.wait(Checkpoint(landed.0 + 100)).within_slots(1).await.expect_err("it is stopped");
    let WaitError { what, slots: 1, timeline, nodes, .. } = &error else { panic!("{error}") };
    assert_eq!(*what, format!("checkpoint {} on all nodes", landed.0 + 100));
    assert!(nodes.starts_with("a is Stopped at checkpoint "), "{nodes}");
    assert!(error.to_string().contains(&timeline.display().to_string()), "{error}");

    let told = std::fs::read_to_string(timeline)?;
    for word in
        ["L1 block ", "a            is Running", "checkpoint-published: ", "head is block ", "succeeded, 1 blobs"]
    {
        assert!(told.contains(word), "no {word:?} in\n{told}");
    }
    std::fs::remove_file(timeline)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_net_of_one_process_is_waited_for_as_one_of_this_process_is() -> Result {
    let mut net = Net::builder().in_own_process().followers(1).build().await?;
    let landed = net.wait(Checkpoint(2)).await?;
    let published = |event: &SequencerEvent| matches!(event, SequencerEvent::CheckpointPublished { .. }).then_some(());
    net.wait(Happens::new("own checkpoint", published).at("a")).since(Mark::default()).await?;
    net.assert_no_failures_since(Mark::default()).await;
    net.processes()[0].verb(&["stop", "--now"]).await?;
    net.wait(InState::at("a", Lifecycle::Stopped)).await?;
    assert!(landed.0 >= 2);
    Ok(())
}
