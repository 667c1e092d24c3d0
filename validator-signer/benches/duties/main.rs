//! What a durable duty costs, next to what it costs elsewhere, all in one run.
//!
//! Baselines: `raw`, an `fdatasync` of a few hundred bytes written into a file that is there; `sqlite`, a slashing database
//! with the schema, the pragmas and the transaction of Lighthouse's; `own commit`, this store made to take one duty into
//! each transaction. In each round every cell runs right beside the baselines it is compared with; printed are medians over
//! the rounds, with quartiles. Other work on the machine moves the times, and the ratios far less.
//!
//! ```text
//! cargo bench -p fermata-validator-signer [-- --rounds 7] [--cell-ms 700] [--check]     with --check it fails below a floor
//! ```

mod cells;
mod figures;
mod machine;
mod raw;
mod reopening;
mod sqlite;

use std::process::ExitCode;

use cells::{CALLERS, Samples};
use figures::{Ratio, Series, Target};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    rounds: usize,
    cell_ms: u64,
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [role, dir] = &args[..]
        && role == reopening::FILL
    {
        reopening::fill(dir.as_ref());
    }
    if args.iter().any(|arg| arg == reopening::SCAN) {
        return fermata_validator_signer::answer_scan().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let number = |flag: &str, default| {
        let given = args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
        given.map_or(default, |given| given.parse().expect("a number follows the flag"))
    };
    let effort = Effort { rounds: number("--rounds", 7) as usize, cell_ms: number("--cell-ms", 700) };
    machine::tell();
    let mut targets = measure(effort);
    targets.extend(reopening::measure(effort));
    targets.push(cells::commits_of_a_lone_signer());
    targets.extend(cells::pauses());
    figures::tell(&targets);
    let is_below = targets.iter().any(|target| !target.holds_its_floor());
    if args.iter().any(|arg| arg == "--check") && is_below { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Rates and latencies, each beside its baselines.
fn measure(effort: Effort) -> Vec<Target> {
    let mut series: Series = Series::default();
    let mut ratios: [Ratio; 6] = Default::default();
    for _ in 0..effort.rounds {
        let mut note = |name: &'static str, samples: Samples| {
            series.note(name, &samples);
            samples
        };
        let lone_sqlite = note("sqlite, 1 caller", sqlite::callers(1, effort));
        let raw = note("raw fdatasync, 1 caller", raw::fdatasync(effort));
        let lone = note("ours, 1 caller", cells::callers(1, effort));
        let few = note("ours, 8 callers", cells::callers(8, effort));
        let few_sqlite = note("sqlite, 8 callers", sqlite::callers(8, effort));
        let many_sqlite = note("sqlite, 64 callers", sqlite::callers(CALLERS, effort));
        let many = note("ours, 64 callers", cells::callers(CALLERS, effort));
        let raw_too = note("raw fdatasync, 1 caller", raw::fdatasync(effort));
        let one_call = note("ours, one call of 64", cells::one_call(effort));
        note("ours, 64 callers, own commit", cells::own_commits(effort));
        ratios[0].push(many.rate() / many_sqlite.rate());
        ratios[1].push(many.micros(99) / raw_too.micros(99));
        ratios[2].push(few.rate() / few_sqlite.rate());
        ratios[3].push(lone.micros(50) / raw.micros(50));
        ratios[4].push(one_call.micros(50) / raw_too.micros(50));
        ratios[5].push(CALLERS as f64 * lone_sqlite.micros(50) / one_call.micros(50));
    }
    series.tell(effort.rounds);
    let [many, tail, few, lone, one_call, burst] = ratios;
    vec![
        Target::at_least("64 callers, rate to sqlite", many, 25.0, 40.0),
        Target::at_most("64 callers, p99 to raw p99", tail, 14.0, 8.0),
        Target::at_least("8 callers, rate to sqlite", few, 6.0, 9.0),
        Target::at_most("1 caller, p50 to raw p50", lone, 3.0, 2.4),
        Target::at_most("one call of 64, p50 to raw p50", one_call, 5.0, 3.0),
        Target::at_least("burst of 64, sqlite's time to one call's", burst, 60.0, 100.0),
    ]
}
