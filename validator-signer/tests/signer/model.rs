//! Any history agrees with a model of the rules, and no key is ever asked to sign two digests for one duty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use alloy::signers::SignerSync;
use fermata_primitives::Slot;
use fermata_validator_signer::{
    Duty, DutyKind, Halt, KeyChange, Keystore, NotSafe, Reservation, Safe, Sighting, SignerError, SlashingProtection,
    StoreOptions, ValidatorSigner,
};
use proptest::prelude::*;

use crate::support::{DOMAIN, Manner, Place, RecordingKeys, digest, duty, key, small};

/// How many random steps to take; a few seconds' worth where it is not set.
const STEPS_ENV: &str = "FERMATA_RANDOM_STEPS";
const DEFAULT_STEPS: u32 = 1_200;
const STEPS_OF_A_CASE: usize = 120;
/// The kind that the stores of this test sign in strict mode.
const STRICT: DutyKind = DutyKind::GovernanceVote;

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
}

/// A word about slots.
#[derive(Clone, Copy, Debug)]
enum Marking {
    HandOver(u8, Slot),
    TakeOver(u8, Slot),
    ListenOnlyUntil(Slot),
}

/// What a store is expected to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Granted,
    Resume,
    Done,
    Conflict,
    Low,
    High,
    Listening,
    Passed,
    Sealed,
    Retired,
    Halted,
}

impl Answer {
    const fn is_safe(self) -> bool {
        matches!(self, Self::Granted | Self::Resume | Self::Done)
    }
}

fn told(refusal: NotSafe) -> Answer {
    match refusal {
        NotSafe::Conflict { .. } => Answer::Conflict,
        NotSafe::BelowLow { .. } => Answer::Low,
        NotSafe::AtOrAboveHigh { .. } => Answer::High,
        NotSafe::ListenOnly { .. } => Answer::Listening,
        NotSafe::NotAboveMaxSigned { .. } => Answer::Passed,
        NotSafe::Sealed { .. } => Answer::Sealed,
        NotSafe::Retired { .. } => Answer::Retired,
        NotSafe::Halted { .. } => Answer::Halted,
        NotSafe::TooFarAhead { .. } | NotSafe::ZeroDigest { .. } => panic!("{refusal}"),
    }
}

fn answered(answer: &Result<Safe, SignerError>) -> Answer {
    match answer {
        Ok(Safe::Granted(_)) => Answer::Granted,
        Ok(Safe::Resume(_)) => Answer::Resume,
        Ok(Safe::Done(_)) => Answer::Done,
        Err(SignerError::NotSafe(refusal)) => told(*refusal),
        Err(error) => panic!("{error}"),
    }
}

/// A duty on record.
#[derive(Clone, Copy, Debug)]
struct Pin {
    digest: B256,
    signed: bool,
    /// Leave was given for it again since the store was opened.
    resumed: bool,
}

/// A validator and one of [`DutyKind::MARKED`].
type Line = (Address, DutyKind);

/// What the rules say, without a store.
#[derive(Default)]
struct Model {
    pins: BTreeMap<(Slot, Address, DutyKind), Pin>,
    low: BTreeMap<Line, Slot>,
    high: BTreeMap<Line, Slot>,
    max_pinned: BTreeMap<Line, Slot>,
    retired: BTreeSet<Address>,
    halted: BTreeSet<Address>,
    listen_only_until: Slot,
    /// Times the store was opened.
    openings: u32,
}

fn line(duty: Duty) -> Line {
    (duty.validator, duty.kind.marked())
}

fn at(duty: Duty) -> (Slot, Address, DutyKind) {
    (duty.slot, duty.validator, duty.kind)
}

impl Model {
    fn judge(&self, duty: Duty, digest: B256) -> Answer {
        if self.retired.contains(&duty.validator) {
            return Answer::Retired;
        }
        if self.halted.contains(&duty.validator) {
            return Answer::Halted;
        }
        let pin = self.pins.get(&at(duty));
        if let Some(pin) = pin.filter(|pin| pin.digest != digest || pin.signed) {
            return if pin.digest == digest { Answer::Done } else { Answer::Conflict };
        }
        if self.low.get(&line(duty)).is_some_and(|low| duty.slot <= *low) {
            return Answer::Low;
        }
        if self.high.get(&line(duty)).is_some_and(|high| duty.slot >= *high) {
            return Answer::High;
        }
        if duty.slot < self.listen_only_until {
            return Answer::Listening;
        }
        if pin.is_some() {
            return Answer::Resume;
        }
        if duty.kind == STRICT && self.max_pinned.get(&line(duty)).is_some_and(|max| duty.slot <= *max) {
            return Answer::Passed;
        }
        let seal = Duty { kind: DutyKind::CheckpointProposal, ..duty };
        if matches!(duty.kind, DutyKind::BlockProposal { .. }) && self.pins.contains_key(&at(seal)) {
            return Answer::Sealed;
        }
        Answer::Granted
    }

    fn reserve(&mut self, duty: Duty, digest: B256) -> Answer {
        let answer = self.judge(duty, digest);
        if answer == Answer::Granted {
            self.pins.insert(at(duty), Pin { digest, signed: false, resumed: false });
            let max = self.max_pinned.entry(line(duty)).or_default();
            *max = (*max).max(duty.slot);
        }
        if let Some(pin) = self.pins.get_mut(&at(duty)).filter(|_| answer == Answer::Resume) {
            pin.resumed = true;
        }
        answer
    }

    fn signed(&mut self, duty: Duty, digest: B256) {
        if let Some(pin) = self.pins.get_mut(&at(duty)).filter(|pin| pin.digest == digest) {
            pin.signed = true;
        }
    }

    fn sign(&mut self, duty: Duty, digest: B256) -> Answer {
        let answer = self.reserve(duty, digest);
        if answer.is_safe() {
            self.signed(duty, digest);
        }
        answer
    }

    fn cancel(&mut self, duty: Duty, opening: u32) -> bool {
        let only = self.pins.get(&at(duty)).is_some_and(|pin| !pin.signed && !pin.resumed);
        let freed = only && opening == self.openings;
        if freed {
            self.pins.remove(&at(duty));
        }
        freed
    }

    fn observe(&mut self, duty: Duty, digest: B256) -> Sighting {
        let sighting = match self.pins.get(&at(duty)) {
            Some(pin) if pin.digest == digest => Sighting::Ours,
            Some(_) => Sighting::Elsewhere,
            None => {
                let pruned = self.low.get(&line(duty)).is_some_and(|low| duty.slot <= *low);
                let handed_over = self.high.get(&line(duty)).is_some_and(|high| duty.slot >= *high);
                let known = pruned || handed_over || self.retired.contains(&duty.validator);
                if known { Sighting::Unknowable } else { Sighting::Elsewhere }
            }
        };
        if sighting == Sighting::Elsewhere {
            self.halted.insert(duty.validator);
        }
        sighting
    }

    fn change(&mut self, validator: Address, change: KeyChange) {
        match change {
            KeyChange::Retire => self.retired.insert(validator),
            KeyChange::Enable => self.retired.remove(&validator),
            KeyChange::LiftHalt => self.halted.remove(&validator),
        };
    }

    fn hand_over(&mut self, validator: Address, from: Slot) -> bool {
        let late = self.max_pinned.iter().any(|((of, _), slot)| *of == validator && *slot >= from);
        for kind in DutyKind::MARKED.into_iter().filter(|_| !late) {
            let high = self.high.entry((validator, kind)).or_insert(from);
            *high = (*high).min(from);
        }
        !late
    }

    fn take_over(&mut self, validator: Address, from: Slot) {
        for line in DutyKind::MARKED.map(|kind| (validator, kind)) {
            if let Some(before) = from.0.checked_sub(1).map(Slot) {
                let low = self.low.entry(line).or_insert(before);
                *low = (*low).max(before);
            }
            if self.high.get(&line).is_some_and(|high| *high <= from) {
                self.high.remove(&line);
            }
        }
    }

    fn prune(&mut self, through: Slot) {
        let kept = self.pins.split_off(&(through.next(), Address::ZERO, DutyKind::MARKED[0]));
        for (_, validator, kind) in std::mem::replace(&mut self.pins, kept).into_keys() {
            let low = self.low.entry((validator, kind.marked())).or_default();
            *low = (*low).max(through);
        }
    }

    fn reopened(&mut self) {
        self.openings += 1;
        for pin in self.pins.values_mut() {
            pin.resumed = false;
        }
    }
}

/// A signer, its keys, the reservations that somebody holds, and the model of it all.
struct World {
    place: Place,
    keys: Arc<RecordingKeys>,
    model: Model,
    store: Arc<SlashingProtection>,
    signer: ValidatorSigner,
    held: Vec<(Reservation, u32)>,
}

impl World {
    fn new() -> Self {
        let (place, keys) = (Place::new(), RecordingKeys::new());
        let (store, signer) = Self::open(&place, &keys);
        Self { place, keys, model: Model::default(), store, signer, held: Vec::new() }
    }

    fn open(place: &Place, keys: &Arc<RecordingKeys>) -> (Arc<SlashingProtection>, ValidatorSigner) {
        let options = StoreOptions { strict: BTreeSet::from([STRICT]), ..small() };
        let store = Arc::new(SlashingProtection::open(&place.store, DOMAIN, options).unwrap());
        let signer = ValidatorSigner::owning(store.clone(), keys.clone());
        signer.start().unwrap();
        (store, signer)
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Sign(duty, digest) => {
                let outcome = self.signer.sign(duty, digest).await;
                self.expect_signed(duty, digest, outcome.map(drop));
            }
            Step::SignMany(mut wanted) => {
                // The store judges a transaction in the order of its keys.
                wanted.sort_by_key(|(duty, _)| (duty.slot, duty.kind));
                let outcomes = self.signer.sign_many(&wanted).await;
                for ((duty, digest), outcome) in wanted.into_iter().zip(outcomes) {
                    self.expect_signed(duty, digest, outcome.map(drop));
                }
            }
            Step::Race(duty, one, other) => {
                let outcomes = tokio::join!(self.signer.sign(duty, one), self.signer.sign(duty, other));
                self.expect_signed(duty, one, outcomes.0.map(drop));
                self.expect_signed(duty, other, outcomes.1.map(drop));
            }
            Step::Fail(duty, digest) => self.fail(duty, digest).await,
            Step::Reserve(duty, digest) => {
                let answer = self.store.reserve(duty, digest).await;
                assert_eq!(answered(&answer), self.model.reserve(duty, digest), "{duty}: {answer:?}");
                if let Ok(Safe::Granted(reservation)) = answer {
                    self.held.push((reservation, self.model.openings));
                }
            }
            Step::Cancel(which) => {
                let Some((reservation, opening)) = self.take(which) else { return };
                let duty = reservation.duty();
                assert_eq!(self.store.cancel(reservation).await.unwrap(), self.model.cancel(duty, opening), "{duty}");
            }
            Step::Use(which) => self.use_held(which).await,
            Step::Drop(which) => drop(self.take(which)),
            Step::Observe(duty, digest) => {
                let signature = self.signature(duty, digest);
                let sighting = self.signer.observe(duty, digest, signature).await.unwrap();
                assert_eq!(sighting, Some(self.model.observe(duty, digest)), "{duty}");
            }
            Step::Prune(through) => {
                self.store.prune(through).await.unwrap();
                self.model.prune(through);
            }
            Step::Change(validator, change) => {
                let validator = key(validator).address();
                self.store.change_key(validator, change).await.unwrap();
                self.model.change(validator, change);
            }
            Step::Mark(marking) => self.mark(marking).await,
            Step::StopAndStart => {
                self.signer.stop().await;
                self.signer.start().unwrap();
            }
            Step::Reopen => {
                self.signer.close().await;
                (self.store, self.signer) = Self::open(&self.place, &self.keys);
                self.model.reopened();
            }
        }
    }

    async fn mark(&mut self, marking: Marking) {
        match marking {
            Marking::HandOver(validator, from) => {
                let validator = key(validator).address();
                let outcome = self.store.hand_over(validator, from).await;
                assert_eq!(outcome.is_ok(), self.model.hand_over(validator, from), "{outcome:?}");
            }
            Marking::TakeOver(validator, from) => {
                let validator = key(validator).address();
                self.store.take_over(validator, from).await.unwrap();
                self.model.take_over(validator, from);
            }
            Marking::ListenOnlyUntil(slot) => {
                self.store.listen_only_until(slot).await.unwrap();
                self.model.listen_only_until = self.model.listen_only_until.max(slot);
            }
        }
    }

    fn expect_signed(&mut self, duty: Duty, digest: B256, outcome: Result<(), SignerError>) {
        let expected = self.model.sign(duty, digest);
        match outcome {
            Ok(()) => assert!(expected.is_safe(), "{duty} was signed, expected {expected:?}"),
            Err(SignerError::NotSafe(refusal)) => assert_eq!(told(refusal), expected, "{duty}"),
            Err(error) => panic!("{duty}: {error}"),
        }
    }

    async fn fail(&mut self, duty: Duty, digest: B256) {
        let number = (0..8).find(|number| key(*number).address() == duty.validator).unwrap();
        self.keys.behave(number, Manner::Failing);
        let outcome = self.signer.sign(duty, digest).await;
        self.keys.behave(number, Manner::Honest);
        match (self.model.reserve(duty, digest), outcome) {
            (Answer::Done, Ok(_)) | (Answer::Granted | Answer::Resume, Err(SignerError::KeyFailed { .. })) => {}
            (expected, Err(SignerError::NotSafe(refusal))) => assert_eq!(told(refusal), expected, "{duty}"),
            (expected, outcome) => panic!("{duty}: {outcome:?}, expected {expected:?}"),
        }
    }

    async fn use_held(&mut self, which: usize) {
        let Some((reservation, _)) = self.take(which) else { return };
        let permit = reservation.into_permit();
        let (duty, digest) = (permit.duty(), permit.digest());
        let signature = self.keys.sign(&permit).await.unwrap();
        self.store.record_signature(permit, signature).await.unwrap();
        self.model.signed(duty, digest);
    }

    fn take(&mut self, which: usize) -> Option<(Reservation, u32)> {
        let at = which.checked_rem(self.held.len())?;
        Some(self.held.swap_remove(at))
    }

    fn signature(&self, duty: Duty, digest: B256) -> alloy::primitives::Signature {
        let signer = (0..8).map(key).find(|key| key.address() == duty.validator).unwrap();
        signer.sign_hash_sync(&duty.kind.signed_hash(digest)).unwrap()
    }

    fn check(&self) {
        self.keys.assert_never_twice();
        let halts: BTreeMap<Address, Option<Halt>> =
            self.store.key_states().borrow().iter().map(|(validator, state)| (*validator, state.halt)).collect();
        for (validator, halt) in halts {
            assert_eq!(halt.is_some(), self.model.halted.contains(&validator), "{validator}");
        }
    }
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
    ]
}

fn cases() -> u32 {
    let steps = std::env::var(STEPS_ENV).map_or(DEFAULT_STEPS, |steps| steps.parse().expect("a number of steps"));
    // Histories are half as long as the longest, on average.
    steps.div_ceil(STEPS_OF_A_CASE as u32 / 2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn any_history_agrees_with_the_rules_and_never_signs_twice(
        steps in prop::collection::vec(any_step(), 1..STEPS_OF_A_CASE),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in steps {
                world.step(step).await;
            }
            world.check();
            world.signer.close().await;
        });
    }
}
