//! The rules in force, and what they decide for each call.
//!
//! Nothing here is drawn from a generator with a state: what the nth call of a rule meets is a hash of the seed, the rule's place
//! and n. So the same seed, the same rules and the same calls are the same faults.

use std::collections::VecDeque;

use alloy::primitives::keccak256;

use super::door::Door;
use super::fault::Fault;
use super::json_rpc::Call;
use super::rule::{Rule, Stage};

/// A rule in force, and what it has seen.
#[derive(Debug)]
struct Armed {
    rule: Rule,
    /// Its place among all rules that ever were in force.
    place: u64,
    seen: u64,
    met: u64,
}

/// The rules in force, and those to come.
#[derive(Debug)]
pub(super) struct RuleBook {
    seed: u64,
    armed: Vec<Armed>,
    /// Rules that were ever in force.
    places: u64,
    script: VecDeque<Stage>,
    /// Stages of the script that have begun.
    begun: usize,
    /// Calls until the stage ends by itself.
    left: Option<u64>,
}

impl RuleBook {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, armed: Vec::new(), places: 0, script: VecDeque::new(), begun: 0, left: None }
    }

    /// These rules are in force from now on, and no script is.
    pub(super) fn set(&mut self, rules: Vec<Rule>) {
        (self.script, self.begun, self.left) = (VecDeque::new(), 0, None);
        self.arm(rules);
    }

    /// This script begins now.
    pub(super) fn play(&mut self, script: Vec<Stage>) {
        (self.script, self.begun) = (script.into(), 0);
        self.next_stage();
    }

    /// The script's next stage begins now; after its last, all goes through.
    pub(super) fn next_stage(&mut self) {
        let stage = self.script.pop_front();
        self.begun += 1;
        self.left = stage.as_ref().and_then(|stage| stage.calls);
        self.arm(stage.map(|stage| stage.rules).unwrap_or_default());
    }

    /// Stages of the script that have begun, the end after the last included; none without a script.
    pub(super) const fn begun(&self) -> usize {
        self.begun
    }

    fn arm(&mut self, rules: Vec<Rule>) {
        let places = self.places..;
        self.places += rules.len() as u64;
        self.armed =
            rules.into_iter().zip(places).map(|(rule, place)| Armed { rule, place, seen: 0, met: 0 }).collect();
    }

    /// What the call meets: the fault of the first rule that is about it and fires.
    pub(super) fn decide(&mut self, call: &Call) -> Option<Fault> {
        let seed = self.seed;
        let fault =
            self.armed.iter_mut().filter(|armed| armed.rule.is_about(call)).find_map(|armed| armed.decide(seed));
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.next_stage();
            }
        }
        fault
    }

    /// What the rules in force make of the port.
    pub(super) fn door(&self) -> Door {
        let any = |name: &str| self.armed.iter().any(|armed| armed.rule.fault.name() == name);
        if any(Fault::Refuse.name()) {
            Door::Refusing
        } else if any(Fault::ResetNewcomers.name()) {
            Door::ResettingNewcomers
        } else {
            Door::Open
        }
    }
}

impl Armed {
    fn decide(&mut self, seed: u64) -> Option<Fault> {
        self.seen += 1;
        if !self.rule.fires(self.seen, self.met, self.lot(seed, "chance")) {
            return None;
        }
        self.met += 1;
        if let Fault::Jitter(from, to) = self.rule.fault {
            let span = to.saturating_sub(from);
            return Some(Fault::Latency(from + span.mul_f64(self.lot(seed, "jitter"))));
        }
        Some(self.rule.fault.clone())
    }

    /// From 0 to less than 1, for this use and the call that was seen last: a rule of probability 1 fires always.
    fn lot(&self, seed: u64, of: &str) -> f64 {
        let of_call = [seed.to_be_bytes(), self.place.to_be_bytes(), self.seen.to_be_bytes()].concat();
        let hash = keccak256([of_call.as_slice(), of.as_bytes()].concat());
        let word: [u8; 4] = std::array::from_fn(|at| hash[at]);
        f64::from(u32::from_be_bytes(word)) / (f64::from(u32::MAX) + 1.0)
    }
}
