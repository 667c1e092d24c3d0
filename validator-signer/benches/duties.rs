//! Durable duties a second, and what committing them together gains.
//!
//! Baseline: the same store, made to take one duty into each durable transaction. Each round runs all cells one after the
//! other, so that a ratio compares neighbours in time; printed are medians over the rounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use fermata_primitives::{Clock, Slot, SystemClock};
use fermata_validator_signer::{Domain, Duty, DutyKind, SlashingProtection, StoreOptions};
use futures::future::join_all;

const ROUNDS: usize = 7;
const CELL: Duration = Duration::from_millis(600);
const CALLERS: u64 = 64;
const OPENED: u64 = 50_000;
const DOMAIN: Domain = Domain { l1_chain_id: 1, rollup: Address::ZERO };

/// How a cell asks for its duties.
#[derive(Clone, Copy)]
enum Cell {
    /// One caller, a duty at a time.
    Lone,
    /// Callers at once, a transaction for each duty: the baseline.
    EachItsOwn,
    /// Callers at once, whatever waits in one transaction.
    Together,
    /// One caller, a committee's duties in one call.
    OneCall,
}

impl Cell {
    const ALL: [Self; 4] = [Self::Lone, Self::EachItsOwn, Self::Together, Self::OneCall];

    const fn name(self) -> &'static str {
        match self {
            Self::Lone => "1 caller",
            Self::EachItsOwn => "64 callers, one commit a duty",
            Self::Together => "64 callers, committed together",
            Self::OneCall => "one call with 64 duties",
        }
    }

    const fn batch_duties(self) -> usize {
        match self {
            Self::EachItsOwn => 1,
            Self::Lone | Self::Together | Self::OneCall => 4096,
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    let mut rates = [const { Vec::new() }; Cell::ALL.len()];
    for _ in 0..ROUNDS {
        for (cell, rates) in Cell::ALL.into_iter().zip(&mut rates) {
            rates.push(runtime.block_on(measure(cell)));
        }
    }
    let ratios = |cell: usize, base: usize| {
        median(rates[cell].iter().zip(&rates[base]).map(|(rate, base)| rate / base).collect())
    };
    println!("durable duties a second, medians of {ROUNDS} rounds");
    for (at, cell) in Cell::ALL.into_iter().enumerate() {
        println!("  {:<32} {:>9.0}/s   {:>6.2} x baseline", cell.name(), median(rates[at].clone()), ratios(at, 1));
    }
    let opening = median((0..ROUNDS).map(|_| runtime.block_on(reopen())).collect());
    println!("opening a store of {OPENED} duties, all of them checked: {opening:.1} ms");
}

/// Milliseconds to open a store of [`OPENED`] duties.
async fn reopen() -> f64 {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("store");
    SlashingProtection::init(&path, DOMAIN).expect("a store can be made");
    let open = || SlashingProtection::open(&path, DOMAIN, StoreOptions::default()).expect("the store can be opened");
    let store = open();
    let duties: Vec<_> = (0..OPENED).map(payload).collect();
    assert!(store.reserve_many(&duties, None).await.iter().all(Result::is_ok), "a fresh duty is safe");
    store.close().await;
    let begin = SystemClock.monotonic();
    let store = open();
    let millis = (SystemClock.monotonic() - begin).as_secs_f64() * 1_000.0;
    store.close().await;
    millis
}

/// Duties a second of one cell, on a store of its own.
async fn measure(cell: Cell) -> f64 {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("store");
    SlashingProtection::init(&path, DOMAIN).expect("a store can be made");
    let options = StoreOptions { batch_duties: cell.batch_duties(), ..StoreOptions::default() };
    let store = SlashingProtection::open(&path, DOMAIN, options).expect("a new store can be opened");
    let next = AtomicU64::new(0);
    // The first duties pay for the file's first pages.
    let _ = store.reserve_many(&committee(&next), None).await;

    let begin = SystemClock.monotonic();
    let end = begin + CELL;
    let done = match cell {
        Cell::Lone => one_by_one(&store, &next, end).await,
        Cell::EachItsOwn | Cell::Together => {
            let callers = (0..CALLERS).map(|_| one_by_one(&store, &next, end));
            join_all(callers).await.into_iter().sum()
        }
        Cell::OneCall => in_one_call(&store, &next, end).await,
    };
    let rate = done as f64 / (SystemClock.monotonic() - begin).as_secs_f64();
    store.close().await;
    rate
}

async fn one_by_one(store: &SlashingProtection, next: &AtomicU64, end: Duration) -> u64 {
    let mut done = 0;
    while SystemClock.monotonic() < end {
        let (duty, digest) = payload(next.fetch_add(1, Ordering::Relaxed));
        let _ = store.reserve(duty, digest).await.expect("a fresh duty is safe");
        done += 1;
    }
    done
}

async fn in_one_call(store: &SlashingProtection, next: &AtomicU64, end: Duration) -> u64 {
    let mut done = 0;
    while SystemClock.monotonic() < end {
        let answers = store.reserve_many(&committee(next), None).await;
        assert!(answers.iter().all(Result::is_ok), "a fresh duty is safe");
        done += answers.len() as u64;
    }
    done
}

fn committee(next: &AtomicU64) -> Vec<(Duty, B256)> {
    (0..CALLERS).map(|_| payload(next.fetch_add(1, Ordering::Relaxed))).collect()
}

/// Duties of a committee of 64, slot after slot.
fn payload(number: u64) -> (Duty, B256) {
    let validator = Address::left_padding_from(&(number % CALLERS + 1).to_be_bytes());
    let duty = Duty { validator, slot: Slot(number / CALLERS), kind: DutyKind::Attestation };
    (duty, B256::repeat_byte(7))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
