//! What moves marks, and what is said of keys, over lines that break and beside nodes that sign.

use std::time::Duration;

use fermata_primitives::Slot;
use fermata_validator_signer::{
    DutyKind, EthPublicKey, KeyChange, Marks, NotSafe, PostgresOptions, PostgresProtection, Protection as _, Safe,
    SignerError,
};
use futures::future::BoxFuture;

use super::faults::{patient, through};
use super::proxy::{Cut, Proxy};
use super::server::{SharedPlace, shared};
use crate::support::{attestation, digest};

const PUBLIC_KEY: EthPublicKey = EthPublicKey::repeat_byte(0xa1);

/// Everything that is tried again, and what it is called.
fn movers(store: &PostgresProtection) -> Vec<(&'static str, BoxFuture<'_, Result<(), SignerError>>)> {
    let [handed, taken, marked, retired] = [0, 1, 2, 3].map(|number| attestation(number, 0).validator);
    let below = vec![(DutyKind::Attestation, Marks::below(Slot(3)))];
    vec![
        ("hand over", store.hand_over(handed, Slot(8))),
        ("take over", store.take_over(taken, Slot(6))),
        ("add marks", store.add_marks(marked, below)),
        ("listen", store.listen_only_until(Slot(2))),
        ("listen first", Box::pin(async { store.listen_when_new(Slot(4)).await.map(drop) })),
        ("retire", store.change_key(retired, KeyChange::Retire)),
        ("retire an Ethereum key", Box::pin(store.retire_eth(&[PUBLIC_KEY]))),
    ]
}

#[tokio::test]
async fn whatever_moves_a_mark_or_is_said_of_a_key_is_done_over_a_line_that_breaks_before_or_after_its_commit() {
    for (cut, times) in [(Cut::BeforeCommit, 2), (Cut::AfterCommit, 1)] {
        let (place, proxy) = (SharedPlace::new().await, Proxy::start(shared().port()).await);
        let store = through(&proxy, patient(&place, "a")).await;
        for (what, done) in movers(&store) {
            proxy.cut(cut, times);
            assert!(matches!(done.await, Ok(())), "{what}, {cut:?}");
            assert_eq!(proxy.cuts_left(), 0, "{what}, {cut:?}");
        }
        let other = place.open("b").await;
        let ask = async |number, slot| match other.reserve(attestation(number, slot), digest(1)).await {
            Err(SignerError::NotSafe(refusal)) => Some(refusal),
            Ok(Safe::Granted(_)) => None,
            answer => panic!("{answer:?}"),
        };
        assert!(matches!(ask(0, 8).await, Some(NotSafe::AtOrAboveHigh { high: Slot(8), .. })));
        assert!(matches!(ask(1, 5).await, Some(NotSafe::BelowLow { low: Slot(5), .. })));
        assert!(matches!(ask(2, 3).await, Some(NotSafe::ListenOnly { until: Slot(4), .. } | NotSafe::BelowLow { .. })));
        assert_eq!(other.marks(attestation(2, 0).validator, DutyKind::Attestation).await.unwrap().low, Some(Slot(3)));
        assert!(matches!(ask(3, 9).await, Some(NotSafe::Retired { .. })));
        assert_eq!((ask(0, 7).await, ask(1, 6).await, ask(4, 4).await), (None, None, None));
        assert!(other.reserve_eth(PUBLIC_KEY, crate::ethereum::block(1), digest(1)).await.is_err());
        store.close().await;
        other.close().await;
    }
}

#[tokio::test]
async fn with_a_server_that_stays_away_whatever_is_said_is_unavailable_and_may_be_said_again() {
    let (place, proxy) = (SharedPlace::new().await, Proxy::start(shared().port()).await);
    let options = PostgresOptions { patience: Duration::from_millis(300), ..place.options("a") };
    let store = through(&proxy, options).await;
    proxy.shut();
    proxy.cut(Cut::BeforeCommit, 1);
    for (what, done) in movers(&store) {
        let lost = done.await;
        assert!(matches!(lost, Err(SignerError::Unavailable { ambiguous: true, .. })), "{what}: {lost:?}");
    }
    assert_eq!(place.sql("SELECT count(*) FROM marks"), "0");
    proxy.open();
    for again in 0..movers(&store).len() {
        // The first to be asked may still find the line broken.
        while let Err(error) = movers(&store).swap_remove(again).1.await {
            assert!(matches!(error, SignerError::Unavailable { .. }), "{error}");
        }
    }
    let high = store.marks(attestation(0, 0).validator, DutyKind::Attestation).await.unwrap().high;
    assert_eq!(high, Some(Slot(8)));
    store.close().await;
}

/// Holds the marks as one does who signs, until somebody has waited for them in vain.
const HOLD: &str = "DO $$ BEGIN
    LOCK TABLE marks IN ROW SHARE MODE;
    WHILE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'marks'::regclass AND NOT granted) LOOP
        PERFORM pg_sleep(0.001);
    END LOOP;
    WHILE EXISTS (SELECT FROM pg_locks WHERE relation = 'marks'::regclass AND NOT granted) LOOP
        PERFORM pg_sleep(0.001);
    END LOOP;
END $$";

#[tokio::test]
async fn a_hand_over_that_loses_the_marks_to_one_who_signs_is_done_after_it_and_holds_up_nobody_who_signs_here() {
    let place = SharedPlace::new().await;
    let store = place.open_with(patient(&place, "a")).await;
    let holder = SharedPlace { url: place.url.clone(), schema: place.schema.clone() };
    let holding = tokio::task::spawn_blocking(move || holder.sql(HOLD));
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'marks'::regclass AND mode = 'RowShareLock'";
    while place.sql(held) != "1" {}
    let validator = attestation(0, 0).validator;
    let signing = async {
        for slot in 0..8 {
            let answer = store.reserve(attestation(1, slot), digest(1)).await;
            assert!(matches!(answer, Ok(Safe::Granted(_))), "{answer:?}");
        }
    };
    let (handed, ()) = tokio::join!(store.hand_over(validator, Slot(8)), signing);
    handed.unwrap();
    holding.await.unwrap();
    let refused = store.reserve(attestation(0, 8), digest(1)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::AtOrAboveHigh { high: Slot(8), .. }))), "{refused:?}");
    store.close().await;
}
