//! Signings that are cut while their key has not answered: nothing waits for it, and nothing is signed twice.

use std::time::Duration;

use fermata_validator_signer::{NotSafe, SignerError, ValidatorSigner};
use futures::{FutureExt, pin_mut};

use crate::support::{Manner, Place, RecordingKeys, attestation, digest, open};

/// How long a stop or a close may take, whatever the key does.
const BOUND: Duration = Duration::from_secs(10);

/// The duty can still be signed, with its own payload alone.
async fn assert_pinned_to_first_payload(signer: &ValidatorSigner, keys: &RecordingKeys) {
    let refused = signer.sign(attestation(0, 1), digest(2)).await;
    assert!(
        matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) if on_record == digest(1))
    );
    keys.behave(0, Manner::Honest);
    signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    let refused = signer.sign(attestation(0, 1), digest(2)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
    keys.assert_never_twice();
}

#[tokio::test]
async fn a_signing_dropped_while_the_key_is_silent_stays_pinned_and_its_payload_is_signed_later() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    keys.behave(0, Manner::Silent);
    {
        let signing = signer.sign(attestation(0, 1), digest(1));
        pin_mut!(signing);
        while keys.asked(attestation(0, 1)).is_empty() {
            assert!(signing.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    }
    // No signing is left, so that a stop has nothing to wait for.
    tokio::time::timeout(Duration::from_secs(1), signer.stop()).await.unwrap();
    signer.start().unwrap();
    assert_pinned_to_first_payload(&signer, &keys).await;
    signer.close().await;
}

#[tokio::test]
async fn a_silent_key_holds_a_stop_up_no_longer_than_its_patience_and_its_duty_stays_pinned() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    keys.behave(0, Manner::Silent);
    let signings = [(attestation(0, 1), digest(1)), (attestation(1, 1), digest(1))];
    let (signed, stopped) = tokio::join!(signer.sign_many(&signings), async {
        while keys.asked(attestation(1, 1)).is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(BOUND, signer.stop()).await
    });
    stopped.unwrap();
    assert!(matches!(signed[0], Err(SignerError::Stopped)), "{signed:?}");
    assert!(signed[1].is_ok(), "what was signed is not lost to the key that is silent");
    assert!(matches!(open(&place.store), Err(SignerError::HeldByAnother { .. })), "a stop is no close");
    signer.start().unwrap();
    assert_pinned_to_first_payload(&signer, &keys).await;
    signer.close().await;
}

#[tokio::test]
async fn a_silent_key_does_not_keep_a_close_from_freeing_the_store_even_if_nobody_polls_its_signing() {
    let (place, keys) = (Place::new(), RecordingKeys::new());
    let signer = place.signer(&keys);
    keys.behave(0, Manner::Silent);
    let signing = signer.sign(attestation(0, 1), digest(1));
    pin_mut!(signing);
    while keys.asked(attestation(0, 1)).is_empty() {
        assert!(signing.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(BOUND, signer.close()).await.unwrap();
    let again = place.signer(&keys);
    assert!(matches!(signing.await, Err(SignerError::Closed)));
    assert_pinned_to_first_payload(&again, &keys).await;
    again.close().await;
}
