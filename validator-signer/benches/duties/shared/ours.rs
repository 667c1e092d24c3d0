//! What is measured of this store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::{Clock as _, SystemClock};
use fermata_validator_signer::{
    NotSafe, PostgresOptions, PostgresProtection, Protection as _, Safe, SignerError, SigningPermit,
};
use futures::future::join_all;

use super::server::SharedPlace;
use super::{NODES, RACES};
use crate::samples::{CALLERS, EARLIER_SLOTS, Effort, Samples, Until, attestation, payload};

/// All callers, each with a duty of its own at a time.
pub(crate) async fn recorded(effort: Effort) -> Samples {
    callers(effort, async |_, _| {}).await
}

/// The same until each duty's signature is kept.
pub(crate) async fn finished(effort: Effort) -> Samples {
    let signature = Signature::test_signature();
    callers(effort, async |store, permit| store.record_signature(permit, signature).await.expect("it is open")).await
}

async fn callers(effort: Effort, finish: impl AsyncFn(&PostgresProtection, SigningPermit)) -> Samples {
    let store = SharedPlace::new().await.open("node").await;
    let earlier: Vec<_> = (0..EARLIER_SLOTS * CALLERS).map(payload).collect();
    assert!(store.reserve_many(&earlier, None).await.iter().all(Result::is_ok), "a fresh duty is safe");
    let (until, next) = (Until::of(effort), AtomicU64::new(EARLIER_SLOTS * CALLERS));
    let caller = async || {
        let mut samples = Samples::default();
        while let Some(begin) = until.goes_on() {
            let (duty, digest) = payload(next.fetch_add(1, Ordering::Relaxed));
            let Ok(Safe::Granted(reservation)) = store.reserve(duty, digest).await else {
                panic!("a fresh duty is safe")
            };
            finish(&store, reservation.into_permit()).await;
            samples.note(begin, 1);
        }
        samples
    };
    let samples = Samples::together(join_all((0..CALLERS).map(|_| caller())).await).end(until);
    store.close().await;
    samples
}

/// Nodes that want one duty for payloads of their own at the same moment: how long those waited that did not get it.
pub(crate) async fn race(effort: Effort) -> Samples {
    let place = SharedPlace::new().await;
    let node = async |node: usize| {
        let options = PostgresOptions { busy_patience: Duration::ZERO, ..place.options(&format!("node-{node}")) };
        place.open_with(options).await
    };
    let nodes = join_all((0..NODES).map(node)).await;
    let (until, mut losers) = (Until::of(effort), Vec::new());
    for slot in 0..RACES {
        let race = nodes.iter().zip(1..).map(async |(node, digest)| {
            let (begin, mut samples) = (SystemClock.monotonic(), Samples::default());
            match node.reserve(attestation(Address::ZERO, slot), B256::repeat_byte(digest)).await {
                Ok(Safe::Granted(_)) => {}
                Err(SignerError::NotSafe(NotSafe::Conflict { .. })) => samples.note(begin, 1),
                other => panic!("a loser was told {other:?}"),
            }
            samples
        });
        losers.extend(join_all(race).await);
    }
    let samples = Samples::together(losers).end(until);
    join_all(nodes.iter().map(|node| node.close())).await;
    samples
}
