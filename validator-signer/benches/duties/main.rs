//! What a durable duty costs, next to what it costs elsewhere, all in one run.
//!
//! Baselines: `raw`, an `fdatasync` of a few hundred bytes written into a file that is there; `sqlite`, a slashing database
//! with the schema, the pragmas and the transaction of Lighthouse's; `own commit`, this store made to take one duty into
//! each transaction; `two commits`, the two transactions of a duty in Aztec's store, on LMDB. In each round every cell runs
//! right beside the baselines it is compared with; printed are medians over the rounds, with quartiles. Other work on the
//! machine moves the times, and the ratios far less.
//!
//! In a database that nodes share: `a lock a duty`, web3signer's transaction, which locks the validator, asks six things,
//! inserts and commits; `one statement`, Aztec's, which inserts or gets in one statement, and marks the duty signed in
//! another, each over ten connections. That statement gives no row at all where another node's insert was not committed as
//! it began; Aztec asks again after 10, 20 and 30 ms. The server is one of the program's own, with its defaults.
//!
//! ```text
//! cargo bench -p fermata-validator-signer [-- disk|shared] [--rounds 7] [--cell-ms 700] [--check]
//! ```
//! With `--check` it fails where a figure is below its floor.

mod cells;
mod figures;
mod machine;
mod raw;
mod reopening;
mod samples;
mod shared;
mod sqlite;
mod two_commits;

use std::process::ExitCode;

use figures::{Ratio, Series, Target};
use samples::{CALLERS, Effort, Samples};

/// What can be measured alone.
const PARTS: [&str; 2] = ["disk", "shared"];

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
    let effort = Effort::asked(&args);
    machine::tell();
    let is_asked =
        |part: &str| args.iter().all(|arg| !PARTS.contains(&arg.as_str())) || args.iter().any(|arg| arg == part);
    let mut targets = Vec::new();
    if is_asked("disk") {
        targets.extend(measure(effort));
        targets.extend(reopening::measure(effort));
        targets.push(cells::commits_of_a_lone_signer());
        targets.extend(cells::pauses());
    }
    if is_asked("shared") {
        targets.extend(shared::measure(effort));
    }
    figures::tell(&targets, &args)
}

/// Rates and latencies, each beside its baselines.
fn measure(effort: Effort) -> Vec<Target> {
    let mut series: Series = Series::default();
    let mut ratios: [Ratio; 7] = Default::default();
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
        let two_commits = note("two commits, 64 callers", two_commits::callers(CALLERS, effort));
        let finished = note("ours, 64 callers, with signature", cells::finished(effort));
        ratios[0].push(many.rate() / many_sqlite.rate());
        ratios[1].push(many.micros(99) / raw_too.micros(99));
        ratios[2].push(few.rate() / few_sqlite.rate());
        ratios[3].push(lone.micros(50) / raw.micros(50));
        ratios[4].push(one_call.micros(50) / raw_too.micros(50));
        ratios[5].push(CALLERS as f64 * lone_sqlite.micros(50) / one_call.micros(50));
        ratios[6].push(finished.rate() / two_commits.rate());
    }
    series.tell(effort.rounds);
    let [many, tail, few, lone, one_call, burst, finished] = ratios;
    vec![
        Target::at_least("64 callers, rate to sqlite", many, 25.0, 40.0),
        Target::at_most("64 callers, p99 to raw p99", tail, 14.0, 8.0),
        Target::at_least("8 callers, rate to sqlite", few, 6.0, 9.0),
        Target::at_most("1 caller, p50 to raw p50", lone, 3.0, 2.4),
        Target::at_most("one call of 64, p50 to raw p50", one_call, 5.0, 3.0),
        Target::at_least("burst of 64, sqlite's time to one call's", burst, 60.0, 100.0),
        Target::at_least("64 callers, signed duties, rate to two commits", finished, 40.0, 80.0),
    ]
}

/// What the tests' servers are told of the tests.
mod support {
    pub(crate) use crate::cells::DOMAIN;
}
