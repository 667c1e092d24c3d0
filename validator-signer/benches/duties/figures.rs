//! Medians, quartiles, and what is wanted of them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::samples::Samples;

/// One figure, taken several times.
#[derive(Clone, Default, Debug)]
pub(crate) struct Ratio(Vec<f64>);

impl Ratio {
    pub(crate) fn of(value: f64) -> Self {
        Self(vec![value])
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The largest alone.
    pub(crate) fn worst(&self) -> Self {
        Self::of(self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    /// The value below which that part of all lies.
    fn part(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * part).round() as usize]
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sense {
    AtLeast,
    AtMost,
    Told,
}

/// A figure, the floor it must hold, and the goal.
#[derive(Debug)]
pub(crate) struct Target {
    name: &'static str,
    ratio: Ratio,
    sense: Sense,
    floor: f64,
    goal: f64,
}

impl Target {
    pub(crate) fn at_least(name: &'static str, ratio: Ratio, floor: f64, goal: f64) -> Self {
        Self { name, ratio, sense: Sense::AtLeast, floor, goal }
    }

    pub(crate) fn at_most(name: &'static str, ratio: Ratio, floor: f64, goal: f64) -> Self {
        Self { name, ratio, sense: Sense::AtMost, floor, goal }
    }

    /// A figure of which nothing is demanded.
    pub(crate) fn told(name: &'static str, ratio: Ratio) -> Self {
        Self { name, ratio, sense: Sense::Told, floor: 0.0, goal: 0.0 }
    }

    fn holds(&self, limit: f64) -> bool {
        match self.sense {
            Sense::AtLeast => self.ratio.part(0.5) >= limit,
            Sense::AtMost => self.ratio.part(0.5) <= limit,
            Sense::Told => true,
        }
    }

    fn row(&self) -> String {
        let [quarter, median, three_quarters] = [0.25, 0.5, 0.75].map(|part| self.ratio.part(part));
        let verdict = match (self.sense, self.holds(self.goal), self.holds(self.floor)) {
            (Sense::Told, _, _) => {
                return format!("| {} | {median:.2} | {quarter:.2} to {three_quarters:.2} | | | |", self.name);
            }
            (_, true, _) => "goal",
            (_, false, true) => "floor",
            (_, false, false) => "below its floor",
        };
        let Self { name, floor, goal, .. } = self;
        format!("| {name} | {median:.2} | {quarter:.2} to {three_quarters:.2} | {floor} | {goal} | {verdict} |")
    }
}

/// Prints all figures as a table of Markdown. With `--check` among the arguments it fails where one is below its floor.
pub(crate) fn tell(targets: &[Target], args: &[String]) -> ExitCode {
    println!("\n| figure | median | quartiles | floor | goal | holds |\n|---|---|---|---|---|---|");
    for target in targets {
        println!("{}", target.row());
    }
    let is_below = targets.iter().any(|target| !target.holds(target.floor));
    if is_below && args.iter().any(|arg| arg == "--check") { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What each cell measured, over the rounds.
#[derive(Default)]
pub(crate) struct Series(BTreeMap<&'static str, [Ratio; 3]>);

impl Series {
    pub(crate) fn note(&mut self, name: &'static str, samples: &Samples) {
        let [rate, middle, tail] = self.0.entry(name).or_default();
        rate.push(samples.rate());
        middle.push(samples.micros(50));
        tail.push(samples.micros(99));
    }

    pub(crate) fn tell(&self, rounds: usize) {
        println!("\nmedians of {rounds} rounds\n\n| cell | duties a second | p50, us | p99, us |\n|---|---|---|---|");
        for (name, figures) in &self.0 {
            let [rate, middle, tail] = [0, 1, 2].map(|at| figures[at].part(0.5));
            println!("| {name} | {rate:.0} | {middle:.0} | {tail:.0} |");
        }
    }
}
