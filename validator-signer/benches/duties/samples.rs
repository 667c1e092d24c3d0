//! How much is measured, of which duties, and what came of it.

use std::time::Duration;

use alloy::primitives::{Address, B256};
use fermata_primitives::{Clock as _, Slot, SystemClock};
use fermata_validator_signer::{Duty, DutyKind};

/// The most callers at once, and the validators of a committee.
pub(crate) const CALLERS: u64 = 64;
/// Slots that are on record for each validator before anything is measured.
pub(crate) const EARLIER_SLOTS: u64 = 300;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) cell_ms: u64,
}

impl Effort {
    /// What the arguments ask for.
    pub(crate) fn asked(args: &[String]) -> Self {
        let number = |flag: &str, default| {
            let given = args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
            given.map_or(default, |given| given.parse().expect("a number follows the flag"))
        };
        Self { rounds: number("--rounds", 7) as usize, cell_ms: number("--cell-ms", 700) }
    }
}

/// When a cell ends.
#[derive(Clone, Copy)]
pub(crate) struct Until {
    begin: Duration,
    end: Duration,
}

impl Until {
    pub(crate) fn of(effort: Effort) -> Self {
        let begin = SystemClock.monotonic();
        Self { begin, end: begin + Duration::from_millis(effort.cell_ms) }
    }

    /// The moment, unless it is the end.
    pub(crate) fn goes_on(&self) -> Option<Duration> {
        let now = SystemClock.monotonic();
        (now < self.end).then_some(now)
    }
}

/// What a cell has done, and how long each call took.
#[derive(Clone, Default)]
pub(crate) struct Samples {
    micros: Vec<f64>,
    duties: u64,
    took: Duration,
}

impl Samples {
    /// Takes note of a call that began then and recorded so many duties.
    pub(crate) fn note(&mut self, begin: Duration, duties: u64) {
        self.micros.push((SystemClock.monotonic() - begin).as_secs_f64() * 1e6);
        self.duties += duties;
    }

    pub(crate) fn together(all: Vec<Self>) -> Self {
        let duties = all.iter().map(|samples| samples.duties).sum();
        Self { micros: all.into_iter().flat_map(|samples| samples.micros).collect(), duties, took: Duration::ZERO }
    }

    /// The cell is over.
    pub(crate) fn end(mut self, until: Until) -> Self {
        self.took = SystemClock.monotonic() - until.begin;
        self.micros.sort_by(f64::total_cmp);
        self
    }

    /// Duties a second.
    pub(crate) fn rate(&self) -> f64 {
        self.duties as f64 / self.took.as_secs_f64()
    }

    /// Microseconds within which so many of a hundred calls were answered.
    pub(crate) fn micros(&self, percent: usize) -> f64 {
        let at = (self.micros.len() * percent / 100).min(self.micros.len() - 1);
        self.micros[at]
    }
}

/// The plainest of duties.
pub(crate) fn attestation(validator: Address, slot: u64) -> Duty {
    Duty { validator, slot: Slot(slot), kind: DutyKind::Attestation }
}

/// Duties of a committee, slot after slot.
pub(crate) fn payload(number: u64) -> (Duty, B256) {
    let validator = Address::left_padding_from(&(number % CALLERS + 1).to_be_bytes());
    (attestation(validator, number / CALLERS), B256::repeat_byte(7))
}
