//! Starting, stopping and closing a signer, and who holds the directory meanwhile.

use std::sync::Arc;

use fermata_validator_signer::{NextStep, SignerError, ValidatorSigner};
use futures::{FutureExt, pin_mut};

use crate::support::{Place, RecordingKeys, attestation, digest, open};

#[tokio::test]
async fn nothing_is_signed_before_the_start_or_after_a_stop() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = ValidatorSigner::owning(Arc::new(place.open()), keys.clone());
    for _ in 0..2 {
        let refused = signer.sign(attestation(0, 1), digest(1)).await;
        assert!(matches!(refused, Err(SignerError::Stopped)));
        let refused = signer.sign_many(&[(attestation(0, 1), digest(1)), (attestation(1, 1), digest(1))]).await;
        assert!(refused.len() == 2 && refused.iter().all(|refused| matches!(refused, Err(SignerError::Stopped))));
        assert!(!signer.is_started());
        signer.start().unwrap();
        signer.start().unwrap();
        assert!(signer.is_started());
        signer.stop().await;
        signer.stop().await;
    }
    assert!(keys.asked(attestation(0, 1)).is_empty());
    signer.close().await;
}

#[tokio::test]
async fn a_thousand_stops_and_starts_neither_close_the_store_nor_free_its_directory() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    for slot in 0..1000 {
        if slot % 20 == 0 {
            signer.sign(attestation(0, slot), digest(1)).await.unwrap();
        }
        signer.stop().await;
        if slot % 100 == 0 {
            let refused = open(&place.store);
            assert!(
                matches!(refused, Err(SignerError::HeldByAnother { holder: Some(holder), .. }) if holder.pid == std::process::id())
            );
        }
        signer.start().unwrap();
    }
    for slot in (0..1000).step_by(20) {
        assert!(matches!(signer.sign(attestation(0, slot), digest(2)).await, Err(SignerError::NotSafe(_))));
    }
    signer.close().await;
}

#[tokio::test]
async fn a_stop_waits_for_the_signing_in_flight_and_lets_no_other_in() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    let turn = keys.turn.acquire().await.unwrap();
    let signing = signer.sign(attestation(0, 1), digest(1));
    let stop = signer.stop();
    pin_mut!(signing, stop);
    assert!(signing.as_mut().now_or_never().is_none());
    assert!(stop.as_mut().now_or_never().is_none());
    assert!(matches!(signer.sign(attestation(0, 2), digest(1)).await, Err(SignerError::Stopped)));
    drop(turn);
    let (signed, ()) = tokio::join!(signing, stop);
    signed.unwrap();
    signer.close().await;
}

#[tokio::test]
async fn a_dropped_signing_does_not_hold_a_stop_up() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    let _turn = keys.turn.acquire().await.unwrap();
    {
        let signing = signer.sign(attestation(0, 1), digest(1));
        pin_mut!(signing);
        assert!(signing.as_mut().now_or_never().is_none());
    }
    signer.stop().await;
    signer.close().await;
}

#[tokio::test]
async fn a_start_ends_a_stop_that_still_waits() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    let turn = keys.turn.acquire().await.unwrap();
    let signing = signer.sign(attestation(0, 1), digest(1));
    let stop = signer.stop();
    pin_mut!(signing, stop);
    assert!(signing.as_mut().now_or_never().is_none());
    assert!(stop.as_mut().now_or_never().is_none());
    signer.start().unwrap();
    stop.await;
    drop(turn);
    signing.await.unwrap();
    signer.close().await;
}

#[tokio::test]
async fn a_closed_signer_has_freed_its_directory_and_stays_closed() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    tokio::join!(signer.close(), signer.close());
    signer.close().await;
    signer.stop().await;
    let refused = signer.sign(attestation(0, 1), digest(1)).await;
    assert!(matches!(refused, Err(SignerError::Closed)));
    assert_eq!(refused.map_err(|error| error.next_step()), Err(NextStep::Reopen));
    assert!(matches!(signer.start(), Err(SignerError::Closed)));
    let again = place.signer(&keys);
    again.sign(attestation(0, 1), digest(1)).await.unwrap();
    again.close().await;
}

#[tokio::test]
async fn a_close_lets_the_signing_in_flight_end_and_be_kept() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    let turn = keys.turn.acquire().await.unwrap();
    let signing = signer.sign(attestation(0, 1), digest(1));
    let close = signer.close();
    pin_mut!(signing, close);
    assert!(signing.as_mut().now_or_never().is_none());
    assert!(close.as_mut().now_or_never().is_none());
    drop(turn);
    let (signed, ()) = tokio::join!(signing, close);
    let again = place.signer(&keys);
    assert_eq!(again.sign(attestation(0, 1), digest(1)).await.unwrap(), signed.unwrap());
    assert_eq!(keys.asked(attestation(0, 1)).len(), 1);
    again.close().await;
}

#[tokio::test]
async fn a_shared_store_outlives_the_signers_that_share_it() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let store = Arc::new(place.open());
    let first = ValidatorSigner::sharing(store.clone(), keys.clone());
    let second = ValidatorSigner::sharing(store.clone(), keys.clone());
    first.start().unwrap();
    second.start().unwrap();
    first.sign(attestation(0, 1), digest(1)).await.unwrap();
    first.close().await;
    assert!(matches!(second.sign(attestation(0, 1), digest(2)).await, Err(SignerError::NotSafe(_))));
    second.sign(attestation(0, 2), digest(1)).await.unwrap();
    second.close().await;
    assert!(matches!(open(&place.store), Err(SignerError::HeldByAnother { .. })));
    store.close().await;
    store.close().await;
    assert!(matches!(store.reserve(attestation(0, 3), digest(1)).await, Err(SignerError::Closed)));
    let answers = store.reserve_many(&[(attestation(0, 3), digest(1))], None).await;
    assert!(matches!(answers[..], [Err(SignerError::Closed)]));
    open(&place.store).unwrap().close().await;
}

#[tokio::test]
async fn dropping_a_signer_frees_the_directory_without_a_close() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    let signature = signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    drop(signer);
    // The store's thread ends by itself; the lock it frees is the event.
    let store = loop {
        match open(&place.store) {
            Err(SignerError::HeldByAnother { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let again = ValidatorSigner::owning(Arc::new(store), keys.clone());
    again.start().unwrap();
    assert_eq!(again.sign(attestation(0, 1), digest(1)).await.unwrap(), signature);
    assert_eq!(keys.asked(attestation(0, 1)).len(), 1, "its last signature was kept");
    again.close().await;
}
