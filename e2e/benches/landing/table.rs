//! How a contest is told.

use std::collections::BTreeMap;
use std::time::Duration;

use fermata_e2e::Times;

use crate::contest::{Landed, Score};
use crate::ground::Blocks;

/// Prints a line for each contestant, with its medians as parts of the first's.
pub(crate) fn print(blocks: Blocks, scores: &[Score]) {
    let Some(baseline) = scores.first().filter(|score| !score.landed.is_empty()) else { return };
    let when = match blocks {
        Blocks::Every(secs) => format!("a block every {secs} s"),
        Blocks::WithEachTransaction | Blocks::WhenTold => "a block with each transaction".to_owned(),
    };
    println!("\n{when}, {} transactions each, ratios to {}:", baseline.landed.len(), baseline.peer);
    for score in scores {
        let (told, accepted) = (times(score, |tx| tx.told), times(score, |tx| tx.accepted));
        let ratio = |mine: &Times, of: Times| mine.millis_at(500) / of.millis_at(500);
        println!(
            "{:<12} included and known p50 {:>7.1} ms ({:>5.2}x)  p99 {:>7.1}; accepted p50 {:>6.2} ms ({:>5.2}x); \
             blocks p50 {} p99 {}; calls p50 {:>3} max {:>3}: {}",
            score.peer,
            told.millis_at(500),
            ratio(&told, times(baseline, |tx| tx.told)),
            told.millis_at(990),
            accepted.millis_at(500),
            ratio(&accepted, times(baseline, |tx| tx.accepted)),
            at(score, 500, |tx| tx.blocks),
            at(score, 990, |tx| tx.blocks),
            at(score, 500, calls),
            at(score, 1_000, calls),
            methods(score),
        );
    }
}

fn times(score: &Score, of: impl Fn(&Landed) -> Duration) -> Times {
    let mut times = Times::default();
    score.landed.iter().for_each(|tx| times.push(of(tx)));
    times
}

const fn calls(tx: &Landed) -> u64 {
    tx.calls.len() as u64
}

/// What so many in a thousand do not exceed.
fn at(score: &Score, per_mille: usize, of: impl Fn(&Landed) -> u64) -> u64 {
    let mut all: Vec<_> = score.landed.iter().map(of).collect();
    all.sort_unstable();
    all.get(all.len().saturating_sub(1) * per_mille / 1_000).copied().unwrap_or_default()
}

/// What was called for the last transaction, and how often.
fn methods(score: &Score) -> String {
    let mut counted = BTreeMap::<&str, usize>::new();
    for method in score.landed.last().into_iter().flat_map(|tx| &tx.calls) {
        *counted.entry(method.trim_start_matches("eth_")).or_default() += 1;
    }
    let told: Vec<_> = counted.into_iter().map(|(method, many)| format!("{method} {many}")).collect();
    told.join(", ")
}
