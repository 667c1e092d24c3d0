//! Test vectors in EIP-3076's public format: our own by hand, drawn ones, and the public ones where they are at hand.

mod drawn;
mod strategies;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use fermata_validator_signer::{
    LmdbBackend, PostgresBackend, PostgresOptions, SignerError, VectorBackend, VectorOutcome, run_vectors,
};
use futures::future::join_all;
use serde_json::Value;
use tempfile::TempDir;

use crate::postgres::server::shared;

async fn outcomes(dir: &Path) -> Vec<VectorOutcome> {
    let scratch = tempfile::tempdir().unwrap();
    let outcomes = outcomes_of(dir, &LmdbBackend::new(scratch.path().to_owned())).await;
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "every store was discarded");
    outcomes
}

/// Several files at once: each store waits for the server's disk most of the time.
async fn shared_outcomes(dir: &Path) -> Vec<VectorOutcome> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let schema = format!("vectors_{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::new("a") };
    let backend = PostgresBackend::new(shared().url(), options);
    let parts: [TempDir; 4] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    for (file, part) in fs::read_dir(dir).unwrap().zip(parts.iter().cycle()) {
        let file = file.unwrap().path();
        fs::copy(&file, part.path().join(file.file_name().unwrap())).unwrap();
    }
    let filled = parts.iter().filter(|part| fs::read_dir(part.path()).unwrap().next().is_some());
    let outcomes = join_all(filled.map(|part| outcomes_of(part.path(), &backend))).await;
    let left = format!("SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, '{schema}_')");
    assert_eq!(shared().sql(&left), "0", "every store was discarded");
    outcomes.into_iter().flatten().collect()
}

async fn outcomes_of(dir: &Path, backend: &dyn VectorBackend) -> Vec<VectorOutcome> {
    let mut outcomes = Vec::new();
    run_vectors(dir, backend, |outcome| outcomes.push(outcome)).await.unwrap();
    outcomes
}

fn assert_all_passed(outcomes: &[VectorOutcome]) {
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), outcomes.len());
}

fn own() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"))
}

fn assert_own_passed(outcomes: &[VectorOutcome]) {
    assert!(outcomes.iter().map(|outcome| outcome.signings).sum::<usize>() > 600, "the files have signings");
    assert!(outcomes.iter().any(|outcome| outcome.refused_on_purpose > 0));
    assert!(outcomes.iter().any(|outcome| outcome.cut_short));
    let files: BTreeSet<_> = outcomes.iter().map(|outcome| &outcome.file).collect();
    assert_eq!(outcomes.len(), files.len() * 6);
    assert_all_passed(outcomes);
}

/// The public files have no licence and are not kept here: name their directory in `FERMATA_EIP3076_VECTORS` to run them
/// too.
fn public() -> Option<PathBuf> {
    std::env::var_os("FERMATA_EIP3076_VECTORS").map(PathBuf::from)
}

#[tokio::test]
async fn every_vector_passes_in_every_course() {
    assert_own_passed(&outcomes(own()).await);
    if let Some(public) = public() {
        assert_all_passed(&outcomes(&public).await);
    }
}

#[tokio::test]
async fn every_vector_passes_in_every_course_in_a_database() {
    assert_own_passed(&shared_outcomes(own()).await);
    if let Some(public) = public() {
        assert_all_passed(&shared_outcomes(&public).await);
    }
}

fn drawn(seeds: Range<u64>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for seed in seeds {
        let file = dir.path().join(format!("drawn-{seed:02}.json"));
        fs::write(file, drawn::vector(seed).to_string()).unwrap();
    }
    dir
}

#[tokio::test]
async fn drawn_vectors_pass_in_every_course() {
    let outcomes = outcomes(drawn(0..12).path()).await;
    assert_eq!(outcomes.len(), 12 * 6);
    assert_all_passed(&outcomes);
}

#[tokio::test]
async fn drawn_vectors_pass_in_every_course_in_a_database() {
    let outcomes = shared_outcomes(drawn(12..15).path()).await;
    assert_eq!(outcomes.len(), 3 * 6);
    assert_all_passed(&outcomes);
}

/// A runner that passes whatever it is given would pass the vectors too.
#[tokio::test]
async fn a_wrong_expectation_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let mut turned = 0;
    for entry in fs::read_dir(own()).unwrap() {
        let path = entry.unwrap().path();
        let sound: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let certain = signings(&sound).into_iter().find(|(at, complete)| {
            let signing = sound.pointer(at).unwrap();
            signing["should_succeed"] == *complete && !is_without_root(signing)
        });
        let Some((at, complete)) = certain else { continue };
        // What every store signs is said to be refused by all, or the other way round.
        let mut wrong = sound.clone();
        let signing = wrong.pointer_mut(&at).unwrap();
        signing["should_succeed"] = (!complete).into();
        signing["should_succeed_complete"] = (!complete).into();
        fs::write(dir.path().join(path.file_name().unwrap()), wrong.to_string()).unwrap();
        turned += 1;
    }
    assert!(turned > 15);
    let outcomes = outcomes(dir.path()).await;
    let blind: Vec<_> = outcomes.iter().filter(|outcome| outcome.passed() && !outcome.cut_short).collect();
    assert!(blind.is_empty(), "{blind:#?}");
}

/// Where each signing lies in a vector, and what stores with all records do about it.
fn signings(vector: &Value) -> Vec<(String, bool)> {
    let steps = vector["steps"].as_array().unwrap();
    let mut found = Vec::new();
    for (step, content) in steps.iter().enumerate() {
        for kind in ["blocks", "attestations"] {
            for (number, signing) in content[kind].as_array().unwrap().iter().enumerate() {
                let complete = signing["should_succeed_complete"].as_bool().unwrap();
                found.push((format!("/steps/{step}/{kind}/{number}"), complete));
            }
        }
    }
    found
}

/// Said to be signed, such a one may be refused on purpose.
fn is_without_root(signing: &Value) -> bool {
    signing["signing_root"].as_str().unwrap().trim_start_matches("0x").bytes().all(|byte| byte == b'0')
}

#[tokio::test]
async fn a_file_that_is_no_vector_fails_and_an_empty_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let backend = LmdbBackend::new(dir.path().to_owned());
    let none = run_vectors(dir.path(), &backend, |_| ()).await;
    assert!(matches!(none, Err(SignerError::NoVectors { .. })));
    fs::write(dir.path().join("other.json"), "{}").unwrap();
    let outcomes = outcomes(dir.path()).await;
    assert!(outcomes.iter().all(|outcome| outcome.faults[0].starts_with("not a vector file: missing field")));
}
