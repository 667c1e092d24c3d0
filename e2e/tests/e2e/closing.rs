//! What a close leaves to whoever comes next.

use fermata_e2e::Net;
use fermata_sequencer::events::SequencerEvent;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_closed_in_the_middle_of_a_slot_is_opened_by_another_process_at_once() -> anyhow::Result<()> {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.until("block", |event| matches!(event, SequencerEvent::BlockProposed { .. }).then_some(())).await?;
    node.close().await?;
    // It would be refused, with an exit code of its own, if anything were still held.
    let mut process = net.spawn_node("a").await?;
    process.log_line("\"published\"").await?;
    process.kill().await
}
