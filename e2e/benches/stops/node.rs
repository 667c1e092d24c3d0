//! Interrupts of a whole node in the middle of its slots.

use std::time::Duration;

use anyhow::{Result, ensure};
use fermata_e2e::{CutAt, Fault, L1Proxy, Net, NetNode, Rule, Times};
use fermata_primitives::{Clock as _, SystemClock};
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::verbs::StopRequest;

use crate::idle::moment;

/// What goes wrong just before the interrupt.
#[derive(Clone, Copy)]
enum Trouble {
    None,
    /// The L1 endpoint takes every request and answers none.
    SilentL1,
    /// The L1 clock jumps by a minute, and the node's with it.
    Jump,
}

/// Runs last for up to this: the stops fall on every part of a slot.
const RUN: Duration = Duration::from_millis(700);

pub(crate) async fn interrupts(stops: usize) -> Result<[(&'static str, Times); 3]> {
    let net = Net::start().await?;
    let l1 = L1Proxy::start(&net.chain().anvil.url()).await?;
    let node = net.open_node_with("stops", &[("l1.rpc_url", l1.url())]).await?;
    let (mut quiet, mut silent, mut jumped) = (Times::default(), Times::default(), Times::default());
    for nth in 0..stops {
        interrupt(&net, &l1, &node, (nth, Trouble::None), &mut quiet).await?;
        interrupt(&net, &l1, &node, (nth, Trouble::SilentL1), &mut silent).await?;
    }
    // Fewer: each takes the chain a minute further.
    for nth in 0..stops / 4 {
        interrupt(&net, &l1, &node, (nth, Trouble::Jump), &mut jumped).await?;
    }
    node.close().await?;
    Ok([
        ("interrupt of a node", quiet),
        ("interrupt of a node, L1 accepts and is silent", silent),
        ("interrupt of a node, its clock jumped", jumped),
    ])
}

async fn interrupt(
    net: &Net,
    l1: &L1Proxy,
    node: &NetNode,
    (nth, trouble): (usize, Trouble),
    times: &mut Times,
) -> Result<()> {
    node.start().await?;
    SystemClock.sleep(moment(nth, RUN)).await;
    match trouble {
        Trouble::None => {}
        Trouble::SilentL1 => {
            l1.set([Rule::all(Fault::Hang(CutAt::Request))]);
            SystemClock.sleep(moment(nth, RUN / 2)).await;
        }
        Trouble::Jump => {
            let head = node.node().l1_head().borrow().timestamp;
            net.chain().l1_clock.warp_to(head.plus_secs(60)).await?;
        }
    }
    let stopped = times.measure(node.node().engine().stop(StopRequest::of(Drain::Interrupt))).await?;
    l1.clear();
    let failures = stopped.drain.map(|drain| drain.failures).unwrap_or_default();
    ensure!(failures.is_empty(), "{failures:?}");
    Ok(())
}
