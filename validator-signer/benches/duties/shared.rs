//! What a durable duty costs in a database that several nodes share.

mod lock_a_duty;
mod one_statement;
mod ours;
mod pool;
#[path = "../../tests/signer/postgres/server.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the tests', who do more to servers")]
mod server;

use tokio::runtime::Runtime;

use crate::figures::{Ratio, Series, Target};
use crate::samples::{Effort, Samples};

/// Nodes that race for each duty, and the duties of a race.
const NODES: usize = 4;
const RACES: u64 = 200;

/// Rates, and the time of those who lose a race, each beside its baseline.
pub(crate) fn measure(effort: Effort) -> [Target; 3] {
    let runtime = Runtime::new().expect("a runtime can be built");
    let mut series = Series::default();
    let mut ratios: [Ratio; 3] = Default::default();
    for _ in 0..effort.rounds {
        let mut note = |name: &'static str, samples: Samples| {
            series.note(name, &samples);
            samples
        };
        let locked = note("a lock a duty, 64 callers", runtime.block_on(lock_a_duty::callers(effort)));
        let recorded = note("ours, shared, 64 callers", runtime.block_on(ours::recorded(effort)));
        let finished = note("ours, shared, 64 callers, with signature", runtime.block_on(ours::finished(effort)));
        let marked =
            note("one statement, 64 callers, with signature", runtime.block_on(one_statement::callers(effort)));
        let their_losers = note("one statement, losers of 4 nodes", runtime.block_on(one_statement::race(effort)));
        let our_losers = note("ours, shared, losers of 4 nodes", runtime.block_on(ours::race(effort)));
        ratios[0].push(recorded.rate() / locked.rate());
        ratios[1].push(finished.rate() / marked.rate());
        ratios[2].push(their_losers.micros(50) / our_losers.micros(50));
    }
    series.tell(effort.rounds);
    let [locked, marked, losers] = ratios;
    [
        Target::at_least("shared, 64 callers, rate to a lock a duty", locked, 20.0, 35.0),
        Target::at_least("shared, 64 callers, signed duties, rate to one statement", marked, 30.0, 45.0),
        Target::at_least("4 nodes race, a loser's p50, one statement's to ours", losers, 20.0, 40.0),
    ]
}
