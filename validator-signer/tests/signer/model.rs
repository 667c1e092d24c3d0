//! Any history agrees with a model of the rules, and no key is ever asked to sign two digests for one duty.

mod rules;
mod world;

use alloy::primitives::B256;
use fermata_primitives::Slot;
use fermata_validator_signer::{Duty, DutyKind, KeyChange};
use proptest::prelude::*;

use crate::homes::Make;
use crate::support::{digest, duty};
use rules::STRICT;
use world::{Setting, World};

/// How many random steps to take over each kind of store; a few seconds' worth where it is not set.
const STEPS_ENV: &str = "FERMATA_RANDOM_STEPS";
const STEPS_ON_DISK: u32 = 1_200;
const STEPS_SHARED: u32 = 300;
const STEPS_OF_A_CASE: usize = 120;

#[derive(Clone, Debug)]
enum Step {
    Sign(Duty, B256),
    SignMany(Vec<(Duty, B256)>),
    /// Two callers at once.
    Race(Duty, B256, B256),
    /// The key fails once.
    Fail(Duty, B256),
    /// Reserved, and the reservation kept for later.
    Reserve(Duty, B256),
    /// What one of the kept reservations is for is reserved once more.
    ReserveHeld(usize),
    /// One of the kept reservations is taken back.
    Cancel(usize),
    /// One of the kept reservations goes to the key, whatever happened meanwhile.
    Use(usize),
    /// One of the kept reservations is dropped: what a crash between record and signature leaves.
    Drop(usize),
    /// The key is seen to sign elsewhere, or what it signed here is seen.
    Observe(Duty, B256),
    Change(u8, KeyChange),
    Mark(Marking),
    Prune(Slot),
    StopAndStart,
    Reopen,
    /// The shared store is put back to where it was when it was made.
    SetBack,
}

/// A word about slots.
#[derive(Clone, Copy, Debug)]
enum Marking {
    HandOver(u8, Slot),
    TakeOver(u8, Slot),
    ListenOnlyUntil(Slot),
}

fn any_duty() -> impl Strategy<Value = Duty> {
    let kind = prop_oneof![
        2 => (0u16..2).prop_map(|index| DutyKind::BlockProposal { index }),
        1 => Just(DutyKind::CheckpointProposal),
        2 => Just(DutyKind::Attestation),
        1 => Just(STRICT),
    ];
    (0u8..2, 1u64..9, kind).prop_map(|(validator, slot, kind)| duty(validator, slot, kind))
}

fn any_digest() -> impl Strategy<Value = B256> {
    (1u8..4).prop_map(digest)
}

fn any_step() -> impl Strategy<Value = Step> {
    let payload = || (any_duty(), any_digest());
    let slot = |range: std::ops::Range<u64>| range.prop_map(Slot);
    let change = prop::sample::select(vec![
        KeyChange::Retire,
        KeyChange::Enable,
        KeyChange::Enable,
        KeyChange::LiftHalt,
        KeyChange::LiftHalt,
    ]);
    prop_oneof![
        12 => payload().prop_map(|(duty, digest)| Step::Sign(duty, digest)),
        4 => prop::collection::vec(payload(), 1..5).prop_map(Step::SignMany),
        4 => (payload(), any_digest()).prop_map(|((duty, one), other)| Step::Race(duty, one, other)),
        3 => payload().prop_map(|(duty, digest)| Step::Fail(duty, digest)),
        10 => payload().prop_map(|(duty, digest)| Step::Reserve(duty, digest)),
        3 => any::<usize>().prop_map(Step::ReserveHeld),
        5 => any::<usize>().prop_map(Step::Cancel),
        4 => any::<usize>().prop_map(Step::Use),
        1 => any::<usize>().prop_map(Step::Drop),
        2 => payload().prop_map(|(duty, digest)| Step::Observe(duty, digest)),
        8 => (0u8..2, change).prop_map(|(validator, change)| Step::Change(validator, change)),
        1 => (0u8..2, slot(4..12)).prop_map(|(validator, from)| Step::Mark(Marking::HandOver(validator, from))),
        1 => (0u8..2, slot(0..5)).prop_map(|(validator, from)| Step::Mark(Marking::TakeOver(validator, from))),
        1 => slot(0..3).prop_map(|slot| Step::Mark(Marking::ListenOnlyUntil(slot))),
        1 => slot(0..4).prop_map(Step::Prune),
        1 => Just(Step::StopAndStart),
        3 => Just(Step::Reopen),
        1 => Just(Step::SetBack),
    ]
}

/// Steps, each with the node that takes it.
fn any_history() -> impl Strategy<Value = Vec<(usize, Step)>> {
    prop::collection::vec((0usize..2, any_step()), 1..STEPS_OF_A_CASE)
}

fn cases(usual: u32) -> ProptestConfig {
    let steps = std::env::var(STEPS_ENV).map_or(usual, |steps| steps.parse().expect("a number of steps"));
    // Histories are half as long as the longest, on average.
    let cases = steps.div_ceil(STEPS_OF_A_CASE as u32 / 2);
    // What is shrunk on a shared store takes as long as what is run.
    ProptestConfig { cases, max_shrink_iters: 200, ..ProptestConfig::default() }
}

fn run(setting: Setting, history: Vec<(usize, Step)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(setting).await;
        for (node, step) in history {
            world.step(node, step).await;
        }
        world.end().await;
    });
}

proptest! {
    #![proptest_config(cases(STEPS_ON_DISK))]

    #[test]
    fn any_history_agrees_with_the_rules_and_never_signs_twice(history in any_history()) {
        run(Setting { make: Make::OnDisk, nodes: 1 }, history);
    }
}

proptest! {
    #![proptest_config(cases(STEPS_SHARED))]

    #[test]
    fn any_history_of_a_shared_store_agrees_with_the_rules_and_never_signs_twice(history in any_history()) {
        run(Setting { make: Make::Shared, nodes: 1 }, history);
    }

    #[test]
    fn any_history_of_two_nodes_on_a_shared_store_agrees_with_the_rules_and_never_signs_twice(history in any_history()) {
        run(Setting { make: Make::Shared, nodes: 2 }, history);
    }

    #[test]
    fn a_node_with_two_stores_never_signs_twice_though_the_shared_one_is_set_back(history in any_history()) {
        run(Setting { make: Make::Both, nodes: 1 }, history);
    }

    #[test]
    fn two_nodes_with_two_stores_each_never_sign_twice(history in any_history()) {
        run(Setting { make: Make::Both, nodes: 2 }, history);
    }
}
