//! Epochs that are over are proven, by a role of its own, or the contract prunes them.

use std::collections::BTreeSet;
use std::time::Duration;

use alloy::primitives::{U256, bytes};
use alloy::providers::Provider as _;
use fermata_anvil::Cheats;
use fermata_e2e::{Net, NetNode, NetOptions, WarpOptions, Watch};
use fermata_primitives::{CheckpointNumber, Epoch};
use fermata_sequencer::catalogue::Reason;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::{Drain, Lifecycle};
use fermata_sequencer::status::StatusSource as _;
use fermata_sequencer::verbs::{StartRequest, VerbError};

type Result<T = ()> = anyhow::Result<T>;

const PROVES_TOO: (&str, &str) = ("node.roles", "sequencer,validator,prover");

/// Accounts that nobody has sent anything to.
const WITHOUT_MONEY: (&str, &str) = ("prover.derivation_path", "m/44'/60'/9'/0");

/// Epochs of six seconds, each of which can be proven for twelve after its end.
const SHORT_EPOCHS: NetOptions = NetOptions { slot_secs: 3, validators: 4, epoch_slots: 2, proof_submission_epochs: 2 };

async fn proven(watch: &mut Watch) -> Result<(Epoch, CheckpointNumber)> {
    let of = |event: &SequencerEvent| {
        if let SequencerEvent::EpochProven { epoch, to, .. } = event { Some((*epoch, *to)) } else { None }
    };
    watch.until("proof", of).await
}

async fn within_a_minute(work: impl Future<Output = Result>) -> Result {
    tokio::time::timeout(Duration::from_secs(60), work).await?
}

/// The newest checkpoint on L1, where the event tells of it.
fn tip(event: &SequencerEvent) -> Option<CheckpointNumber> {
    if let SequencerEvent::L1TipMoved { checkpoint, .. } = event { Some(*checkpoint) } else { None }
}

/// Which epoch could not be proven, and why.
fn failure(event: &SequencerEvent) -> Option<(Epoch, String)> {
    if let SequencerEvent::EpochProofFailed { epoch, reason, .. } = event {
        Some((*epoch, reason.clone()))
    } else {
        None
    }
}

async fn proven_on_l1(net: &Net) -> Result<CheckpointNumber> {
    Ok(CheckpointNumber(net.rollup().getProvenCheckpointNumber().call().await?.saturating_to()))
}

/// Waits until the node has followed L1 to where that checkpoint is proven, and its last block is final.
async fn followed(net: &Net, node: &NetNode, number: CheckpointNumber) -> Result {
    let mut tip = node.node().workshop().chain.tip();
    let proven = tip.wait_for(|tip| tip.is_some_and(|tip| tip.proven >= number)).await?.expect("it was waited for");
    let heads = node.node().workshop().chain.heads().await?;
    anyhow::ensure!(heads.finalized.number > 0, "{heads:?}");
    anyhow::ensure!(net.archive_at(proven.proven).await? == proven.proven_archive);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proven_tip_follows_for_ten_epochs_and_nothing_is_pruned() -> Result {
    let net = Net::start_with(SHORT_EPOCHS).await?;
    let node = net.open_node_with("a", &[PROVES_TOO]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let (mut epochs, mut newest) = (BTreeSet::new(), CheckpointNumber(0));
    while epochs.len() < 10 {
        let (epoch, to) = proven(&mut watch).await?;
        assert!(to > newest, "{to} was proven before");
        assert!(proven_on_l1(&net).await? >= to);
        (newest, _) = (to, epochs.insert(epoch));
    }
    followed(&net, &node, newest).await?;
    let tips: Vec<_> = watch.seen().iter().filter_map(tip).collect();
    assert!(tips.is_sorted(), "the contract has dropped checkpoints: {tips:?}");
    assert!(!watch.seen().iter().any(|event| failure(event).is_some()), "{:?}", watch.failures());
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prover_goes_on_while_the_sequencer_is_stopped_and_what_it_proved_is_never_pruned() -> Result {
    let net = Net::start_with(SHORT_EPOCHS).await?;
    let node = net.open_node_with("a", &[PROVES_TOO]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.checkpoint(1).await?;
    node.stop(Drain::Graceful).await?.expect("it ran");
    let stands_at = net.pending().await?;
    while proven(&mut watch).await?.1 < stands_at {}
    assert_eq!(node.node().engine().status().borrow().lifecycle, Lifecycle::Stopped);
    followed(&net, &node, stands_at).await?;

    let long_after = net.times().epoch_of(net.times().slot_at(net.chain().l1_clock.head().timestamp)).0 + 100;
    net.warp_to_epoch([node.sequencer()], Epoch(long_after), WarpOptions::restart_later()).await?.leave_stopped();
    let now = U256::from(net.chain().l1_clock.head().timestamp.0);
    assert!(!net.rollup().canPruneAtTime(now).call().await?, "there is nothing to prune");
    node.start().await?;
    let next = watch.checkpoint(stands_at.0 + 1).await?;
    assert_eq!(next.checkpoint, stands_at.next(), "the chain goes on from what was proven");
    assert!(!watch.seen().iter().any(|event| failure(event).is_some()), "{:?}", watch.failures());
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_only_proves_does_so_for_others_and_refuses_to_start() -> Result {
    let net = Net::start_with(SHORT_EPOCHS).await?;
    let sequencer = net.open_node("a").await?;
    let prover = net.open_node_with("b", &[("node.roles", "prover")]).await?;
    let mut watch = net.watch(&prover);
    let refused = prover.node().engine().start(StartRequest::default()).await.expect_err("it is no sequencer");
    let VerbError::Start(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.reason, Reason::NotSequencer);
    assert!(refused.message.contains("node.roles"), "{refused:?}");

    sequencer.start().await?;
    let (_, to) = proven(&mut watch).await?;
    for node in [&sequencer, &prover] {
        followed(&net, node, to).await?;
    }
    let source = prover.node().status_source();
    let status = source.status().await;
    assert_eq!((status.roles.to_string().as_str(), status.signer.keys.len()), ("prover", 0));
    assert!(status.is_ready(), "{:?}", status.unready);
    let told = status.prover.expect("it is a prover");
    assert!(told.proofs.contains("prove nothing"), "{}", told.proofs);
    assert!(told.last.is_some_and(|last| last.to >= to));
    let answer = source.explain(None).await.answer;
    assert!(answer.contains("no sequencer"), "{answer}");
    sequencer.close().await?;
    prover.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prover_without_money_says_so_and_proves_once_somebody_sends_it_some() -> Result {
    let net = Net::start_with(NetOptions { proof_submission_epochs: 1_000, ..SHORT_EPOCHS }).await?;
    let node = net.open_node_with("a", &[PROVES_TOO, WITHOUT_MONEY]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let (epoch, reason) = watch.until("failure", failure).await?;
    assert!(reason.contains("no publisher can pay"), "{reason}");
    let told = node.node().status_source().status().await;
    assert!(told.health.reasons.iter().any(|why| why.contains(&format!("epoch {epoch} is not proven"))), "{told:?}");
    let account = told.prover.expect("it is a prover").accounts[0].address;
    Cheats::new(net.chain().provider.clone()).set_balance(account, U256::from(10).pow(U256::from(18))).await?;
    assert_eq!(proven(&mut watch).await?.0, epoch, "the oldest comes first");
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_nobody_proves_in_time_is_pruned_and_the_node_goes_back() -> Result {
    let net = Net::start_with(NetOptions { proof_submission_epochs: 1, ..SHORT_EPOCHS }).await?;
    let node = net.open_node_with("a", &[PROVES_TOO, WITHOUT_MONEY]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.checkpoint(1).await?;
    node.stop(Drain::Graceful).await?.expect("it ran");
    let too_late = |event: &SequencerEvent| failure(event).filter(|(_, reason)| reason.contains("prunes it"));
    let (_, reason) = watch.until("the end of the window", too_late).await?;
    let (_, at) = reason.split_once("was not proven before L1 time ").expect("it says when");
    let over: u64 = at.chars().take_while(char::is_ascii_digit).collect::<String>().parse()?;
    // The node's clock is a moment ahead of L1's blocks.
    net.chain().l1_clock.heads().wait_for(|head| head.timestamp.0 >= over).await?;
    net.prune().await?;
    let mut tip = node.node().workshop().chain.tip();
    tip.wait_for(|tip| tip.is_some_and(|tip| tip.number == CheckpointNumber(0))).await?;
    assert_eq!(node.node().workshop().chain.heads().await?.unsafe_head.number, 0);
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mock_proofs_are_refused_where_the_verifier_checks_proofs() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let verifier = node.node().workshop().view.verifier().await?;
    node.close().await?;
    // It refuses whatever it is given.
    let refuses = bytes!("5f5ffd");
    Cheats::new(net.chain().provider.clone()).set_code(verifier, refuses).await?;
    let refused = net.open_node_with("a", &[PROVES_TOO]).await.expect_err("its proofs would be refused");
    assert!(format!("{refused:#}").contains("set prover.proofs to the URL of a prover service"), "{refused:#}");
    net.open_node("a").await?.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_in_flight_when_its_node_closes_is_not_sent_again_by_the_next() -> Result {
    let net = Net::start_with(NetOptions { proof_submission_epochs: 1_000, ..SHORT_EPOCHS }).await?;
    let node = net.open_node("a").await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let landed = watch.checkpoint(1).await?;
    node.stop(Drain::Graceful).await?.expect("it ran");
    node.close().await?;
    let epoch =
        Epoch(net.rollup().getEpochForCheckpoint(U256::from(landed.checkpoint.0)).call().await?.saturating_to());
    let over = net.times().epoch_start(epoch.next());
    let mut heads = net.chain().l1_clock.heads();
    heads.wait_for(|head| head.timestamp >= over).await?;

    // Nothing is mined: what is sent stays in flight.
    let paused = net.chain().l1_clock.pause_interval().await;
    let prover = net.open_node_with("b", &[("node.roles", "prover")]).await?;
    let account = prover.node().status_source().status().await.prover.expect("it is a prover").accounts[0].address;
    let provider = net.chain().provider.clone();
    let sent = provider.get_transaction_count(account).await?;
    let pending = async || anyhow::Ok(provider.get_transaction_count(account).pending().await?);
    within_a_minute(async {
        while pending().await? == sent {
            tokio::task::yield_now().await;
        }
        Ok(())
    })
    .await?;
    prover.close().await?;
    let prover = net.open_node_with("b", &[("node.roles", "prover")]).await?;
    drop(paused);
    let mut tip = prover.node().workshop().chain.tip();
    tip.wait_for(|tip| tip.is_some_and(|tip| tip.proven >= landed.checkpoint)).await?;
    heads.changed().await?;
    let status = prover.node().status_source().status().await.prover.expect("it is a prover");
    assert_eq!((status.epoch, status.failure), (None, None));
    let proofs = net.rollup().L2ProofVerified_filter().from_block(0).query().await?;
    assert_eq!((proofs.len(), pending().await?), (1, sent + 1), "one proof, one transaction");
    prover.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prover_that_would_send_from_a_publishers_account_does_not_open() -> Result {
    let net = Net::start().await?;
    let shared = [PROVES_TOO, ("prover.first", "1")];
    let refused = net.open_node_with("a", &shared).await.expect_err("two would count one account's nonces");
    assert!(format!("{refused:#}").contains("give the prover an account of its own"), "{refused:#}");
    net.open_node_with("a", &[PROVES_TOO]).await?.close().await
}
