//! The escape hatch, as the contract opens it and a node sees it.

use alloy::eips::BlockId;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use fermata_anvil::{DeployConfig, EscapeHatchConfig};
use fermata_primitives::Epoch;
use fermata_rollup::contracts::{IErc20, IEscapeHatch};

use fermata_sequencer::actions::ActionKind::GovernanceSignal;

use crate::chain::{Chain, refusal_of, short_epochs, with_blob_hashes};
use crate::side::{Side, took_effect};

/// A chain in whose escape hatch a candidate stands, with the first epoch of the hatch it is drawn for.
async fn with_candidate(config: EscapeHatchConfig) -> (Chain, Epoch) {
    let short_window = DeployConfig { proof_submission_epochs: 1, ..short_epochs() };
    let chain = Chain::start_with(DeployConfig { escape_hatch: Some(config), ..short_window }).await;
    let hatch = chain.rollup.getEscapeHatch().call().await.expect("an address");
    let hatch = IEscapeHatch::new(hatch, chain.provider.clone());
    let times = chain.constants.times;
    let enter = async |epoch: u64| chain.enter(times.first_slot(Epoch(epoch))).await;
    // Who joins in the first epoch of a hatch is in the set that the next draw is made from.
    let epoch = times.epoch_of(chain.slot()).0;
    let joined = epoch.next_multiple_of(config.frequency_epochs);
    if joined != epoch {
        enter(joined).await;
    }
    let bond = U256::from(hatch.getBondSize().call().await.expect("a bond"));
    let stake = IErc20::new(chain.addresses.staking_asset, chain.provider.clone());
    let [candidate, _] = accounts(&chain).await;
    assert!(chain.send(stake.mint(candidate, bond).into_transaction_request()).await.status());
    assert!(chain.send(stake.approve(*hatch.address(), bond).into_transaction_request()).await.status());
    assert!(chain.send(hatch.joinCandidateSet().into_transaction_request()).await.status());
    enter(joined + config.frequency_epochs).await;
    assert!(chain.send(hatch.selectCandidates().into_transaction_request()).await.status());
    (chain, Epoch(joined + (1 + config.lag_hatches) * config.frequency_epochs))
}

/// Two accounts with money: the one that the test's wallet sends from, and another.
async fn accounts(chain: &Chain) -> [Address; 2] {
    let accounts = chain.provider.get_accounts().await.expect("anvil has accounts");
    [accounts[0], accounts[1]]
}

#[tokio::test]
async fn the_epochs_of_an_open_hatch_are_seen_to_be_and_no_others() {
    let config = EscapeHatchConfig::default();
    let (chain, first) = with_candidate(config).await;
    let side = Side::over(&chain, |_| true).await;
    let is_open = async |epoch: u64| side.view.escape_hatch_open(Epoch(epoch)).await.expect("L1 answers");
    assert!(!is_open(first.0 - 1).await);
    for epoch in first.0..first.0 + config.active_epochs {
        assert!(is_open(epoch).await, "epoch {epoch}");
    }
    assert!(!is_open(first.0 + config.active_epochs).await);
    let slot = chain.constants.times.first_slot(first);
    assert!(side.duties.is_votes_only(slot).await.expect("L1 answers"));
    assert!(!side.duties.is_votes_only(slot.previous()).await.expect("L1 answers"));
}

#[tokio::test]
async fn while_the_hatch_is_open_the_committees_proposer_votes_and_its_checkpoint_is_refused() {
    let (chain, first) = with_candidate(EscapeHatchConfig::default()).await;
    let side = Side::over(&chain, |_| true).await;
    side.set(|settings| settings.votes.governance_payload = Some(chain.addresses.registry));
    let candidate = chain.candidate(chain.constants.times.first_slot(first)).await;
    let propose = candidate.propose(&candidate.attest());
    let [_, another] = accounts(&chain).await;
    let request = TransactionRequest::default().with_to(chain.addresses.rollup).with_input(propose.calldata());
    let request = with_blob_hashes(request.with_from(another), &candidate.commitments);
    let refused = chain.provider.call(request).block(BlockId::latest()).await.expect_err("it is no candidate");
    assert_eq!(refusal_of(&refused.into()), "Rollup__InvalidEscapeHatchProposer");

    let signal = side.action(&chain, candidate.header.slot, GovernanceSignal).await.expect("a signal");
    assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&signal)).await, &signal));
}

#[tokio::test]
async fn a_rollup_without_an_escape_hatch_has_none_open() {
    let chain = Chain::start().await;
    let side = Side::over(&chain, |_| true).await;
    assert!(!side.duties.is_votes_only(chain.slot().next()).await.expect("L1 answers"));
}
