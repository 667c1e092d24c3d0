//! Several nodes, each with some of the validators.

use std::collections::BTreeMap;

use alloy::primitives::U256;
use anyhow::{Result, ensure};
use fermata_e2e::{Net, NetNode, NetOptions, Watch};
use fermata_primitives::Slot;
use fermata_sequencer::events::SequencerEvent;

/// Starts every node and watches it from then on.
async fn start_all(net: &Net, nodes: &[NetNode]) -> Result<Vec<Watch>> {
    let watches = nodes.iter().map(|node| net.watch(node)).collect();
    for node in nodes {
        node.start().await?;
    }
    Ok(watches)
}

/// Waits until the contract has this checkpoint, as every node sees it.
async fn all_follow_to(watches: &mut [Watch], number: u64) -> Result<()> {
    for watch in watches {
        watch
            .until(&format!("checkpoint {number} on L1"), |event| {
                matches!(event, SequencerEvent::L1TipMoved { checkpoint, .. } if checkpoint.0 >= number).then_some(())
            })
            .await?;
    }
    Ok(())
}

/// Which node published which slot.
fn published(nodes: &[NetNode], watches: &[Watch]) -> BTreeMap<Slot, String> {
    let mut by = BTreeMap::new();
    for (node, watch) in nodes.iter().zip(watches) {
        for event in watch.seen() {
            if let SequencerEvent::CheckpointPublished { slot, .. } = event {
                by.insert(*slot, node.name().to_owned());
            }
        }
    }
    by
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_with_a_validator_each_land_a_checkpoint_in_every_slot() -> Result<()> {
    let net = Net::start_with(NetOptions { slot_secs: 4, ..NetOptions::default() }).await?;
    let nodes = net.open_nodes(&["a", "b", "c", "d"], &[]).await?;
    let mut watches = start_all(&net, &nodes).await?;
    all_follow_to(&mut watches, 2).await?;
    all_follow_to(&mut watches, 12).await?;
    let by = published(&nodes, &watches);
    let (first, last) = (by.keys().next().expect("some"), by.keys().last().expect("some"));
    ensure!(last.0 - first.0 + 1 == by.len() as u64, "a slot was left out: {by:?}");
    for (slot, name) in &by {
        let at = U256::from(net.times().start_of(*slot).0);
        let proposer = net.rollup().getProposerAt(at).call().await?;
        let node = nodes.iter().find(|node| node.name() == name).expect("it is one of them");
        ensure!(node.node().workshop().signer.addresses().contains(&proposer), "slot {slot} was not {name}'s");
    }
    for watch in &watches {
        watch.assert_no_failures();
    }
    Ok(())
}
