//! The rules, written a second time, over plain maps.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use fermata_primitives::Slot;
use fermata_validator_signer::{Duty, DutyKind, KeyChange, NotSafe, Safe, Sighting, SignerError};

/// The kind that the stores of this test sign in strict mode.
pub(super) const STRICT: DutyKind = DutyKind::GovernanceVote;

/// What a store is expected to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
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
    pub(super) const fn is_safe(self) -> bool {
        matches!(self, Self::Granted | Self::Resume | Self::Done)
    }
}

pub(super) fn told(refusal: NotSafe) -> Answer {
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

pub(super) fn answered(answer: &Result<Safe, SignerError>) -> Answer {
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

/// For how long a store knows that leave was given for a pin again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Memory {
    /// Until it is opened again; a reservation from before takes nothing back.
    #[default]
    OfAnOpening,
    /// Beside the pin.
    OnRecord,
}

/// What the rules say, without a store.
#[derive(Default)]
pub(super) struct Model {
    memory: Memory,
    pins: BTreeMap<(Slot, Address, DutyKind), Pin>,
    low: BTreeMap<Line, Slot>,
    high: BTreeMap<Line, Slot>,
    max_pinned: BTreeMap<Line, Slot>,
    retired: BTreeSet<Address>,
    pub(super) halted: BTreeSet<Address>,
    pub(super) listen_only_until: Slot,
    /// Times the store was opened.
    pub(super) openings: u32,
}

fn line(duty: Duty) -> Line {
    (duty.validator, duty.kind.marked())
}

fn at(duty: Duty) -> (Slot, Address, DutyKind) {
    (duty.slot, duty.validator, duty.kind)
}

impl Model {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory, ..Self::default() }
    }

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

    pub(super) fn reserve(&mut self, duty: Duty, digest: B256) -> Answer {
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

    pub(super) fn signed(&mut self, duty: Duty, digest: B256) {
        if let Some(pin) = self.pins.get_mut(&at(duty)).filter(|pin| pin.digest == digest) {
            pin.signed = true;
        }
    }

    /// A reservation went to the key. A record that counts its owners keeps the signature for its last one alone.
    pub(super) fn used(&mut self, duty: Duty, digest: B256) {
        let was_taken = self.pins.get(&at(duty)).is_some_and(|pin| pin.resumed);
        if self.memory == Memory::OfAnOpening || !was_taken {
            self.signed(duty, digest);
        }
    }

    pub(super) fn sign(&mut self, duty: Duty, digest: B256) -> Answer {
        let answer = self.reserve(duty, digest);
        if answer.is_safe() {
            self.signed(duty, digest);
        }
        answer
    }

    pub(super) fn cancel(&mut self, duty: Duty, opening: u32) -> bool {
        let only = self.pins.get(&at(duty)).is_some_and(|pin| !pin.signed && !pin.resumed);
        let freed = only && (opening == self.openings || self.memory == Memory::OnRecord);
        if freed {
            self.pins.remove(&at(duty));
        }
        freed
    }

    pub(super) fn observe(&mut self, duty: Duty, digest: B256) -> Sighting {
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

    pub(super) fn change(&mut self, validator: Address, change: KeyChange) {
        match change {
            KeyChange::Retire => self.retired.insert(validator),
            KeyChange::Enable => self.retired.remove(&validator),
            KeyChange::LiftHalt => self.halted.remove(&validator),
        };
    }

    pub(super) fn hand_over(&mut self, validator: Address, from: Slot) -> bool {
        let late = self.max_pinned.iter().any(|((of, _), slot)| *of == validator && *slot >= from);
        for kind in DutyKind::MARKED.into_iter().filter(|_| !late) {
            let high = self.high.entry((validator, kind)).or_insert(from);
            *high = (*high).min(from);
        }
        !late
    }

    pub(super) fn take_over(&mut self, validator: Address, from: Slot) {
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

    pub(super) fn prune(&mut self, through: Slot) {
        let kept = self.pins.split_off(&(through.next(), Address::ZERO, DutyKind::MARKED[0]));
        for (_, validator, kind) in std::mem::replace(&mut self.pins, kept).into_keys() {
            let low = self.low.entry((validator, kind.marked())).or_default();
            *low = (*low).max(through);
        }
    }

    pub(super) fn reopened(&mut self) {
        self.openings += 1;
        for pin in self.pins.values_mut().filter(|_| self.memory == Memory::OfAnOpening) {
            pin.resumed = false;
        }
    }
}
