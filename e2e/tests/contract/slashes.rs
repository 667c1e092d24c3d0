//! The proposers' votes on whom to slash, as the contract counts and carries them out.

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use alloy::sol_types::SolEvent;
use fermata_anvil::{DeployConfig, SlashingConfig};
use fermata_primitives::{Epoch, Slot};
use fermata_rollup::contracts::ISlasher;
use fermata_rollup::contracts::ISlashingProposer::{self, ISlashingProposerInstance};
use fermata_rollup::{SlashUnits, SlashVote, VerifyingContract};
use fermata_sequencer::actions::ActionKind::{ExecuteSlash, SlashingVote};

use crate::chain::{COMMITTEE, Chain, short_epochs};
use crate::side::{Side, took_effect};

/// Votes that a round of one epoch of eight slots needs.
const QUORUM: u64 = 5;

/// A round is an epoch, and votes on the one before, which has a committee.
async fn start() -> Chain {
    let slashing = SlashingConfig { round_epochs: 1, offset_rounds: 1, ..SlashingConfig::default() };
    let chain = Chain::start_with(DeployConfig { slashing, ..short_epochs() }).await;
    chain.set_up_epoch().await;
    chain.enter(chain.constants.times.first_slot(epoch_of(&chain, chain.slot()).next())).await;
    chain
}

async fn contract(chain: &Chain) -> ISlashingProposerInstance<DynProvider> {
    let slasher = chain.rollup.getSlasher().call().await.expect("a slasher");
    let proposer = ISlasher::new(slasher, chain.provider.clone()).PROPOSER().call().await.expect("a proposer");
    ISlashingProposer::new(proposer, chain.provider.clone())
}

fn epoch_of(chain: &Chain, slot: Slot) -> Epoch {
    chain.constants.times.epoch_of(slot)
}

/// The committee of the epoch before the slot's.
async fn accused_committee(chain: &Chain, slot: Slot) -> Vec<Address> {
    let epoch = U256::from(epoch_of(chain, slot).0 - 1);
    chain.rollup.getEpochCommittee(epoch).call().await.expect("a committee")
}

/// Votes of the slot's round, so far.
async fn votes(chain: &Chain, slot: Slot) -> u64 {
    let round = U256::from(epoch_of(chain, slot).0);
    contract(chain).await.getRound(round).call().await.expect("a round").voteCount.to()
}

/// The next slot from the head's on that is not of these proposers, and of the same epoch.
async fn slot_of_others(chain: &Chain, accused: Address) -> Slot {
    let mut slot = chain.slot().next();
    while chain.proposer(slot).await == accused {
        slot = slot.next();
    }
    assert_eq!(epoch_of(chain, slot), epoch_of(chain, chain.slot().next()), "the accused proposes all of the epoch");
    slot
}

/// What the first vote of the slot's round says, seat by seat.
async fn first_vote(chain: &Chain, slot: Slot) -> Vec<u8> {
    let round = U256::from(epoch_of(chain, slot).0);
    let vote = contract(chain).await.getVotes(round, U256::ZERO).call().await.expect("a vote");
    (0..COMMITTEE).map(|seat| vote[0] >> (2 * seat) & 3).collect()
}

fn units_of(accused: Address, units: u8, committee: &[Address]) -> Vec<u8> {
    committee.iter().map(|member| if *member == accused { units } else { 0 }).collect()
}

#[tokio::test]
async fn the_contract_computes_the_digest_we_sign_and_the_rounds_we_count() {
    let chain = start().await;
    let contract = contract(&chain).await;
    let vote = SlashVote::pack(Slot(1_234), &[SlashUnits::MOST, SlashUnits::NONE, SlashUnits::capped(1)]);
    let theirs = contract.getVoteSignatureDigest(vote.as_bytes().clone(), U256::from(1_234)).call().await;
    let verifier = VerifyingContract { l1_chain_id: chain.addresses.l1_chain_id, address: *contract.address() };
    assert_eq!(vote.digest(verifier), theirs.expect("a digest"));

    let side = Side::over(&chain, |_| true).await;
    let slasher = side.view.slasher().await.expect("L1 answers").expect("there is one");
    let slashing = fermata_sequencer::l1::SlashingView::open(&side.view, slasher).await.expect("L1 answers");
    let rules = *slashing.expect("it counts by tally").rules();
    for round in 1..9 {
        let round = fermata_rollup::SlashRound(round);
        let theirs = contract.getSlashTargetEpoch(U256::from(round.0), U256::ZERO).call().await.expect("an epoch");
        assert_eq!(rules.target_epochs(round), [Epoch(theirs.to())]);
    }
    assert_eq!(rules.quorum, QUORUM);
}

#[tokio::test]
async fn a_vote_is_counted_in_the_slot_it_was_made_for_and_refused_in_another() {
    let chain = start().await;
    let side = Side::over(&chain, |_| true).await;
    let slot = chain.slot().next();
    assert_eq!(side.action(&chain, slot, SlashingVote).await, None, "there is nobody to vote against");
    let committee = accused_committee(&chain, slot).await;
    side.set(|settings| settings.votes.slash.always = BTreeSet::from([committee[2]]));
    let action = side.action(&chain, slot, SlashingVote).await.expect("a vote");
    let early = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(!took_effect(&early, &action), "its slot has not begun");
    chain.enter(slot).await;
    let receipt = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(took_effect(&receipt, &action));
    assert_eq!(votes(&chain, slot).await, 1);
    assert_eq!(first_vote(&chain, slot).await, units_of(committee[2], 3, &committee));

    let missed = chain.slot().next();
    let action = side.action(&chain, missed, SlashingVote).await.expect("a vote");
    chain.enter(missed.next()).await;
    let late = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(!took_effect(&late, &action), "its slot is over");
    assert_eq!(votes(&chain, missed).await, 1);
}

#[tokio::test]
async fn a_round_of_votes_slashes_once_it_is_over() {
    let chain = start().await;
    let side = Side::over(&chain, |_| true).await;
    let accused = accused_committee(&chain, chain.slot().next()).await[1];
    side.set(|settings| settings.votes.slash.always = BTreeSet::from([accused]));
    for _ in 0..QUORUM {
        let slot = chain.slot().next();
        let action = side.action(&chain, slot, SlashingVote).await.expect("a vote");
        chain.enter(slot).await;
        assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&action)).await, &action));
        assert_eq!(side.action(&chain, slot.next(), ExecuteSlash).await, None, "the round is not over");
    }
    let balance = async || {
        let view = chain.rollup.getAttesterView(accused).call().await.expect("an attester");
        view.effectiveBalance + view.exit.amount
    };
    let before = balance().await;
    let times = chain.constants.times;
    chain.enter(times.first_slot(epoch_of(&chain, chain.slot()).next())).await;
    let action = side.action(&chain, chain.slot(), ExecuteSlash).await.expect("the round can be carried out");
    let receipt = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(took_effect(&receipt, &action));
    let executed = receipt
        .logs()
        .iter()
        .find_map(|log| ISlashingProposer::RoundExecuted::decode_log(&log.inner).ok().map(|event| event.slashCount));
    assert_eq!(executed, Some(U256::ONE));
    assert_eq!(before - balance().await, SlashingConfig::default().amounts[2]);
    assert_eq!(side.action(&chain, chain.slot().next(), ExecuteSlash).await, None, "it is done");
}

#[tokio::test]
async fn who_proposed_twice_for_a_slot_is_voted_against_a_round_later() {
    let chain = start().await;
    let offence_slot = chain.slot();
    let epoch = U256::from(epoch_of(&chain, offence_slot).0);
    let committee = chain.rollup.getEpochCommittee(epoch).call().await.expect("a committee");
    let accused = committee[3];
    let side = Side::over(&chain, |address| *address != accused).await;
    side.duties.offences().equivocated(offence_slot, accused);
    assert_eq!(side.action(&chain, offence_slot.next(), SlashingVote).await, None, "its round has not come");
    chain.enter(chain.constants.times.first_slot(epoch_of(&chain, offence_slot).next())).await;
    let slot = slot_of_others(&chain, accused).await;
    let action = side.action(&chain, slot, SlashingVote).await.expect("a vote");
    chain.enter(slot).await;
    assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&action)).await, &action));
    assert_eq!(first_vote(&chain, slot).await, units_of(accused, 2, &committee));
}

#[tokio::test]
async fn who_was_absent_from_what_landed_is_voted_against_a_round_later() {
    let chain = start().await;
    let times = chain.constants.times;
    let epoch = epoch_of(&chain, chain.slot()).next();
    chain.enter(times.first_slot(epoch)).await;
    let committee = chain.rollup.getEpochCommittee(U256::from(epoch.0)).call().await.expect("a committee");
    let mut own_slots = [0; COMMITTEE];
    for slot in times.first_slot(epoch).0..times.first_slot(epoch.next()).0 {
        let proposer = chain.proposer(Slot(slot)).await;
        own_slots[committee.iter().position(|member| *member == proposer).expect("a member")] += 1;
    }
    let absent = (0..COMMITTEE).min_by_key(|seat| own_slots[*seat]).expect("there are seats");
    let accused = committee[absent];
    let side = Side::over(&chain, |address| *address != accused).await;
    side.duties.offences().watched_from(times.first_slot(epoch));
    for slot in times.first_slot(epoch).0..times.first_slot(epoch.next()).0 {
        if chain.proposer(Slot(slot)).await == accused {
            continue;
        }
        let candidate = chain.candidate(Slot(slot)).await;
        let propose = candidate.propose(&candidate.attest().without(absent));
        assert!(chain.land(&propose, &candidate.blobs).await.status());
        side.look(&chain).await;
    }
    chain.enter(times.first_slot(epoch.next())).await;
    side.look(&chain).await;
    let slot = slot_of_others(&chain, accused).await;
    let action = side.action(&chain, slot, SlashingVote).await.expect("a vote");
    chain.enter(slot).await;
    assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&action)).await, &action));
    assert_eq!(first_vote(&chain, slot).await, units_of(accused, 1, &committee));
}
