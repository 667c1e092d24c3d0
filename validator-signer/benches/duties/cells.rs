//! What is measured of this store.

use std::cell::Cell;
use std::sync::Arc;

use alloy::primitives::{Address, B256, Signature};
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::{Clock as _, SystemClock};
use fermata_validator_signer::{
    Domain, Duty, LocalKeys, Safe, Sentinel, SlashingProtection, StoreOptions, ValidatorSigner,
};
use futures::future::join_all;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::figures::{Ratio, Target};
use crate::samples::{CALLERS, EARLIER_SLOTS, Effort, Samples, Until, attestation, payload};

pub(crate) const DOMAIN: Domain = Domain { l1_chain_id: 1, rollup: Address::ZERO };
const SIGNINGS: u64 = 200;
const PAUSES: u64 = 1_000;

/// A store with earlier duties of a committee in it.
struct Bench {
    runtime: Runtime,
    store: SlashingProtection,
    next: Cell<u64>,
    _dir: TempDir,
}

impl Bench {
    fn new(batch_duties: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("store");
        SlashingProtection::init(&path, DOMAIN).expect("a store can be made");
        let anchor = Some(dir.path().join("store.anchor"));
        let sentinel = Sentinel { anchor, ..Sentinel::default() };
        let options = StoreOptions { sentinel, ..StoreOptions::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
        let store = SlashingProtection::open(&path, DOMAIN, options.clone()).expect("a new store can be opened");
        let earlier: Vec<_> = (0..EARLIER_SLOTS * CALLERS).map(payload).collect();
        assert!(runtime.block_on(store.reserve_many(&earlier, None)).iter().all(Result::is_ok), "a fresh duty is safe");
        runtime.block_on(store.close());
        let store =
            SlashingProtection::open(&path, DOMAIN, StoreOptions { batch_duties, ..options }).expect("it closed");
        let bench = Self { runtime, store, next: Cell::new(EARLIER_SLOTS * CALLERS), _dir: dir };
        // The first duties pay for the room that is written ahead.
        bench.runtime.block_on(bench.store.reserve_many(&bench.committee(), None));
        bench
    }

    fn payload(&self) -> (Duty, B256) {
        let number = self.next.get();
        self.next.set(number + 1);
        payload(number)
    }

    fn committee(&self) -> Vec<(Duty, B256)> {
        (0..CALLERS).map(|_| self.payload()).collect()
    }

    async fn one_by_one(&self, until: &Until) -> Samples {
        let mut samples = Samples::default();
        while let Some(begin) = until.goes_on() {
            let (duty, digest) = self.payload();
            let _ = self.store.reserve(duty, digest).await.expect("a fresh duty is safe");
            samples.note(begin, 1);
        }
        samples
    }

    /// As [`one_by_one`](Self::one_by_one), and a signature for each, which is kept.
    async fn finished(&self, until: &Until) -> Samples {
        let (mut samples, signature) = (Samples::default(), Signature::test_signature());
        while let Some(begin) = until.goes_on() {
            let (duty, digest) = self.payload();
            let Ok(Safe::Granted(reservation)) = self.store.reserve(duty, digest).await else {
                panic!("a fresh duty is safe")
            };
            self.store.record_signature(reservation.into_permit(), signature).await.expect("it is open");
            samples.note(begin, 1);
        }
        samples
    }

    fn run(&self, until: Until, callers: impl IntoIterator<Item = impl Future<Output = Samples>>) -> Samples {
        let all = self.runtime.block_on(join_all(callers));
        let samples = Samples::together(all).end(until);
        self.runtime.block_on(self.store.close());
        samples
    }
}

/// That many callers, each with a duty of its own at a time.
pub(crate) fn callers(callers: u64, effort: Effort) -> Samples {
    let (bench, until) = (Bench::new(StoreOptions::default().batch_duties), Until::of(effort));
    bench.run(until, (0..callers).map(|_| bench.one_by_one(&until)))
}

/// The same until each duty's signature is kept.
pub(crate) fn finished(effort: Effort) -> Samples {
    let (bench, until) = (Bench::new(StoreOptions::default().batch_duties), Until::of(effort));
    bench.run(until, (0..CALLERS).map(|_| bench.finished(&until)))
}

/// All callers, and a transaction for each duty.
pub(crate) fn own_commits(effort: Effort) -> Samples {
    let (bench, until) = (Bench::new(1), Until::of(effort));
    bench.run(until, (0..CALLERS).map(|_| bench.one_by_one(&until)))
}

/// One caller, with a committee's duties at a time.
pub(crate) fn one_call(effort: Effort) -> Samples {
    let bench = Bench::new(StoreOptions::default().batch_duties);
    let until = Until::of(effort);
    let mut samples = Samples::default();
    while let Some(begin) = until.goes_on() {
        let answers = bench.runtime.block_on(bench.store.reserve_many(&bench.committee(), None));
        samples.note(begin, answers.len() as u64);
        assert!(answers.iter().all(Result::is_ok), "a fresh duty is safe");
    }
    bench.runtime.block_on(bench.store.close());
    samples.end(until)
}

/// A signer with one key, over a new store.
fn signer(dir: &TempDir) -> (ValidatorSigner, Address) {
    let path = dir.path().join("store");
    SlashingProtection::init(&path, DOMAIN).expect("a store can be made");
    let store = SlashingProtection::open(&path, DOMAIN, StoreOptions::default()).expect("it was made");
    let key = PrivateKeySigner::from_slice(&[7; 32]).expect("a key");
    let validator = key.address();
    let keys = LocalKeys::from_signers([key]).expect("one key");
    let signer = ValidatorSigner::owning(Arc::new(store), Arc::new(keys));
    signer.start().expect("it is not closed");
    (signer, validator)
}

/// Durable transactions that a duty needs until its signature is kept, of a caller alone.
pub(crate) fn commits_of_a_lone_signer() -> Target {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    let commits = || {
        let survey = SlashingProtection::verify(&dir.path().join("store"), &Sentinel::default());
        survey.expect("it is closed and sound").commits
    };
    let (signer, validator) = signer(&dir);
    runtime.block_on(async {
        for slot in 0..SIGNINGS {
            signer.sign(attestation(validator, slot), B256::repeat_byte(7)).await.expect("a fresh duty is safe");
        }
        signer.close().await;
    });
    // The tables were made in one; the last signature is written by the close.
    let made = 1;
    let ratio = Ratio::of((commits() - made - 1) as f64 / SIGNINGS as f64);
    Target::at_most("durable commits of a signed duty, 1 caller", ratio, 1.0, 1.0)
}

/// A thousand times stopped, started, and asked to sign: errors, and the time to the first signature.
pub(crate) fn pauses() -> [Target; 2] {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    let (signer, validator) = signer(&dir);
    let path = dir.path().join("store");
    let (mut failed, mut millis) = (0, Ratio::default());
    for slot in 0..PAUSES {
        let begin = SystemClock.monotonic();
        let signed = runtime.block_on(async {
            signer.stop().await;
            signer.start()?;
            signer.sign(attestation(validator, slot), B256::repeat_byte(7)).await
        });
        millis.push((SystemClock.monotonic() - begin).as_secs_f64() * 1e3);
        let is_held = SlashingProtection::verify(&path, &Sentinel::default()).is_err();
        failed += u64::from(signed.is_err() || !is_held);
    }
    runtime.block_on(signer.close());
    [
        Target::at_most(
            "stopped, started, signed 1000 times: errors, or the directory free",
            Ratio::of(failed as f64),
            0.0,
            0.0,
        ),
        Target::told("stop, start, first signature, ms", millis),
    ]
}
