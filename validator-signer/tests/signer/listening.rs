//! A store that may not know all that its keys have signed, and listens before it signs.

use fermata_primitives::Slot;
use fermata_validator_signer::{NotSafe, Safe, SignerError};

use crate::homes::{Home, Make};
use crate::interchange::{GENESIS, IMPORT, export};
use crate::support::{attestation, digest};

/// Opens the store at a node's start in the slot before `until`, and tells what it signs first, on both ways.
async fn first_signed(home: &Home, until: u64) -> Option<Slot> {
    let store = home.open().await;
    let told = store.listen_when_new(Slot(until)).await.unwrap();
    assert_eq!(store.listens_until(), told);
    store.close().await;
    assert!(!home.owes_listening());
    told
}

fn only_listens(answer: &Result<Safe, SignerError>) -> bool {
    matches!(answer, Err(SignerError::NotSafe(NotSafe::ListenOnly { .. })))
}

#[tokio::test]
async fn a_store_listens_once_after_it_was_made_restored_or_imported_into() {
    for make in Make::KEEPERS {
        let home = Home::new(make).await;
        assert!(home.owes_listening());
        assert_eq!(first_signed(&home, 10).await, Some(Slot(10)));
        assert_eq!(first_signed(&home, 50).await, Some(Slot(10)), "it is not new any more");

        home.accept_restored(Slot(12)).await;
        assert!(home.owes_listening());
        assert_eq!(first_signed(&home, 20).await, Some(Slot(20)));

        let store = home.keeper().await;
        store.bind_chain(GENESIS).await.unwrap();
        store.close().await;
        assert!(!home.owes_listening(), "the chain of Ethereum's keys says nothing of what the rollup's have signed");

        let (elsewhere, store) = (Home::new(make).await, home.keeper().await);
        let from = elsewhere.keeper().await;
        let _ = from.reserve(attestation(0, 3), digest(1)).await.unwrap();
        store.import(&export(&*from).await, IMPORT).await.unwrap();
        store.close().await;
        from.close().await;
        assert!(home.owes_listening());
        assert_eq!(first_signed(&home, 15).await, Some(Slot(20)), "a later slot said before holds");
    }
}

#[tokio::test]
async fn a_store_that_has_listened_signs_from_the_slot_it_named_on() {
    for make in Make::ALL {
        let home = Home::new(make).await;
        let store = home.open().await;
        store.listen_when_new(Slot(10)).await.unwrap();
        assert!(only_listens(&store.reserve(attestation(0, 9), digest(1)).await));
        assert!(matches!(store.reserve(attestation(0, 10), digest(1)).await, Ok(Safe::Granted(_))));
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.listens_until(), Some(Slot(10)), "it outlives a restart");
        store.listen_only_until(Slot(30)).await.unwrap();
        assert_eq!(store.listens_until(), Some(Slot(30)));
        let early = store.reserve(attestation(0, 29), digest(1)).await;
        assert!(only_listens(&early), "an operator may have it listen any time: {early:?}");
        store.close().await;
    }
}
