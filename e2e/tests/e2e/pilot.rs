//! The story that warping with sequencers stopped is for: blocks that never reach L1, and a chain that is not proven in time.
//!
//! It takes minutes where one waits for the clock of L1, and seconds where one moves it; `benches/pilot` plays it both ways.

use std::time::Duration;

use alloy::eips::eip2718::Encodable2718 as _;
use alloy::network::{EthereumWallet, TransactionBuilder as _};
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{Provider as _, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use anyhow::{Context as _, Result, ensure};
use fermata_e2e::{Checkpoint, Entry, Happening, Happens, Mark, Net, NetNode, Pruned, WarpOptions};
use fermata_primitives::{Clock as _, Epoch, Slot, SystemClock};
use fermata_sequencer::config::Setting;
use fermata_sequencer::dev::prefunded_accounts;
use fermata_sequencer::events::SequencerEvent;
use futures::future::try_join_all;

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// From nothing to the end of the story.
    pub(crate) all: Duration,
    /// From the moment the orphans were there to the moment they were too late.
    pub(crate) passing: Duration,
    /// How much of that was draining.
    pub(crate) draining: Duration,
}

/// Epochs after which nothing of the first can be proven any more, and the chain may be pruned.
const PROOFS_TOO_LATE: u64 = 4;

/// Plays the whole story. `pass` stops all sequencers at once, lets the epochs go by, leaves them stopped, and says how long
/// the longest drain was.
pub(crate) async fn play(pass: impl AsyncFnOnce(&Net, Epoch) -> Result<Duration>) -> Result<Took> {
    let from = SystemClock.monotonic();
    let slot = Duration::from_secs(4);
    let latency = Duration::from_millis(50);
    let net = Net::builder().nodes(4).validators(4).slot(slot).latency(latency).epochs(48, 1).build().await?;
    net.wait(Checkpoint(1)).await?;
    let withholding = next_proposer(&net).await?;
    set_publishing(withholding, "no")?;
    let users = send_to_all(&net).await?;
    let orphaned = orphaned_on_all(&net, withholding).await?;

    let (mark, began) = (net.mark(), SystemClock.monotonic());
    let draining = pass(&net, Epoch(net.epoch().0 + PROOFS_TOO_LATE)).await?;
    let passing = SystemClock.monotonic() - began;
    net.wait(Happens::new("drop of the orphans", |event| dropped(event, orphaned)).everywhere()).since(mark).await?;
    net.prune().await?;
    net.wait(Pruned).since(mark).await?;

    set_publishing(withholding, "yes")?;
    try_join_all(net.nodes().iter().map(NetNode::start)).await?;
    all_mined(&net, &users).await?;
    net.assert_no_failures_since(mark).await;
    assert_several_blocks_a_slot_and_pipelining(&net, mark);
    Ok(Took { all: SystemClock.monotonic() - from, passing, draining })
}

/// The node whose turn comes once its operator has had time to do something about it.
async fn next_proposer(net: &Net) -> Result<&NetNode> {
    let node = net.nodes()[0].node();
    let slot = Slot(node.timetable().target_slot(node.clock().now()).0 + 2);
    let proposer = node.workshop().committees.of_slot(slot).await?.proposer(slot).context("there is a committee")?;
    let is_its = |node: &&NetNode| node.node().workshop().signer.addresses().contains(&proposer);
    net.nodes().iter().find(is_its).context("it is one of theirs")
}

fn set_publishing(node: &NetNode, word: &str) -> Result<()> {
    node.node().settings().set(&[Setting::new("sequencer.publish_checkpoints", word, "the test")])?;
    Ok(())
}

/// Some users send ether, each through a node of theirs, which is told to all.
async fn send_to_all(net: &Net) -> Result<Vec<B256>> {
    let mut sent = Vec::new();
    for (nth, node) in net.nodes().iter().enumerate() {
        let wallet = EthereumWallet::from(prefunded_accounts()[nth + 3].clone());
        let l2 = ProviderBuilder::new().wallet(wallet).connect_http(node.l2_url().parse()?);
        let transfer = TransactionRequest::default().with_to(Address::repeat_byte(0x77)).with_value(U256::from(12_345));
        let hash = *l2.send_transaction(transfer).await?.tx_hash();
        let raw = l2.get_transaction_by_hash(hash).await?.context("it was sent")?.inner.encoded_2718();
        for other in net.nodes() {
            // It may be there already, or in a block.
            drop(ProviderBuilder::new().connect_http(other.l2_url().parse()?).send_raw_transaction(&raw).await);
        }
        sent.push(hash);
    }
    Ok(sent)
}

/// Waits until the node has withheld a checkpoint whose blocks all nodes have, and all others have attested: its slot.
async fn orphaned_on_all(net: &Net, by: &NetNode) -> Result<Slot> {
    let withheld = |event: &SequencerEvent| {
        if let SequencerEvent::CheckpointWithheld { slot, .. } = event { Some(*slot) } else { None }
    };
    let slot = net.wait(Happens::new("withheld checkpoint", withheld).at(by.name())).await?;
    let attested = |event: &SequencerEvent| {
        matches!(event, SequencerEvent::CheckpointAttested { slot: of, .. } if *of == slot).then_some(())
    };
    for other in net.nodes().iter().filter(|node| node.name() != by.name()) {
        net.wait(Happens::new("attestation", attested).at(other.name())).since(Mark::default()).await?;
    }
    let orphan = by.node().workshop().chain.heads().await?.unsafe_head;
    for node in net.nodes() {
        let block = node.node().workshop().execution.block(orphan.hash).await?;
        ensure!(block.is_some(), "{} has not got block {}", node.name(), orphan.number);
    }
    Ok(slot)
}

/// L1 is warped there.
pub(crate) async fn warped(net: &Net, target: Epoch) -> Result<Duration> {
    let warped = net.warp_to_epoch(net.sequencers(), target, WarpOptions::restart_later()).await?;
    let drains = warped.drains().iter().map(|drain| Duration::from_millis(drain.report.took_ms)).max();
    warped.leave_stopped();
    Ok(drains.unwrap_or_default())
}

fn dropped(event: &SequencerEvent, orphaned: Slot) -> Option<()> {
    matches!(event, SequencerEvent::ProposalDropped { slot, .. } if *slot == orphaned).then_some(())
}

/// Waits until every node has all of them in blocks that are on L1.
async fn all_mined(net: &Net, transactions: &[B256]) -> Result<()> {
    let mut number = net.pending().await?.0;
    loop {
        number = net.wait(Checkpoint(number + 1)).await?.0;
        let mined = try_join_all(net.nodes().iter().map(|node| are_on_l1(node, transactions))).await?;
        if mined.into_iter().all(|are| are) {
            return Ok(());
        }
        ensure!(number < 20, "not all of {transactions:?} are on L1 after {number} checkpoints");
    }
}

async fn are_on_l1(node: &NetNode, transactions: &[B256]) -> Result<bool> {
    let l2 = ProviderBuilder::new().connect_http(node.l2_url().parse()?);
    let on_l1 = node.node().workshop().chain.heads().await?.safe.number;
    for hash in transactions {
        let receipt = l2.get_transaction_receipt(*hash).await?;
        if receipt.and_then(|receipt| receipt.block_number).is_none_or(|number| number > on_l1) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Since `mark` some checkpoint had several blocks, and was begun before its slot was.
fn assert_several_blocks_a_slot_and_pipelining(net: &Net, mark: Mark) {
    let since = net.since(mark);
    let blocks = since.iter().filter_map(Entry::event).filter_map(|event| {
        if let SequencerEvent::CheckpointPublished { landed, .. } = event { Some(landed.blocks) } else { None }
    });
    assert!(blocks.max() > Some(1), "no checkpoint had several blocks");
    let mut slot_of_l1 = Slot(0);
    let begun_early = since.iter().any(|entry| match &entry.what {
        Happening::L1Block(head) => {
            slot_of_l1 = net.times().slot_at(head.timestamp);
            false
        }
        Happening::Event(event) => {
            matches!(&**event, SequencerEvent::PreparingCheckpoint { slot, .. } if *slot > slot_of_l1)
        }
        Happening::State(_) | Happening::Head { .. } | Happening::Note(_) | Happening::Missed { .. } => false,
    });
    assert!(begun_early, "no slot was begun before its time");
}
