//! Callers that ask for one payload at once: the key is asked once, and nobody's going away ends it for the others.

use std::time::Duration;

use fermata_validator_signer::{NextStep, NotSafe, SignerError, ValidatorSigner};
use futures::future::join_all;
use futures::{FutureExt, pin_mut};

use crate::support::{Manner, Place, RecordingKeys, attestation, digest};

/// Lets `signer` ask the key for the first time, and gives its future back unfinished.
async fn until_asked(keys: &RecordingKeys, mut signing: impl Future<Output: std::fmt::Debug> + Unpin) {
    while keys.asked(attestation(0, 1)).is_empty() {
        assert!((&mut signing).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
}

fn sign(signer: &ValidatorSigner) -> impl Future<Output = Result<alloy::primitives::Signature, SignerError>> + '_ {
    signer.sign(attestation(0, 1), digest(1))
}

#[tokio::test]
async fn callers_with_one_payload_share_one_signing_and_another_payload_is_refused_meanwhile() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    let turn = keys.turn.acquire().await.unwrap();
    let first = sign(&signer);
    pin_mut!(first);
    until_asked(&keys, &mut first).await;
    let others = join_all((0..5).map(|_| sign(&signer)));
    pin_mut!(others);
    assert!((&mut others).now_or_never().is_none());
    let refused = signer.sign(attestation(0, 1), digest(2)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
    assert!((&mut others).now_or_never().is_none(), "they wait for the key");
    drop(turn);
    let (first, others) = tokio::join!(first, others);
    let first = first.unwrap();
    assert!(others.into_iter().all(|other| other.unwrap() == first));
    assert_eq!(keys.asked(attestation(0, 1)), [digest(1)], "the key was asked once");
    signer.close().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_end_the_signing_for_those_who_joined_it() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    let turn = keys.turn.acquire().await.unwrap();
    let mut first = Box::pin(sign(&signer));
    until_asked(&keys, &mut first).await;
    let second = sign(&signer);
    pin_mut!(second);
    // The store has answered the second once a request behind it is answered.
    assert!((&mut second).now_or_never().is_none());
    signer.protection().reserve(attestation(1, 1), digest(1)).await.map(drop).unwrap();
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    drop(turn);
    second.await.unwrap();
    assert_eq!(keys.asked(attestation(0, 1)), [digest(1)], "the signing that was begun went on");
    signer.close().await;
}

#[tokio::test]
async fn a_signing_that_nobody_waits_for_any_more_is_begun_anew() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    keys.behave(0, Manner::Silent);
    let mut first = Box::pin(sign(&signer));
    until_asked(&keys, &mut first).await;
    drop(first);
    keys.behave(0, Manner::Honest);
    sign(&signer).await.unwrap();
    assert_eq!(keys.asked(attestation(0, 1)), [digest(1); 2]);
    signer.close().await;
}

#[tokio::test]
async fn a_signing_that_was_cut_is_joined_by_nobody_though_its_caller_still_holds_it() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    keys.behave(0, Manner::Silent);
    let mut first = Box::pin(sign(&signer));
    until_asked(&keys, &mut first).await;
    signer.stop().await;
    signer.start().unwrap();
    keys.behave(0, Manner::Honest);
    tokio::time::timeout(Duration::from_secs(10), sign(&signer)).await.unwrap().unwrap();
    assert!(matches!(first.await, Err(SignerError::Stopped)));
    signer.close().await;
}

#[tokio::test]
async fn a_failure_of_the_key_is_told_to_all_who_wait_and_the_next_asks_again() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    keys.behave(0, Manner::Failing);
    let turn = keys.turn.acquire().await.unwrap();
    let first = sign(&signer);
    pin_mut!(first);
    until_asked(&keys, &mut first).await;
    let second = sign(&signer);
    pin_mut!(second);
    assert!((&mut second).now_or_never().is_none());
    signer.protection().reserve(attestation(1, 1), digest(1)).await.map(drop).unwrap();
    assert!((&mut second).now_or_never().is_none());
    drop(turn);
    let (first, second) = tokio::join!(first, second);
    for failed in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(failed.next_step(), NextStep::RetrySame);
        assert!(failed.to_string().contains("did not sign"), "{failed}");
    }
    assert_eq!(keys.asked(attestation(0, 1)), [digest(1)]);
    keys.behave(0, Manner::Honest);
    sign(&signer).await.unwrap();
    signer.close().await;
}
