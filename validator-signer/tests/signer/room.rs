//! A store without room records nothing, says so, and goes on once there is room.

use fermata_validator_signer::{NextStep, NotSafe, Safe, SignerError, SlashingProtection, StoreOptions};

use crate::support::{DOMAIN, Place, attestation, digest, small};

#[tokio::test]
async fn a_full_map_records_nothing_keeps_the_rest_and_goes_on_when_larger() {
    let place = Place::new();
    let tight = StoreOptions { map_bytes: 128 * 1024, ..small() };
    let store = SlashingProtection::open(&place.store, DOMAIN, tight).unwrap();
    let mut slot = 0;
    let full = loop {
        let wanted: Vec<_> = (slot..slot + 100).map(|slot| (attestation(0, slot), digest(1))).collect();
        let answers = store.reserve_many(&wanted, None).await;
        match answers.into_iter().find_map(Result::err) {
            None => slot += 100,
            Some(error) => break error,
        }
    };
    assert!(matches!(full, SignerError::NoSpace { .. }));
    assert_eq!(full.next_step(), NextStep::RetrySame);
    assert!(slot > 0);
    let refused = store.reserve(attestation(0, slot - 1), digest(2)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
    store.close().await;

    let store = place.open();
    for unrecorded in slot..slot + 100 {
        let granted = store.reserve(attestation(0, unrecorded), digest(2)).await;
        assert!(matches!(granted, Ok(Safe::Granted(_))), "nothing of the failed transaction was kept");
    }
    store.close().await;
}
