//! A store that may not know all that its keys have signed, and listens before it signs.

use fermata_primitives::Slot;
use fermata_validator_signer::{Protection as _, Safe, Sentinel, SlashingProtection};

use crate::interchange::{IMPORT, export};
use crate::support::{Place, attestation, digest, open};

fn owes_listening(place: &Place) -> bool {
    SlashingProtection::verify(&place.store, &Sentinel::default()).unwrap().owes_listening
}

/// Opens the store at a node's start in the slot before `until`, and tells what it signs first, on both ways.
async fn first_signed(place: &Place, until: u64) -> Option<Slot> {
    let store = open(&place.store).unwrap();
    let told = store.listen_when_new(Slot(until)).await.unwrap();
    assert_eq!(store.listens_until(), told);
    store.close().await;
    assert!(!owes_listening(place));
    told
}

#[tokio::test]
async fn a_store_listens_once_after_it_was_made_restored_or_imported_into() {
    let place = Place::new();
    assert!(owes_listening(&place));
    assert_eq!(first_signed(&place, 10).await, Some(Slot(10)));
    assert_eq!(first_signed(&place, 50).await, Some(Slot(10)), "it is not new any more");

    let survey = SlashingProtection::accept_restored(&place.store, &Sentinel::default(), Slot(12), None).unwrap();
    assert!(survey.owes_listening && owes_listening(&place));
    assert_eq!(first_signed(&place, 20).await, Some(Slot(20)));

    let (elsewhere, store) = (Place::new(), place.open());
    let from = elsewhere.open();
    let _ = from.reserve(attestation(0, 3), digest(1)).await.unwrap();
    store.import(&export(&from).await, IMPORT).await.unwrap();
    store.close().await;
    from.close().await;
    assert!(owes_listening(&place));
    assert_eq!(first_signed(&place, 15).await, Some(Slot(20)), "a later slot said before holds");
}

#[tokio::test]
async fn a_store_that_has_listened_signs_from_the_slot_it_named_on() {
    let place = Place::new();
    let store = place.open();
    store.listen_when_new(Slot(10)).await.unwrap();
    assert!(store.reserve(attestation(0, 9), digest(1)).await.is_err());
    assert!(matches!(store.reserve(attestation(0, 10), digest(1)).await, Ok(Safe::Granted(_))));
    store.close().await;
    let store = place.open();
    assert_eq!(store.listens_until(), Some(Slot(10)), "it outlives a restart");
    store.listen_only_until(Slot(30)).await.unwrap();
    assert!(store.reserve(attestation(0, 29), digest(1)).await.is_err(), "an operator may have it listen any time");
    store.close().await;
}
