//! Keys that are retired, handed over, or signed with elsewhere.

use alloy::primitives::{Address, B256, Signature};
use alloy::signers::SignerSync;
use fermata_primitives::Slot;
use fermata_validator_signer::{
    Duty, DutyKind, Halt, KeyChange, Marks, NotSafe, Safe, Sighting, SignerError, ValidatorSigner,
};

use crate::homes::{Home, Make};
use crate::support::{RecordingKeys, attestation, digest, duty, key};

/// The signature that key 0 gives over a payload, wherever it is.
fn signature(duty: Duty, digest: B256) -> Signature {
    key(0).sign_hash_sync(&duty.kind.signed_hash(digest)).unwrap()
}

async fn observe(signer: &ValidatorSigner, duty: Duty, digest: B256) -> Option<Sighting> {
    signer.observe(duty, digest, signature(duty, digest)).await.unwrap()
}

fn is_halted(outcome: &Result<Signature, SignerError>, by: Duty) -> bool {
    matches!(outcome, Err(SignerError::NotSafe(NotSafe::Halted { seen, .. })) if *seen == by)
}

#[tokio::test]
async fn a_payload_that_was_never_pinned_here_halts_its_key_until_an_operator_lifts_it() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        signer.sign(attestation(0, 7), digest(1)).await.unwrap();
        assert_eq!(observe(&signer, attestation(0, 7), digest(1)).await, Some(Sighting::Ours));
        signer.sign(attestation(0, 8), digest(1)).await.unwrap();

        let stranger = attestation(0, 9);
        assert_eq!(observe(&signer, stranger, digest(5)).await, Some(Sighting::Elsewhere));
        let halt = Halt { duty: stranger, digest: digest(5), signature: signature(stranger, digest(5)) };
        assert_eq!(signer.protection().key_states()[&stranger.validator].halt, Some(halt));
        assert!(is_halted(&signer.sign(attestation(0, 10), digest(1)).await, stranger));
        assert!(is_halted(&signer.sign(attestation(0, 7), digest(1)).await, stranger), "nor is an old signature given");
        signer.sign(attestation(1, 10), digest(1)).await.unwrap();
        signer.close().await;

        let signer = home.signer(&keys).await;
        assert!(is_halted(&signer.sign(attestation(0, 10), digest(1)).await, stranger), "the halt outlives a restart");
        assert_eq!(observe(&signer, attestation(0, 11), digest(6)).await, Some(Sighting::Elsewhere));
        assert_eq!(signer.protection().key_states()[&stranger.validator].halt, Some(halt), "the first proof is kept");
        signer.protection().change_key(stranger.validator, KeyChange::LiftHalt).await.unwrap();
        signer.sign(attestation(0, 10), digest(1)).await.unwrap();
        signer.close().await;
        let signer = home.signer(&keys).await;
        signer.sign(attestation(0, 12), digest(1)).await.unwrap();
        assert!(keys.asked(attestation(0, 9)).is_empty());
        signer.close().await;
    }
}

#[tokio::test]
async fn another_payload_for_a_duty_that_is_pinned_here_halts_its_key() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        signer.sign(attestation(0, 7), digest(1)).await.unwrap();
        assert_eq!(observe(&signer, attestation(0, 7), digest(2)).await, Some(Sighting::Elsewhere));
        assert!(is_halted(&signer.sign(attestation(0, 8), digest(1)).await, attestation(0, 7)));
        signer.close().await;
    }
}

#[tokio::test]
async fn signatures_of_other_keys_and_false_ones_are_ignored() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        let stranger = Duty { validator: key(99).address(), ..attestation(0, 7) };
        let theirs = key(99).sign_hash_sync(&stranger.kind.signed_hash(digest(1))).unwrap();
        assert_eq!(signer.observe(stranger, digest(1), theirs).await.unwrap(), None);
        let forged = Duty { validator: attestation(0, 7).validator, ..stranger };
        assert_eq!(signer.observe(forged, digest(1), theirs).await.unwrap(), None);
        let of_another_digest = signature(attestation(0, 7), digest(2));
        assert_eq!(signer.observe(attestation(0, 7), digest(1), of_another_digest).await.unwrap(), None);
        assert_eq!(signer.observe(attestation(0, 7), digest(1), Signature::test_signature()).await.unwrap(), None);
        assert!(signer.protection().key_states().is_empty());
        signer.sign(attestation(0, 7), digest(3)).await.unwrap();
        signer.close().await;
    }
}

#[tokio::test]
async fn what_the_records_cannot_tell_halts_nobody() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let store = home.open().await;
        let signer = ValidatorSigner::sharing(store.clone(), keys.clone());
        signer.start().unwrap();
        let validator = attestation(0, 0).validator;
        signer.sign(attestation(0, 3), digest(1)).await.unwrap();
        store.prune(Slot(3)).await.unwrap();
        store.hand_over(validator, Slot(20)).await.unwrap();
        assert_eq!(observe(&signer, attestation(0, 3), digest(9)).await, Some(Sighting::Unknowable), "pruned");
        assert_eq!(observe(&signer, attestation(0, 20), digest(9)).await, Some(Sighting::Unknowable), "handed over");
        signer.sign(attestation(0, 4), digest(1)).await.unwrap();
        store.change_key(validator, KeyChange::Retire).await.unwrap();
        assert_eq!(observe(&signer, attestation(0, 5), digest(9)).await, Some(Sighting::Unknowable), "retired");
        assert_eq!(store.key_states()[&validator].halt, None);
        store.close().await;
    }
}

#[tokio::test]
async fn what_is_signed_here_is_ours_whenever_it_is_seen_even_while_the_key_has_not_answered() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        for slot in 0..50 {
            let (signed, seen) = tokio::join!(signer.sign(attestation(0, slot), digest(1)), async {
                while keys.asked(attestation(0, slot)).is_empty() {
                    tokio::task::yield_now().await;
                }
                observe(&signer, attestation(0, slot), digest(1)).await
            });
            signed.unwrap();
            assert_eq!(seen, Some(Sighting::Ours));
        }
        signer.close().await;
    }
}

#[tokio::test]
async fn a_retired_key_is_refused_everything_until_it_is_enabled() {
    for make in Make::ALL {
        let (home, keys) = (Home::new(make).await, RecordingKeys::new());
        let signer = home.signer(&keys).await;
        let validator = attestation(0, 0).validator;
        signer.sign(attestation(0, 1), digest(1)).await.unwrap();
        let _ = signer.protection().reserve(attestation(0, 2), digest(1)).await.unwrap();
        for _ in 0..2 {
            signer.protection().change_key(validator, KeyChange::Retire).await.unwrap();
        }
        signer.close().await;
        let signer = home.signer(&keys).await;
        for slot in 1..4 {
            let refused = signer.sign(attestation(0, slot), digest(1)).await;
            assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Retired { .. }))), "slot {slot}: {refused:?}");
        }
        signer.sign(attestation(1, 1), digest(1)).await.unwrap();
        signer.protection().change_key(validator, KeyChange::Enable).await.unwrap();
        for slot in 1..4 {
            signer.sign(attestation(0, slot), digest(1)).await.unwrap();
        }
        signer.close().await;
    }
}

#[tokio::test]
async fn a_store_that_only_listens_signs_nothing_before_its_slot_and_remembers_it() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        store.listen_only_until(Slot(10)).await.unwrap();
        store.listen_only_until(Slot(4)).await.unwrap();
        store.close().await;
        let (store, keys) = (home.open().await, RecordingKeys::new());
        let signer = ValidatorSigner::sharing(store.clone(), keys);
        signer.start().unwrap();
        let refused = signer.sign(attestation(0, 9), digest(1)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::ListenOnly { until: Slot(10), .. }))));
        signer.sign(attestation(1, 10), digest(1)).await.unwrap();
        assert_eq!(observe(&signer, attestation(0, 9), digest(2)).await, Some(Sighting::Elsewhere), "it listened");
        assert!(is_halted(&signer.sign(attestation(0, 10), digest(1)).await, attestation(0, 9)));
        store.close().await;
    }
}

#[tokio::test]
async fn a_hand_over_leaves_each_slot_to_one_node_and_may_come_back() {
    for make in Make::ALL {
        let (old_home, new_home) = (Home::new(make).await, Home::new(make).await);
        let (old, new) = (old_home.open().await, new_home.open().await);
        let validator = attestation(0, 0).validator;
        let _ = old.reserve(attestation(0, 6), digest(1)).await.unwrap();
        let early = old.hand_over(validator, Slot(6)).await;
        assert!(matches!(early, Err(SignerError::HandOverTooEarly { pinned: Slot(6), .. })), "{early:?}");
        old.hand_over(validator, Slot(8)).await.unwrap();
        new.take_over(validator, Slot(8)).await.unwrap();
        for kind in DutyKind::MARKED {
            for slot in 7..12 {
                let at_old = old.reserve(duty(0, slot, kind), digest(2)).await;
                let at_new = new.reserve(duty(0, slot, kind), digest(3)).await;
                let (old_signs, new_signs) =
                    (matches!(at_old, Ok(Safe::Granted(_))), matches!(at_new, Ok(Safe::Granted(_))));
                assert_eq!(
                    (old_signs, new_signs),
                    (slot < 8, slot >= 8),
                    "{kind} in slot {slot}: {at_old:?}, {at_new:?}"
                );
            }
        }
        old.close().await;
        let old = old_home.open().await;
        let refused = old.reserve(attestation(0, 9), digest(2)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::AtOrAboveHigh { high: Slot(8), .. }))));

        new.hand_over(validator, Slot(20)).await.unwrap();
        old.take_over(validator, Slot(20)).await.unwrap();
        assert!(matches!(
            old.reserve(attestation(0, 19), digest(2)).await,
            Err(SignerError::NotSafe(NotSafe::BelowLow { .. }))
        ));
        assert!(matches!(old.reserve(attestation(0, 20), digest(2)).await, Ok(Safe::Granted(_))));
        assert!(matches!(new.reserve(attestation(0, 20), digest(3)).await, Err(SignerError::NotSafe(_))));
        old.close().await;
        new.close().await;
    }
}

#[tokio::test]
async fn a_high_mark_that_is_still_ahead_outlives_a_take_over() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        let validator = attestation(0, 0).validator;
        store.hand_over(validator, Slot(10)).await.unwrap();
        store.take_over(validator, Slot(5)).await.unwrap();
        let expected = Marks { low: Some(Slot(4)), high: Some(Slot(10)), max_signed: None };
        assert_eq!(store.marks(validator, DutyKind::Attestation).await.unwrap(), expected);
        store
            .add_marks(validator, vec![(DutyKind::Attestation, Marks::below(Slot(2)).merge(Marks::from(Slot(30))))])
            .await
            .unwrap();
        assert_eq!(store.marks(validator, DutyKind::Attestation).await.unwrap(), expected, "marks only refuse more");
        store.take_over(Address::ZERO, Slot(0)).await.unwrap();
        assert_eq!(store.marks(Address::ZERO, DutyKind::Attestation).await.unwrap(), Marks::default());
        store.close().await;
    }
}
