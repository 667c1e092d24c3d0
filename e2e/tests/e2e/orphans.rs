//! Blocks that lose their place on L1, and the transactions in them, which do not.

use alloy::eips::eip2718::Encodable2718;
use alloy::network::{EthereumWallet, TransactionBuilder};
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use anyhow::{Context as _, Result, bail, ensure};
use fermata_e2e::{BROADCAST, CutAt, Fault, L1Proxy, Net, NetNode, NetOptions, Rule, Seat};
use fermata_primitives::{CheckpointNumber, Slot};
use fermata_sequencer::actions::ActionKind;
use fermata_sequencer::dev::prefunded_accounts;
use fermata_sequencer::events::{SequencerEvent, StepBack};

use crate::nodes::{FOUR, Nodes, publishes};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// A transaction that is on L1 is so within this many checkpoints.
const PATIENCE: usize = 20;

/// A block with a user's transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    block: B256,
    number: u64,
}

/// A wallet of the `nth` of the funded accounts sends ether through this node alone.
pub(crate) async fn send(node: &NetNode, nth: usize) -> Result<B256> {
    let wallet = EthereumWallet::from(prefunded_accounts()[nth].clone());
    let l2 = ProviderBuilder::new().wallet(wallet).connect_http(node.l2_url().parse()?);
    let transfer = TransactionRequest::default().with_to(Address::repeat_byte(0x77)).with_value(U256::from(12_345));
    Ok(*l2.send_transaction(transfer).await?.tx_hash())
}

/// As [`send`], and hands the transaction to every other node as well.
async fn send_everywhere(nodes: &[NetNode], nth: usize) -> Result<B256> {
    let (first, others) = nodes.split_first().context("there are nodes")?;
    let hash = send(first, nth).await?;
    let l2 = ProviderBuilder::new().connect_http(first.l2_url().parse()?);
    let raw = l2.get_transaction_by_hash(hash).await?.context("it was sent")?.inner.encoded_2718();
    for node in others {
        let l2 = ProviderBuilder::new().connect_http(node.l2_url().parse()?);
        let taken = l2.send_raw_transaction(&raw).await.map(|_| ());
        // It may have come in a block meanwhile.
        ensure!(taken.is_ok() || l2.get_transaction_by_hash(hash).await?.is_some(), "{}: {taken:?}", node.name());
    }
    Ok(hash)
}

/// Where the transactions are, once every node has them in the same blocks and those are on L1.
pub(crate) async fn places_on_l1(all: &mut Nodes, transactions: &[B256]) -> Result<Vec<Place>> {
    for _ in 0..PATIENCE {
        if let Some(places) = agreed_places(&all.nodes, transactions).await? {
            return Ok(places);
        }
        all.go_on_by(1, &ALL).await?;
    }
    bail!("not all of {transactions:?} are on L1 after {PATIENCE} checkpoints");
}

async fn agreed_places(nodes: &[NetNode], transactions: &[B256]) -> Result<Option<Vec<Place>>> {
    let mut agreed: Option<Vec<Place>> = None;
    for node in nodes {
        let Some(here) = places_at(node, transactions).await? else { return Ok(None) };
        if agreed.get_or_insert_with(|| here.clone()) != &here {
            return Ok(None);
        }
    }
    Ok(agreed)
}

async fn places_at(node: &NetNode, transactions: &[B256]) -> Result<Option<Vec<Place>>> {
    let l2 = ProviderBuilder::new().connect_http(node.l2_url().parse()?);
    let mut places = Vec::new();
    for hash in transactions {
        let Some(receipt) = l2.get_transaction_receipt(*hash).await? else { return Ok(None) };
        let (block, number) = receipt.block_hash.zip(receipt.block_number).context("a receipt names its block")?;
        places.push(Place { block, number });
    }
    let on_l1 = node.node().workshop().chain.heads().await?.safe.number;
    Ok(places.iter().all(|place| place.number <= on_l1).then_some(places))
}

/// Whether the slot in which the block was built was the turn of this node.
async fn built_by(all: &Nodes, place: Place, at: usize) -> Result<bool> {
    let workshop = all.nodes[at].node().workshop();
    let block = workshop.execution.block(place.block).await?.context("the node has it")?;
    let proposer = all.net.rollup().getProposerAt(U256::from(block.header().timestamp)).call().await?;
    Ok(workshop.signer.addresses().contains(&proposer))
}

/// Four nodes; the L1 of the first is behind a proxy.
async fn four_with_the_first_behind(net: Net, l1: &L1Proxy) -> Result<Nodes> {
    let mut nodes = Vec::new();
    for (place, name) in (0..).zip(FOUR) {
        let behind = [("l1.rpc_url", l1.url())];
        let changes: &[_] = if place == 0 { &behind } else { &[] };
        nodes.push(net.open_member(name, Seat { place, of: 4 }, changes).await?);
    }
    Nodes::begin(net, nodes).await
}

/// The slot and the block, where it has transactions.
fn built_with_transactions(event: &SequencerEvent) -> Option<(Slot, B256)> {
    let SequencerEvent::BlockBuilt { slot, hash, transactions, .. } = event else { return None };
    (*transactions > 0).then_some((*slot, *hash))
}

/// From which checkpoint to which the contract has pruned.
fn pruned(event: &SequencerEvent) -> Option<(CheckpointNumber, CheckpointNumber)> {
    let SequencerEvent::L1WentBack { cause: StepBack::Pruned, from, to, .. } = event else { return None };
    Some((*from, *to))
}

/// The slot, and all that went to L1 in it, where a prune was part of it and took effect.
fn sent_with_a_prune(event: &SequencerEvent) -> Option<(Slot, Vec<ActionKind>)> {
    let SequencerEvent::ActionsEnded { slot, actions, .. } = event else { return None };
    actions.succeeded.contains(&ActionKind::Prune).then(|| (*slot, actions.sent.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_their_proposer_withholds_from_l1_are_dropped_by_all_and_their_transactions_mined_by_others()
-> Result<()> {
    let net = Net::start_with(NetOptions { slot_secs: 4, ..NetOptions::default() }).await?;
    let l1 = L1Proxy::start(&net.chain().anvil.url()).await?;
    let mut all = four_with_the_first_behind(net, &l1).await?;
    all.go_on_by(1, &ALL).await?;
    l1.set([Rule::on(BROADCAST, Fault::Hang(CutAt::Request))]);
    // Nobody else hears of it but by the blocks of the one that withholds.
    let users = send(&all.nodes[0], 3).await?;
    let sent_before = l1.broadcasts().len();
    let (slot, orphan) = all.watches[0].until("block with the transaction", built_with_transactions).await?;

    for (node, watch) in all.nodes.iter().zip(&mut all.watches).skip(1) {
        let of = |event: &SequencerEvent| event.slot().filter(|of| *of == slot);
        let attested =
            |event: &SequencerEvent| of(event).filter(|_| matches!(event, SequencerEvent::CheckpointAttested { .. }));
        watch.until("attestation", attested).await?;
        ensure!(node.node().workshop().execution.block(orphan).await?.is_some(), "{} has not got it", node.name());
        let dropped =
            |event: &SequencerEvent| of(event).filter(|_| matches!(event, SequencerEvent::ProposalDropped { .. }));
        watch.until("drop", dropped).await?;
    }
    let failed = |event: &SequencerEvent| {
        matches!(event, SequencerEvent::CheckpointPublishFailed { slot: failed, .. } if *failed == slot).then_some(())
    };
    all.watches[0].until("failure", failed).await?;
    ensure!(l1.broadcasts().len() > sent_before, "it was not even sent");

    let mined = places_on_l1(&mut all, &[users]).await?;
    assert_ne!(mined[0].block, orphan);
    assert!(!built_by(&all, mined[0], 0).await?, "what the first node builds does not reach L1");
    all.go_on_by(2, &ALL).await?;
    assert_eq!(places_on_l1(&mut all, &[users]).await?, mined, "it stays where it was mined");

    l1.clear();
    all.watches[0] = all.net.watch(&all.nodes[0]);
    publishes(&mut all.watches[0]).await?;
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_prover_the_nodes_prune_all_go_back_and_the_transactions_are_mined_again() -> Result<()> {
    let options = NetOptions { slot_secs: 4, epoch_slots: 6, proof_submission_epochs: 1, ..NetOptions::default() };
    let mut all = Nodes::start(options, &FOUR, &[]).await?;
    let mut users = Vec::new();
    for nth in 3..6 {
        users.push(send_everywhere(&all.nodes, nth).await?);
    }
    let before = places_on_l1(&mut all, &users).await?;

    for watch in &mut all.watches {
        let (from, to) = watch.until("prune", pruned).await?;
        assert!(from > to && to == CheckpointNumber(0), "nothing was proven: {from} to {to}");
    }
    let (by, (slot, actions)) = all.first_with("prune that was sent", sent_with_a_prune).await?;
    assert!(!actions.contains(&ActionKind::Propose), "a slot that prunes has no checkpoint: {actions:?}");
    let left_out =
        |event: &SequencerEvent| matches!(event, SequencerEvent::CheckpointLeftOut { slot: of, .. } if *of == slot);
    assert!(all.watches[by].seen().iter().any(left_out), "{:?}", all.watches[by].seen());

    let after = places_on_l1(&mut all, &users).await?;
    assert!(before.iter().zip(&after).all(|(before, after)| before.block != after.block), "{before:?} {after:?}");
    all.go_on_by(1, &ALL).await?;
    all.assert_one_chain().await?;
    all.assert_nobody_signed_twice();
    Ok(())
}
