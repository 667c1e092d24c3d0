//! A proposer that lands a checkpoint without its committee: another node drops it, and the chain goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::BlobTransactionSidecarVariant;
use alloy::network::{EthereumWallet, TransactionBuilder as _, TransactionBuilder4844 as _};
use alloy::primitives::{Address, B256, I256, keccak256};
use alloy::providers::{Provider as _, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context as _, Result, ensure};
use fermata_e2e::{Net, NetOptions};
use fermata_execution::{Block, BlockAttributes};
use fermata_primitives::{CheckpointNumber, L1Timestamp, Slot};
use fermata_publisher::PreparedBlobs;
use fermata_rollup::{
    BlobCommitments, CheckpointHeader, CheckpointPayload, Committee, CommitteeAttestations, GasFees, PayloadBlock,
    Propose, attestations_and_signers_digest, payload_digest, signing_hash,
};
use fermata_sequencer::actions::ActionKind;
use fermata_sequencer::dev::prefunded_accounts;
use fermata_sequencer::events::{SequencerEvent, StepBack};
use fermata_sequencer::pipeline::L1Tip;

use crate::hostile::{Arena, on_l1};
use crate::voting::{any_of, landed};

/// A slot of the fourth validator's, and what L1 has before it.
struct Turn {
    slot: Slot,
    committee: Arc<Committee>,
    tip: L1Tip,
}

/// A checkpoint that nobody but its proposer has seen.
struct Lone {
    number: CheckpointNumber,
    propose: Propose,
    blobs: PreparedBlobs,
}

/// The fourth validator's next turn, once what is before it has landed.
async fn its_turn(arena: &Arena) -> Result<Turn> {
    let (slot, committee) = arena.its_turn().await?;
    head_at(arena, arena.net.times().start_of(slot.previous()).plus_secs(1)).await?;
    Ok(Turn { slot, committee, tip: tip(arena).await? })
}

async fn head_at(arena: &Arena, at: L1Timestamp) -> Result<()> {
    let mut heads = arena.net.chain().l1_clock.heads();
    tokio::time::timeout(Duration::from_secs(60), heads.wait_for(|head| head.timestamp >= at)).await??;
    Ok(())
}

/// Where L1 is, once an honest node has followed it there.
async fn tip(arena: &Arena) -> Result<L1Tip> {
    let archive = arena.net.archive_at(arena.net.pending().await?).await?;
    let mut tip = arena.honest[0].node().workshop().chain.tip();
    let there = tip.wait_for(|tip| tip.is_some_and(|tip| tip.archive == archive));
    let tip = *tokio::time::timeout(Duration::from_secs(60), there).await??;
    tip.context("it was waited for")
}

/// An empty block, as the fourth validator would build it: it is valid. What makes it is an honest node's engine.
async fn valid_block(arena: &Arena, turn: &Turn) -> Result<Block> {
    let execution = &arena.honest[0].node().workshop().execution;
    let place = [turn.slot.0.to_be_bytes(), 0_u64.to_be_bytes()].concat();
    let attributes = BlockAttributes {
        timestamp: arena.net.times().start_of(turn.slot).0,
        beneficiary: arena.key.address(),
        prev_randao: keccak256([turn.committee.seed.to_be_bytes::<32>().as_slice(), &place].concat()),
        gas_limit: 30_000_000,
        max_payload_bytes: 1_000,
        transactions: Some(Vec::new()),
        deadline: None,
    };
    let job = execution.begin(turn.tip.archive, attributes).await?;
    Ok(execution.seal(job).await?)
}

/// A checkpoint of `block` alone, as the contract takes it, with the attestations that `attest` makes of its digest.
async fn lone_checkpoint(arena: &Arena, turn: &Turn, block: &Block, attest: Attest) -> Result<Lone> {
    let (view, number) = (&arena.honest[0].node().workshop().view, turn.tip.number.next());
    let payload = PayloadBlock { header: block.encoded_header().into(), transactions: Vec::new() };
    let blobs = CheckpointPayload { blocks: vec![payload] }.to_blobs()?;
    let blobs = tokio::task::spawn_blocking(move || PreparedBlobs::compute(blobs)).await??;
    let commitments = BlobCommitments::new(blobs.commitments().to_vec());
    let inputs = view.checkpoint_inputs(number, turn.slot).await?;
    let coinbase: Address = arena.key.address();
    let header = CheckpointHeader {
        last_archive: turn.tip.archive,
        block_headers_hash: keccak256(block.hash()),
        blobs_hash: commitments.hash(),
        in_hash: inputs.in_hash,
        out_hash: B256::ZERO,
        slot: turn.slot,
        timestamp: view.times().start_of(turn.slot),
        coinbase,
        fee_recipient: coinbase.into_word(),
        gas_fees: GasFees { da: 0, l2: inputs.mana_min_fee },
        total_mana_used: 0,
    };
    let attestations = attest(&arena.key, &turn.committee, payload_digest(block.hash(), I256::ZERO, header.hash()))?;
    let (packed, signers) = (attestations.pack(), attestations.signers());
    let signature = arena.key.sign_hash_sync(&signing_hash(attestations_and_signers_digest(&packed, &signers)))?;
    let propose = Propose {
        archive: block.hash(),
        fee_asset_price_modifier: I256::ZERO,
        header,
        attestations: packed,
        signers,
        attestations_and_signers_signature: signature.into(),
        commitments,
    };
    Ok(Lone { number, propose, blobs })
}

/// Sends it to L1 in its slot, from the account that would be the fourth node's.
async fn land(arena: &Arena, lone: &Lone) -> Result<()> {
    head_at(arena, lone.propose.header.timestamp).await?;
    let account = prefunded_accounts().swap_remove(4);
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(account))
        .connect_http(arena.net.chain().anvil.url().parse()?);
    let sidecar = BlobTransactionSidecarVariant::Eip7594(lone.blobs.sidecar().clone());
    let request = TransactionRequest::default()
        .with_to(*arena.net.rollup().address())
        .with_input(lone.propose.calldata())
        .with_blob_sidecar(sidecar)
        .with_gas_limit(5_000_000);
    let receipt = provider.send_transaction(request).await?.get_receipt().await?;
    ensure!(receipt.status(), "L1 checks the proposer alone: {receipt:?}");
    Ok(())
}

/// Makes attestations of a digest with the proposer's key alone.
type Attest = fn(&PrivateKeySigner, &Committee, B256) -> Result<CommitteeAttestations>;

/// The proposer signs in every seat.
fn in_every_seat(key: &PrivateKeySigner, committee: &Committee, digest: B256) -> Result<CommitteeAttestations> {
    let mut attestations = CommitteeAttestations::unsigned(&committee.members);
    for member in &committee.members {
        attestations.add(*member, key.sign_hash_sync(&signing_hash(digest))?)?;
    }
    Ok(attestations)
}

/// The proposer signs in its own seat, and nobody else does.
fn in_its_own_seat(key: &PrivateKeySigner, committee: &Committee, digest: B256) -> Result<CommitteeAttestations> {
    let mut attestations = CommitteeAttestations::unsigned(&committee.members);
    attestations.add(key.address(), key.sign_hash_sync(&signing_hash(digest))?)?;
    Ok(attestations)
}

async fn start() -> Result<Arena> {
    Arena::over(Net::start_with(NetOptions { slot_secs: 4, ..NetOptions::default() }).await?, &[]).await
}

/// An honest node drops the checkpoint with an action of this `kind`; another one takes its place, and the chain goes on.
async fn assert_dropped(arena: &mut Arena, lone: &Lone, kind: ActionKind) -> Result<()> {
    let dropped = any_of(&mut arena.watches, "invalidation", landed(kind)).await?;
    assert!(dropped.slot > lone.propose.header.slot, "{dropped:?}");
    for watch in &mut arena.watches {
        watch.until("the chain goes on", |event| on_l1(event, lone.number.0 + 2)).await?;
        let refused = |event: &&SequencerEvent| matches!(event, SequencerEvent::CheckpointPublishFailed { .. });
        assert_eq!(watch.seen().iter().find(refused), None, "nothing is built on it");
        let discarded: Vec<_> = watch.seen().iter().filter_map(discarded).collect();
        assert_eq!(
            discarded.iter().collect::<BTreeSet<_>>().len(),
            discarded.len(),
            "each is told once: {discarded:?}"
        );
    }
    assert_ne!(arena.net.archive_at(lone.number).await?, lone.propose.archive, "another checkpoint has its place");
    Ok(())
}

fn discarded(event: &SequencerEvent) -> Option<Slot> {
    if let SequencerEvent::CheckpointDiscarded { slot, .. } = event { Some(*slot) } else { None }
}

/// Every honest node had the checkpoint for its tip, and went back.
fn assert_all_went_back(arena: &Arena, number: CheckpointNumber) {
    for (node, watch) in arena.honest.iter().zip(&arena.watches) {
        let back = |event: &SequencerEvent| {
            let SequencerEvent::L1WentBack { cause, from, to, .. } = event else { return None };
            Some((*cause, *from, to.next()))
        };
        let told: Vec<_> = watch.seen().iter().filter_map(back).collect();
        assert_eq!(told, [(StepBack::Invalidated, number, number)], "{}", node.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_with_forged_attestations_is_dropped_by_another_node_and_the_chain_goes_on() -> Result<()> {
    let mut arena = start().await?;
    let turn = its_turn(&arena).await?;
    let block = valid_block(&arena, &turn).await?;
    let lone = lone_checkpoint(&arena, &turn, &block, in_every_seat).await?;
    land(&arena, &lone).await?;
    assert_dropped(&mut arena, &lone, ActionKind::InvalidateBadAttestation).await?;
    assert_all_went_back(&arena, lone.number);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_its_proposer_alone_attested_is_dropped_by_another_node_and_the_chain_goes_on() -> Result<()>
{
    let mut arena = start().await?;
    let turn = its_turn(&arena).await?;
    let block = valid_block(&arena, &turn).await?;
    let lone = lone_checkpoint(&arena, &turn, &block, in_its_own_seat).await?;
    land(&arena, &lone).await?;
    assert_dropped(&mut arena, &lone, ActionKind::InvalidateTooFewAttestations).await?;
    assert_all_went_back(&arena, lone.number);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_nobody_can_execute_and_nobody_attested_holds_nobody_up() -> Result<()> {
    let mut arena = start().await?;
    let turn = its_turn(&arena).await?;
    let wrong_root = arena.forged_block(turn.slot, &turn.committee, Vec::new()).await?;
    let lone = lone_checkpoint(&arena, &turn, &wrong_root, in_every_seat).await?;
    land(&arena, &lone).await?;
    assert_dropped(&mut arena, &lone, ActionKind::InvalidateBadAttestation).await
}
