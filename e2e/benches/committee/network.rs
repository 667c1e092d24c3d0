//! A network that runs for some slots, and what was measured of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use fermata_e2e::{L1Proxy, Net, NetNode, NetOptions, Times};
use fermata_primitives::{Slot, UnixTime};
use fermata_sequencer::network::Volume;

use crate::record::{Record, SlotRecord};

/// Seconds of a slot: time for several blocks.
const SLOT_SECS: u64 = 4;

/// The first checkpoint lands within this many slots.
const STARTING_SLOTS: u32 = 20;

/// Nodes among which the validators are shared out; all validators are the committee.
#[derive(Clone, Copy)]
pub(crate) struct Network {
    pub(crate) nodes: u32,
    pub(crate) validators: u32,
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Measured {
    /// Slots that were looked at.
    pub(crate) slots: u64,
    /// Slots of them whose checkpoint landed.
    pub(crate) landed: usize,
    /// From the proposal of the checkpoint to the quorum.
    pub(crate) asking: Times,
    /// From the seal of the last block to the quorum, with the blobs' proofs.
    pub(crate) to_quorum: Times,
    /// From the seal of the last block to the broadcast of the L1 transaction.
    pub(crate) to_broadcast: Times,
    /// What all nodes together sent to one another.
    pub(crate) sent: Volume,
}

/// Runs the network until a checkpoint has landed, and then measures that many whole slots.
pub(crate) async fn measure(network: Network, slots: u64) -> Result<Measured> {
    let options = NetOptions { slot_secs: SLOT_SECS, validators: network.validators, ..NetOptions::default() };
    let net = Net::start_with(options).await?;
    let l1 = L1Proxy::start(&net.chain().anvil.url()).await?;
    let nodes = open(&net, network, &l1).await?;
    let mut record = Record::of(&nodes);
    for node in &nodes {
        node.start().await?;
    }
    let (clock, table) = (nodes[0].node().clock().as_ref(), nodes[0].node().timetable());
    let patience = clock.now() + STARTING_SLOTS * net.times().slot();
    ensure!(record.until_one_lands(patience, clock).await?, "no checkpoint landed within {STARTING_SLOTS} slots");

    let first = table.target_slot(clock.now()).next();
    let end = Slot(first.0 + slots);
    record.until(table.build_frame_start(first), clock).await?;
    let before = sent(&nodes);
    record.until(table.build_frame_start(end), clock).await?;
    let after = sent(&nodes);
    // The last slot's checkpoint lands in it.
    record.until(UnixTime::from(net.times().end_of(end)), clock).await?;
    let sent = Volume { messages: after.messages - before.messages, bytes: after.bytes - before.bytes };
    let measured = Measured::of((first.0..end.0).map(|slot| record.of_slot(Slot(slot))), &l1.broadcasts(), sent);
    for node in nodes {
        node.close().await?;
    }
    Ok(measured)
}

async fn open(net: &Net, network: Network, l1: &L1Proxy) -> Result<Vec<NetNode>> {
    let behind = [("l1.rpc_url", l1.url())];
    if network.nodes == 1 {
        return Ok(vec![net.open_node_with("alone", &behind).await?]);
    }
    let names: Vec<_> = (0..network.nodes).map(|place| format!("node-{place}")).collect();
    net.open_nodes(&names.iter().map(String::as_str).collect::<Vec<_>>(), &behind).await
}

fn sent(nodes: &[NetNode]) -> Volume {
    let each = nodes.iter().map(|node| node.node().workshop().peers.network.traffic().sent);
    each.fold(Volume::default(), |sum, sent| Volume {
        messages: sum.messages + sent.messages,
        bytes: sum.bytes + sent.bytes,
    })
}

impl Measured {
    fn of(slots: impl Iterator<Item = SlotRecord>, broadcasts: &[Duration], sent: Volume) -> Self {
        let mut measured = Self { sent, ..Self::default() };
        for slot in slots {
            measured.slots += 1;
            let SlotRecord { sealed: Some(sealed), asked: Some(asked), quorum: Some(quorum), landed: Some(landed) } =
                slot
            else {
                continue;
            };
            measured.landed += 1;
            measured.asking.push(quorum - asked);
            measured.to_quorum.push(quorum - sealed);
            if let Some(sent) = broadcasts.iter().find(|sent| (sealed..landed).contains(sent)) {
                measured.to_broadcast.push(*sent - sealed);
            }
        }
        measured
    }
}
