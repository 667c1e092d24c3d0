//! What holds of any stores and files: nothing is lost, nothing is lowered, and neither order nor repetition matters.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256};
use fermata_primitives::Slot;
use fermata_validator_signer::{Duty, DutyKind, Hex, ImportOptions, Interchange, Safe, SignerError};
use proptest::prelude::*;

use super::export;
use crate::homes::{Home, Make};
use crate::support::{RecordingKeys, digest, duty};

const SLOTS: u64 = 4;

#[derive(Clone, Debug)]
enum Step {
    Sign(Duty, B256),
    /// Recorded, and the key was never asked.
    Pin(Duty, B256),
    Prune(Slot),
}

fn kinds() -> [DutyKind; 4] {
    let blocks = [0, 1].map(|index| DutyKind::BlockProposal { index });
    [blocks[0], blocks[1], DutyKind::CheckpointProposal, DutyKind::Attestation]
}

fn any_step() -> impl Strategy<Value = Step> {
    let payload = || {
        let kind = prop::sample::select(kinds().to_vec());
        (0u8..2, 1..=SLOTS, kind, 1u8..3).prop_map(|(key, slot, kind, byte)| (duty(key, slot, kind), digest(byte)))
    };
    prop_oneof![
        4 => payload().prop_map(|(duty, digest)| Step::Sign(duty, digest)),
        3 => payload().prop_map(|(duty, digest)| Step::Pin(duty, digest)),
        1 => (1..SLOTS).prop_map(|slot| Step::Prune(Slot(slot))),
    ]
}

fn any_use() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 0..14)
}

async fn used(make: Make, steps: &[Step]) -> Home {
    let (home, keys) = (Home::new(make).await, RecordingKeys::new());
    let signer = home.signer(&keys).await;
    for step in steps {
        // What is refused leaves no trace, which is as good a history as any.
        match step {
            Step::Sign(duty, digest) => drop(signer.sign(*duty, *digest).await),
            Step::Pin(duty, digest) => drop(signer.protection().reserve(*duty, *digest).await),
            Step::Prune(slot) => drop(signer.protection().prune(*slot).await),
        }
    }
    signer.close().await;
    home
}

async fn file_of(home: &Home) -> Interchange {
    let store = home.keeper().await;
    let file = Interchange::parse(export(&*store).await.to_text().as_bytes()).unwrap();
    store.close().await;
    file
}

async fn with_imports(home: Home, files: &[&Interchange]) -> Home {
    let store = home.keeper().await;
    for file in files {
        store.import(file, ImportOptions::default()).await.unwrap();
    }
    store.close().await;
    home
}

/// The file without what tells the store that wrote it.
fn said(mut file: Interchange) -> Interchange {
    let rollup = file.rollup_interchange.as_mut().unwrap();
    rollup.store_id = Hex([0; 16]);
    rollup.sha256 = Hex([0; 32]);
    file
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Granted,
    Resume,
    Done,
    Refused,
}

/// What the store would answer to every payload of the small world; it is asked a copy.
async fn answers(home: &Home) -> Vec<((Duty, B256), Answer)> {
    let mut answers = Vec::new();
    for digest in [digest(1), digest(2)] {
        let copy = home.copy();
        let store = copy.keeper().await;
        let world: Vec<_> = (0..2)
            .flat_map(|key| (1..=SLOTS).flat_map(move |slot| kinds().map(move |kind| (duty(key, slot, kind), digest))))
            .collect();
        let told = store.reserve_many(&world, None).await.into_iter().map(|answer| match answer {
            Ok(Safe::Granted(_)) => Answer::Granted,
            Ok(Safe::Resume(_)) => Answer::Resume,
            Ok(Safe::Done(_)) => Answer::Done,
            Err(SignerError::NotSafe(_)) => Answer::Refused,
            Err(error) => panic!("{error}"),
        });
        answers.extend(world.iter().copied().zip(told));
        store.close().await;
    }
    answers
}

/// The payloads that a file says were promised.
fn promised(file: &Interchange) -> BTreeSet<(Address, u64, String, B256)> {
    let scopes = &file.rollup_interchange.as_ref().unwrap().scopes;
    let signers = scopes.iter().flat_map(|scope| &scope.signers);
    let duties = signers.flat_map(|entry| entry.duties.iter().map(move |duty| (entry.signer, duty)));
    duties
        .filter_map(|(signer, duty)| {
            let place = format!("{:?} {}", duty.kind, duty.index.0);
            Some((Address::from(signer.0), duty.slot.0, place, B256::from(duty.digest?.0)))
        })
        .collect()
}

fn promise(duty: Duty, digest: B256) -> (Address, u64, String, B256) {
    let place = match duty.kind {
        DutyKind::BlockProposal { index } => format!("BlockProposal {index}"),
        DutyKind::CheckpointProposal => "CheckpointProposal 0".to_owned(),
        DutyKind::Attestation => "Attestation 0".to_owned(),
        DutyKind::AttestationsAndSigners | DutyKind::GovernanceVote | DutyKind::SlashingVote => {
            unreachable!("no such duty in the small world")
        }
    };
    (duty.validator, duty.slot.0, place, digest)
}

async fn check(make: Make, ours: Vec<Step>, theirs: Vec<Step>) {
    let (ours, theirs) = (used(make, &ours).await, used(make, &theirs).await);
    let fresh = || Home::new(make);
    let (our_file, their_file) = (file_of(&ours).await, file_of(&theirs).await);

    let carried = with_imports(fresh().await, &[&our_file]).await;
    assert_eq!(said(file_of(&carried).await), said(our_file.clone()), "an import of an export is the store");
    assert_eq!(answers(&carried).await, answers(&ours).await);

    let twice = with_imports(fresh().await, &[&our_file, &our_file]).await;
    assert_eq!(said(file_of(&twice).await), said(our_file.clone()), "importing twice is importing once");

    let one_way = with_imports(fresh().await, &[&our_file, &their_file]).await;
    let other_way = with_imports(fresh().await, &[&their_file, &our_file]).await;
    assert_eq!(answers(&one_way).await, answers(&other_way).await, "the order of imports does not matter");

    let before = answers(&ours).await;
    let grown = with_imports(ours, &[&their_file]).await;
    let promised = promised(&their_file);
    for ((payload, was), (_, is)) in before.into_iter().zip(answers(&grown).await) {
        let (duty, digest) = payload;
        let allowed_now = was == Answer::Refused && is != Answer::Refused;
        assert!(!allowed_now || promised.contains(&promise(duty, digest)), "{duty} was refused: {is:?}");
        assert!(is != Answer::Granted || was == Answer::Granted, "{duty} was {was:?}: {is:?}");
    }
}

fn hold(make: Make, ours: Vec<Step>, theirs: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check(make, ours, theirs));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn imports_lose_and_lower_nothing_in_whatever_order(ours in any_use(), theirs in any_use()) {
        hold(Make::OnDisk, ours, theirs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn imports_into_a_shared_store_do_neither(ours in any_use(), theirs in any_use()) {
        hold(Make::Shared, ours, theirs);
    }
}
