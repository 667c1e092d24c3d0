//! Processes killed at random moments, again and again, over the same stores.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::process::ExitStatusExt;

use alloy::primitives::B256;
use fermata_validator_signer::{NotSafe, Sentinel, SignerError, SlashingProtection};

use crate::children::{DIGEST, FROM, Role, Started};
use crate::support::{Place, attestation, digest};

pub(crate) const SIGKILL: i32 = 9;
/// Kills of each store, one process after the other.
const KILLS_OF_A_STORE: u64 = 20;
/// How many kills, instead of 200.
const KILLS: &str = "FERMATA_TEST_KILLS";

/// What all processes over one store have said.
#[derive(Default)]
pub(crate) struct Told {
    /// The digests each key was asked for, by slot and validator's index.
    pub(crate) asked: BTreeMap<(u64, u8), B256>,
    /// The last slot that was answered in full.
    pub(crate) answered: u64,
}

impl Told {
    /// Panics when a key was asked for a second digest.
    pub(crate) fn hear(&mut self, said: &str) {
        let words: Vec<_> = said.split(' ').collect();
        match words[..] {
            ["signed", slot] => self.answered = self.answered.max(slot.parse().unwrap()),
            ["asks", slot, validator, digest] => {
                let duty = (slot.parse().unwrap(), validator.parse().unwrap());
                let digest = digest.parse().unwrap();
                let first = *self.asked.entry(duty).or_insert(digest);
                assert_eq!(first, digest, "a key was asked for a second digest in {duty:?}");
            }
            ["open"] => {}
            _ => panic!("a child said {said:?}"),
        }
    }
}

/// One process, killed after `lines` of its lines; what it had said by then is heard to the last.
fn run_and_kill(place: &Place, told: &mut Told, run: u64, lines: u64) {
    // It begins where others have been, and would like to sign something else there.
    let from = told.answered.saturating_sub(1).max(1).to_string();
    let mut child = Started::new(Role::SignForEver, &place.store, &[(FROM, &from), (DIGEST, &(run + 1).to_string())]);
    for _ in 0..=lines {
        told.hear(&child.said().expect("it goes on until it is killed"));
    }
    assert_eq!(child.kill().signal(), Some(SIGKILL));
    while let Some(said) = child.said() {
        told.hear(&said);
    }
}

/// Everything that was answered, and every digest that a key was asked for, is on record. The transaction that was under way
/// is there whole or not at all.
async fn check(place: &Place, told: &Told) {
    let (store, other) = (place.open(), digest(0xff));
    let others: Vec<_> = told.asked.keys().map(|&(slot, validator)| (attestation(validator, slot), other)).collect();
    for (refused, (duty, asked)) in store.reserve_many(&others, None).await.into_iter().zip(&told.asked) {
        let Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) = refused else {
            panic!("slot and validator {duty:?} are lost: {refused:?}")
        };
        assert_eq!(on_record, *asked);
    }
    for slot in 1..=told.answered {
        assert!((0..8).all(|validator| told.asked.contains_key(&(slot, validator))), "slot {slot} was answered");
    }
    store.close().await;
    let survey = SlashingProtection::verify(&place.store, &Sentinel::default()).unwrap();
    let records: u64 = survey.kinds.values().map(|kind| kind.pinned + kind.signed).sum();
    assert_eq!(records % 8, 0, "a transaction was torn");
}

#[tokio::test]
async fn no_kill_at_whatever_moment_loses_an_answer_tears_a_transaction_or_lets_a_second_digest_through() {
    let kills: u64 = std::env::var(KILLS).map_or(200, |kills| kills.parse().expect("a number"));
    let random = RandomState::new();
    let (mut done, mut slots) = (0, 0);
    while done < kills {
        let (place, mut told) = (Place::new(), Told::default());
        for run in 0..KILLS_OF_A_STORE.min(kills - done) {
            run_and_kill(&place, &mut told, run, random.hash_one((done, run)) % 60);
            check(&place, &told).await;
        }
        done += KILLS_OF_A_STORE;
        slots += told.answered;
    }
    assert!(slots > 0, "nothing was signed between the kills");
}
