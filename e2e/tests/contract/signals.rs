//! The proposer's signal for a governance payload, as the contract counts it.

use alloy::primitives::{Address, U256};
use fermata_anvil::{DeployConfig, GovernanceProposerConfig};
use fermata_primitives::Slot;
use fermata_rollup::contracts::IGovernanceProposer;
use fermata_rollup::{GovernanceSignal, VerifyingContract};
use fermata_sequencer::actions::ActionKind::GovernanceSignal as Signal;

use crate::chain::{Chain, short_epochs};
use crate::side::{Side, took_effect};

/// Slots of a round of signals: whole epochs, so that a test stays within one.
const ROUND: u64 = 8;

async fn start(quorum: u64) -> (Chain, Side, Address) {
    let governance_proposer = GovernanceProposerConfig { round_slots: ROUND, quorum: Some(quorum) };
    let chain = Chain::start_with(DeployConfig { governance_proposer, ..short_epochs() }).await;
    let side = Side::over(&chain, |_| true).await;
    // Any contract will do as a payload, as long as nobody carries it out.
    let payload = chain.addresses.registry;
    side.set(|settings| settings.votes.governance_payload = Some(payload));
    (chain, side, payload)
}

/// Signals for the payload in the slot's round.
async fn signals(chain: &Chain, slot: Slot, payload: Address) -> u64 {
    let contract = IGovernanceProposer::new(chain.addresses.governance_proposer, chain.provider.clone());
    let round = U256::from(slot.0 / ROUND);
    contract.signalCount(chain.addresses.rollup, round, payload).call().await.expect("a count").to()
}

#[tokio::test]
async fn the_contract_computes_the_digest_we_sign() {
    let (chain, _side, payload) = start(5).await;
    let address = chain.addresses.governance_proposer;
    let contract = IGovernanceProposer::new(address, chain.provider.clone());
    let slot = Slot(1_234);
    let theirs = contract.getSignalSignatureDigest(payload, U256::from(slot.0)).call().await.expect("a digest");
    let signal = GovernanceSignal { payload, slot, instance: chain.addresses.rollup };
    assert_eq!(signal.digest(VerifyingContract { l1_chain_id: chain.addresses.l1_chain_id, address }), theirs);
}

#[tokio::test]
async fn a_signal_is_counted_in_the_slot_it_was_made_for_and_once() {
    let (chain, side, payload) = start(5).await;
    let slot = chain.slot().next();
    let action = side.action(&chain, slot, Signal).await.expect("a signal");
    chain.enter(slot).await;
    let receipt = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(took_effect(&receipt, &action));
    assert_eq!(signals(&chain, slot, payload).await, 1);
    assert_eq!(side.action(&chain, slot, Signal).await, None, "somebody has signalled");
    let again = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(!took_effect(&again, &action));
    assert_eq!(signals(&chain, slot, payload).await, 1);
}

#[tokio::test]
async fn a_signal_made_for_another_slot_is_refused() {
    let (chain, side, payload) = start(5).await;
    let slot = chain.slot().next();
    let action = side.action(&chain, slot, Signal).await.expect("a signal");
    let early = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(!took_effect(&early, &action), "its slot has not begun");
    chain.enter(slot.next()).await;
    let late = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(!took_effect(&late, &action), "its slot is over");
    assert_eq!(signals(&chain, slot, payload).await, 0);
}

/// Signals in so many slots on end.
async fn cast(chain: &Chain, side: &Side, slots: u64) {
    for _ in 0..slots {
        let slot = chain.slot().next();
        let action = side.action(chain, slot, Signal).await.expect("a signal");
        chain.enter(slot).await;
        assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&action)).await, &action));
    }
}

#[tokio::test]
async fn nothing_is_signalled_beyond_the_quorum_nor_for_what_is_no_contract() {
    let (chain, side, payload) = start(5).await;
    cast(&chain, &side, 5).await;
    let slot = chain.slot().next();
    assert_eq!(signals(&chain, slot, payload).await, 5, "the slot is of the same round");
    assert_eq!(side.action(&chain, slot, Signal).await, None, "the quorum is reached");
    side.set(|settings| settings.votes.governance_payload = Some(Address::repeat_byte(0xab)));
    assert_eq!(side.action(&chain, slot, Signal).await, None, "there is no code");
    side.set(|settings| settings.votes.governance_payload = Some(chain.addresses.gse));
    assert!(side.action(&chain, slot, Signal).await.is_some(), "another contract has no quorum yet");
}

#[tokio::test]
async fn nothing_is_signalled_for_what_governance_is_deciding_on() {
    let (chain, side, payload) = start(5).await;
    let round = chain.slot().next().0 / ROUND;
    cast(&chain, &side, 5).await;
    chain.enter(Slot((round + 1) * ROUND)).await;
    assert!(side.action(&chain, chain.slot().next(), Signal).await.is_some(), "nobody has proposed it yet");
    let contract = IGovernanceProposer::new(chain.addresses.governance_proposer, chain.provider.clone());
    let submit = contract.submitRoundWinner(U256::from(round)).into_transaction_request();
    assert!(chain.send(submit).await.status());
    assert_eq!(side.action(&chain, chain.slot().next(), Signal).await, None, "governance has it");
    side.set(|settings| settings.votes.governance_payload = Some(chain.addresses.gse));
    assert_ne!(payload, chain.addresses.gse);
    assert!(side.action(&chain, chain.slot().next().next(), Signal).await.is_some(), "another payload is not proposed");
}
