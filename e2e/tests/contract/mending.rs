//! What a slot mends on L1: checkpoints that may not stand, and those whose proof did not come.

use alloy::primitives::{B256, U256};
use fermata_anvil::DeployConfig;
use fermata_primitives::CheckpointNumber;
use fermata_rollup::CommitteeAttestations;
use fermata_sequencer::actions::ActionKind::{self, InvalidateBadAttestation, InvalidateTooFewAttestations, Prune};

use crate::candidate::{Candidate, sign};
use crate::chain::{Chain, short_epochs};
use crate::side::{Side, took_effect};

async fn pending(chain: &Chain) -> u64 {
    chain.rollup.getPendingCheckpointNumber().call().await.expect("a number").to()
}

/// Lands a good checkpoint, and in the next slot one whose attestations `spoil` has made bad.
async fn land_good_then_bad(chain: &Chain, spoil: impl FnOnce(&Candidate) -> CommitteeAttestations) {
    let good = chain.candidate(chain.slot().next()).await;
    assert!(chain.land(&good.propose(&good.attest_by_quorum()), &good.blobs).await.status());
    let bad = chain.candidate(chain.slot().next()).await;
    assert!(chain.land(&bad.propose(&spoil(&bad)), &bad.blobs).await.status(), "L1 checks the proposer alone");
    assert_eq!(pending(chain).await, 2);
}

/// One seat's signature is over something else.
fn forged(bad: &Candidate) -> CommitteeAttestations {
    let (mut attestations, seat) = (bad.attest(), bad.other_seat());
    let wrong = sign(bad.key(seat), B256::repeat_byte(9));
    attestations.add(bad.committee.members[seat], wrong).expect("a member");
    attestations
}

fn too_few(bad: &Candidate) -> CommitteeAttestations {
    bad.attest_by(bad.committee.quorum() - 1)
}

async fn the_next_proposer_drops_it(spoil: fn(&Candidate) -> CommitteeAttestations, kind: ActionKind) {
    let chain = Chain::start().await;
    let side = Side::over(&chain, |_| true).await;
    land_good_then_bad(&chain, spoil).await;
    assert_eq!(side.duties.first_invalid(), None, "it was not looked at yet");
    side.look(&chain).await;
    assert_eq!(side.duties.first_invalid(), Some(CheckpointNumber(2)));
    let slot = chain.slot().next();
    let action = side.action(&chain, slot, kind).await.expect("an invalidation");
    assert_eq!(side.action(&chain, slot, kind).await, None, "it is asked for once in a slot");
    chain.enter(slot).await;
    assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&action)).await, &action));
    assert_eq!(pending(&chain).await, 1);
    side.look(&chain).await;
    assert_eq!(side.duties.first_invalid(), None);
}

#[tokio::test]
async fn a_checkpoint_with_a_forged_attestation_is_dropped_by_the_next_proposer() {
    the_next_proposer_drops_it(forged, InvalidateBadAttestation).await;
}

#[tokio::test]
async fn a_checkpoint_with_too_few_attestations_is_dropped_by_the_next_proposer() {
    the_next_proposer_drops_it(too_few, InvalidateTooFewAttestations).await;
}

#[tokio::test]
async fn all_that_was_built_on_a_bad_checkpoint_goes_with_it() {
    let chain = Chain::start().await;
    let side = Side::over(&chain, |_| true).await;
    land_good_then_bad(&chain, forged).await;
    let above = chain.candidate(chain.slot().next()).await;
    assert!(chain.land(&above.propose(&above.attest()), &above.blobs).await.status());
    side.look(&chain).await;
    assert_eq!(side.duties.first_invalid(), Some(CheckpointNumber(2)));
    let slot = chain.slot().next();
    let action = side.action(&chain, slot, InvalidateBadAttestation).await.expect("an invalidation");
    chain.enter(slot).await;
    assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&action)).await, &action));
    assert_eq!(pending(&chain).await, 1);
}

#[tokio::test]
async fn who_does_not_propose_waits_and_then_drops_it() {
    let chain = Chain::start().await;
    let member = Side::over(&chain, |_| true).await;
    let anyone = Side::over(&chain, |_| false).await;
    land_good_then_bad(&chain, forged).await;
    let (bad_since, slot) = (chain.constants.times.start_of(chain.slot()), chain.slot().next());
    for (side, delay) in [(&member, 144), (&anyone, 432)] {
        side.look(&chain).await;
        side.clock.set(bad_since.plus_secs(delay - 1).into());
        assert!(side.duties.of_bystander(slot).await.is_empty());
        side.clock.set(bad_since.plus_secs(delay).into());
        let actions = side.duties.of_bystander(slot).await;
        assert_eq!(actions.iter().map(|action| action.kind).collect::<Vec<_>>(), [InvalidateBadAttestation]);
        assert!(side.duties.of_bystander(slot).await.is_empty(), "it is asked for once in a slot");
    }
    chain.enter(slot).await;
    let again = member.duties.of_bystander(slot.next()).await;
    let action = again.first().expect("the next slot may ask again");
    assert!(took_effect(&chain.send_bundle(&again).await, action));
    assert_eq!(pending(&chain).await, 1);
}

#[tokio::test]
async fn good_checkpoints_are_left_alone() {
    let chain = Chain::start().await;
    let side = Side::over(&chain, |_| true).await;
    for _ in 0..3 {
        let good = chain.candidate(chain.slot().next()).await;
        assert!(chain.land(&good.propose(&good.attest_by_quorum()), &good.blobs).await.status());
        side.look(&chain).await;
    }
    assert_eq!(side.duties.first_invalid(), None);
    assert!(side.duties.of_bystander(chain.slot().next()).await.is_empty());
    let proposer = chain.proposer(chain.slot().next()).await;
    assert!(side.duties.of_proposer(chain.slot().next(), proposer).await.is_empty(), "there is nothing to do");
}

#[tokio::test]
async fn what_is_not_proven_in_time_is_pruned_from_the_first_slot_in_which_it_can_be() {
    let chain = Chain::start_with(DeployConfig { proof_submission_epochs: 1, ..short_epochs() }).await;
    let side = Side::over(&chain, |_| true).await;
    let candidate = chain.candidate(chain.slot().next()).await;
    assert!(chain.land(&candidate.propose(&candidate.attest()), &candidate.blobs).await.status());
    let constants = &chain.constants;
    let epoch = constants.times.epoch_of(candidate.header.slot);
    let first = constants.times.first_slot(constants.prune_epoch(epoch));
    chain.enter(first.previous()).await;
    assert_eq!(side.action(&chain, first.previous(), Prune).await, None, "there is time left");
    let action = side.action(&chain, first, Prune).await.expect("a prune");
    let early = chain.send_bundle(std::slice::from_ref(&action)).await;
    assert!(!took_effect(&early, &action) && pending(&chain).await == 1);
    chain.enter(first).await;
    assert!(took_effect(&chain.send_bundle(std::slice::from_ref(&action)).await, &action));
    assert_eq!(pending(&chain).await, 0);
    assert_eq!(chain.rollup.getTips().call().await.expect("tips").proven, U256::ZERO);
    assert_eq!(side.action(&chain, first.next(), Prune).await, None, "there is nothing left to prune");
}
